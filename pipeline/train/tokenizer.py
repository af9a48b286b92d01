"""Tokenizers: byte-level BPE trained from the curated texts, or one that the user has.

A trained one has ``<pad>`` first and ``<bos>`` and ``<eos>`` last, so that the end of a text has the highest id of all:
the CLIP tower pools there, whichever way it looks for it.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import BPE
from transformers import AutoTokenizer, PretrainedConfig, PreTrainedTokenizerFast

from pipeline.errors import UsageError
from pipeline.train.architecture import kind_of
from pipeline.train.models import TokenizerConfig

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"
MAX_TEXTS, LEGACY_EOS = 1_000_000, 2


def train_tokenizer(texts: Iterable[str], vocabulary: int, length: int) -> PreTrainedTokenizerFast:
    """A tokenizer with at most ``vocabulary`` tokens, whose texts have at most ``length``, for any mix of languages."""
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocabulary - 2,
            special_tokens=[PAD],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.add_special_tokens([BOS, EOS])
    ends = [(token, tokenizer.token_to_id(token)) for token in (BOS, EOS)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A {EOS}", pair=f"{BOS} $A {EOS} $B:1 {EOS}:1", special_tokens=ends
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=PAD, model_max_length=length
    )


def load_tokenizer(
    folder: str | Path, length: int | None = None, option: str = "tokenizer.path"
) -> PreTrainedTokenizerFast:
    """The tokenizer in a folder that ``option`` names. ``UsageError`` where there is none, or one without padding."""
    if not Path(folder).is_dir():
        raise UsageError(f"{option} {folder}: no such folder")
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError) as error:
        raise UsageError(f"{option} {folder}: {str(error).splitlines()[0]}") from None
    if tokenizer.pad_token_id is None:
        raise UsageError(f"{option} {folder}: has no padding, which is needed")
    # Positions count from a text's start, and what is too long is cut at its end.
    tokenizer.padding_side = tokenizer.truncation_side = "right"
    if length is not None:
        tokenizer.model_max_length = length
    return tokenizer


def lacks_tokenizer(folder: str | Path) -> bool:
    """Whether a folder has none of the files of a tokenizer, as some models' have."""
    names = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "vocab.txt", "spiece.model", "tokenizer.model")
    return not any((Path(folder) / name).is_file() for name in names)


def fingerprint(tokenizer: PreTrainedTokenizerFast) -> str:
    """What is the same of two tokenizers that give the same ids of any text."""
    state = [tokenizer.model_max_length, tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id]
    if tokenizer.is_fast:
        backend = json.loads(tokenizer.backend_tokenizer.to_str())
        state.append({key: value for key, value in backend.items() if key not in ("truncation", "padding")})
    else:
        state += [type(tokenizer).__name__, sorted(tokenizer.get_vocab().items())]
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def tokenizer_config(tokenizer: PreTrainedTokenizerFast, kind: str = "clip") -> TokenizerConfig:
    """What a model of a kind must know of a tokenizer. ``UsageError`` where its texts have nothing to pool."""
    start, end = marks(tokenizer)
    named = tokenizer.name_or_path or "the tokenizer"
    if kind == "align" and start is None:
        raise UsageError(f"tokenizer.path {named}: puts no token before a text, which ALIGN models pool")
    if kind not in ("align", "siglip") and end is None:
        raise UsageError(f"tokenizer.path {named}: appends no end of text of its own, which CLIP models pool")
    bos = next((i for i in (tokenizer.bos_token_id, tokenizer.cls_token_id, start) if i is not None), 0)
    eos = next((i for i in (end, tokenizer.eos_token_id, tokenizer.sep_token_id) if i is not None), 0)
    return TokenizerConfig(len(tokenizer), bos, eos, tokenizer.pad_token_id, tokenizer.model_max_length)


def marks(tokenizer: PreTrainedTokenizerFast) -> tuple[int | None, int | None]:
    """The tokens that stand before and behind every text, short, empty or cut; None where there is none such.

    An end that stands elsewhere in a text, too, is none.
    """
    rows = tokenizer(["a", "", "a b c " * tokenizer.model_max_length], truncation=True)["input_ids"]
    starts, ends = ({row[at] if row else None for row in rows} for at in (0, -1))
    start, end = (found.pop() if len(found) == 1 else None for found in (starts, ends))
    if end is not None and any(row.index(end) != len(row) - 1 for row in rows):
        end = None
    return start, end


def check_pooling(tokenizer: PreTrainedTokenizerFast, config: PretrainedConfig, where: str) -> None:
    """Refuses a tokenizer of whose texts a model of a configuration would not pool the end, or (ALIGN) the start."""
    kind, text = kind_of(config), config.text_config
    if len(tokenizer) > text.vocab_size:
        raise UsageError(f"{where}: a vocabulary of {text.vocab_size:,}, the tokenizer has {len(tokenizer):,}")
    if tokenizer.model_max_length > text.max_position_embeddings:
        found, most = tokenizer.model_max_length, text.max_position_embeddings
        raise UsageError(f"tokenizer.length: found {found}; {where} has {most} positions")
    if kind == "siglip":
        if tokenizer.model_max_length != text.max_position_embeddings:
            found, most = tokenizer.model_max_length, text.max_position_embeddings
            raise UsageError(f"tokenizer.length: found {found}; {where} pools at the last of its {most} positions")
        return
    end = tokenizer_config(tokenizer, kind).eos
    if kind == "clip" and text.eos_token_id == LEGACY_EOS:
        # So transformers says that the highest id is pooled, whatever it is.
        if end != max(tokenizer.get_vocab().values()):
            raise UsageError(
                f"tokenizer.path: the end of text has id {end}, and CLIP models of eos_token_id {LEGACY_EOS} pool "
                "the highest id of a text; use model.kind: metaclip2"
            )
    elif kind != "align" and text.eos_token_id != end:
        raise UsageError(f"{where}: pools the token {text.eos_token_id}, a text of the tokenizer ends with {end}")


def fit_length(tokenizer: PreTrainedTokenizerFast, config: PretrainedConfig, named: bool = False) -> None:
    """Lets texts have no more tokens than a model has positions; those of SigLIP models have as many, with padding.

    ``named``: how long they may be is not to be changed.
    """
    positions = getattr(getattr(config, "text_config", None), "max_position_embeddings", None)
    tokenizer.pads_all = kind_of(config) == "siglip"
    if positions is not None and not named:  # Not all tokenizers know how long a text may be.
        most = tokenizer.model_max_length
        tokenizer.model_max_length = positions if tokenizer.pads_all else min(most, positions)


def padding(tokenizer: PreTrainedTokenizerFast) -> bool | str:
    """How texts are padded: to the longest, or (SigLIP) to the most tokens, at the last of which a model pools."""
    return "max_length" if getattr(tokenizer, "pads_all", False) else True


def tokenize(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> np.ndarray:
    """Token ids, int32 of shape (texts, tokens of the longest), padded; over-long texts are cut and keep their end."""
    # "<eos>" in a text is these five characters and no end of it.
    made = tokenizer(texts, truncation=True, padding=padding(tokenizer), split_special_tokens=True, return_tensors="np")
    return made["input_ids"].astype(np.int32)
