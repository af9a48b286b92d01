"""The tokenizer, and that both models pool the end of a text, whatever its length."""

import pytest
import torch
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from pipeline.errors import UsageError
from pipeline.train.distributed import ProcessGroup
from pipeline.train.models import build_model, model_of
from pipeline.train.recipe import load_train_recipe
from pipeline.train.start import prepare
from pipeline.train.tokenizer import load_tokenizer, tokenize, tokenizer_config, train_tokenizer

from .conftest import SMALL
from .test_step import ALIGN

ALONE = ProcessGroup(0, 1, 1, torch.device("cpu"))
TEXTS = ["a red square", "", "ein roter Würfel " * 30, "红色的正方形", "x", "a red circle"]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([f"a {c} {s}" for c in ("red", "blue") for s in ("square", "circle")] * 20, 300, 24)


def test_ends_have_the_highest_ids(tokenizer):
    assert tokenizer.eos_token_id == len(tokenizer) - 1
    assert tokenizer.bos_token_id == len(tokenizer) - 2
    assert tokenizer.pad_token_id == 0
    assert len(tokenizer) <= 300
    ids = tokenize(tokenizer, TEXTS)
    assert ids.shape == (6, 24)
    assert (ids[:, 0] == tokenizer.bos_token_id).all()
    assert ((ids == tokenizer.eos_token_id).sum(1) == 1).all()
    assert ids[2, 23] == tokenizer.eos_token_id
    assert tokenizer.decode(ids[3], skip_special_tokens=True) == "红色的正方形"
    assert tokenize(tokenizer, ["RED"]).tolist() == tokenize(tokenizer, ["red"]).tolist()


def test_it_survives_a_folder(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    again = load_tokenizer(tmp_path)
    assert tokenize(again, TEXTS).tolist() == tokenize(tokenizer, TEXTS).tolist()
    assert tokenizer_config(again) == tokenizer_config(tokenizer)
    with pytest.raises(UsageError, match="no such folder"):
        load_tokenizer(tmp_path / "none")


@pytest.mark.parametrize("kind", ["clip", "metaclip2"])
def test_the_pooled_token_is_the_first_end(tokenizer, kind):
    settings = [f"{key}={value}" for key, value in SMALL.items()] + [f"model.kind={kind}"]
    model = build_model(load_train_recipe("nano", settings).model, tokenizer_config(tokenizer)).eval()
    ids = torch.from_numpy(tokenize(tokenizer, TEXTS)).long()
    ends = (ids == tokenizer.eos_token_id).int().argmax(1)
    with torch.no_grad():
        out = model.text_model(input_ids=ids)
        assert torch.equal(out.pooler_output, out.last_hidden_state[torch.arange(6), ends])
        # What stands after the end is not seen: trimmed alone, a text has the same vector.
        whole = model.get_text_features(input_ids=ids).pooler_output
        for row, end in enumerate(ends):
            alone = model.get_text_features(input_ids=ids[row : row + 1, : end + 1]).pooler_output[0]
            assert torch.allclose(alone, whole[row], atol=1e-5)
    assert len({tuple(v.tolist()) for v in whole}) == 6


WORDS = ["a", "b", "c", "red", "circle", "square"]


def made(kind: str, folder):
    """A tokenizer of another make, in a folder: its special tokens, their ids, and where they stand."""
    specials, template = {
        "clip": (["<s>", "</s>"], "<s> $A </s>"),  # at the end of the vocabulary
        "xlm-r": (["<s>", "<pad>", "</s>", "<unk>"], "<s> $A </s>"),
        "bert": (["[PAD]", "[UNK]", "[CLS]", "[SEP]"], "[CLS] $A [SEP]"),
        "llama": (["<unk>", "<s>", "</s>"], "<s> $A"),
        "one mark": (["<unk>", "<s>"], "<s> $A <s>"),
        "no start": (["<pad>", "<unk>", "<x>", "</s>"], "$A </s>"),
    }[kind]
    names = [*WORDS, "<unk>", *specials] if kind == "clip" else [*specials, *WORDS]
    unknown = "[UNK]" if kind == "bert" else "<unk>"
    tokenizer = Tokenizer(WordLevel({name: i for i, name in enumerate(names)}, unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    marks = [(name, names.index(name)) for name in specials if name in template]
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=marks)
    ends = {"clip": {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>"},
            "xlm-r": {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "cls_token": "<s>"},
            "bert": {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"},
            "llama": {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<unk>"},
            "one mark": {"bos_token": "<s>", "eos_token": "<s>", "pad_token": "<unk>"},
            "no start": {"eos_token": "</s>", "pad_token": "<pad>"}}[kind]  # fmt: skip
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token=unknown, padding_side="left", **ends).save_pretrained(
        folder
    )
    return folder


FITS = [("clip", "clip"), ("clip", "metaclip2"), ("clip", "align"), ("xlm-r", "metaclip2"), ("xlm-r", "align"),
        ("bert", "clip"), ("bert", "metaclip2"), ("bert", "align"), ("no start", "clip"), ("llama", "align")]  # fmt: skip


@pytest.mark.parametrize(("tokenizer", "kind"), FITS)
def test_a_text_is_pooled_where_its_tokenizer_says(recipe, tmp_path, tokenizer, kind):
    """The fault: with the end at id 2 a CLIP model pools the highest id, and different texts had one vector."""
    changes = ALIGN if kind == "align" else {"model__kind": kind}
    start = prepare(recipe(tokenizer__path=made(tokenizer, tmp_path / "t"), tokenizer__length=8, **changes),
                    tmp_path / "run", ALONE)  # fmt: skip
    model = model_of(start.config).eval()
    texts = ["a red circle", "", "red circle a b c square " * 9, "square", "c", "a </s> [SEP] b"]
    ids = torch.from_numpy(tokenize(start.tokenizer, texts)).long()
    mask = (ids != start.tokenizer.pad_token_id).long()
    ends = [min(8, len(start.tokenizer(text, split_special_tokens=True)["input_ids"])) for text in texts]
    places = torch.tensor([0 if kind == "align" else end - 1 for end in ends])
    with torch.no_grad():
        out = model.text_model(input_ids=ids, attention_mask=mask if kind == "align" else None)
        found = model.get_text_features(input_ids=ids, attention_mask=mask if kind == "align" else None).pooler_output
    want = out.last_hidden_state[torch.arange(len(texts)), places]
    projected = model.text_projection(want)
    assert torch.allclose(found, projected, atol=1e-5)
    assert len({tuple(row) for row in (found * 1e4).round().tolist()}) == len(texts)


@pytest.mark.parametrize(
    ("tokenizer", "kind", "message"),
    [
        ("xlm-r", "clip", "end of text has id 2, .*use model.kind: metaclip2"),
        ("llama", "clip", "appends no end of text"),
        ("llama", "metaclip2", "appends no end of text"),
        ("one mark", "clip", "appends no end of text of its own"),
        ("no start", "align", "puts no token before a text"),
    ],
)
def test_a_tokenizer_of_which_another_token_would_be_pooled(recipe, tmp_path, tokenizer, kind, message):
    changes = ALIGN if kind == "align" else {"model__kind": kind}
    made_recipe = recipe(tokenizer__path=made(tokenizer, tmp_path / "t"), **changes)
    with pytest.raises(UsageError, match=message):
        prepare(made_recipe, tmp_path / "run", ALONE)


def test_a_text_that_spells_a_special_token_does_not_end_there(tokenizer):
    ids = tokenize(tokenizer, ["a <eos> red <pad> circle", "a"])
    assert ((ids == tokenizer.eos_token_id).sum(1) == 1).all()
