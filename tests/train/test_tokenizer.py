"""The tokenizer, and that both models pool the end of a text, whatever its length."""

import pytest
import torch

from pipeline.errors import UsageError
from pipeline.train.models import build_model
from pipeline.train.recipe import load_train_recipe
from pipeline.train.tokenizer import load_tokenizer, tokenize, tokenizer_config, train_tokenizer

from .conftest import SMALL

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
