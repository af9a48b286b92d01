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
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from pipeline.errors import UsageError
from pipeline.train.models import TokenizerConfig

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"
MAX_TEXTS = 1_000_000


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
    """The tokenizer in a folder that ``option`` names. ``UsageError`` where there is none, or none that pads."""
    if not Path(folder).is_dir():
        raise UsageError(f"{option} {folder}: no such folder")
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError) as error:
        raise UsageError(f"{option} {folder}: {str(error).splitlines()[0]}") from None
    if tokenizer.eos_token_id is None or tokenizer.pad_token_id is None:
        raise UsageError(f"{option} {folder}: has no end of text or no padding, both are needed")
    if length is not None:
        tokenizer.model_max_length = length
    return tokenizer


def fingerprint(tokenizer: PreTrainedTokenizerFast) -> str:
    """What is the same of two tokenizers that give the same ids of any text."""
    state = [tokenizer.model_max_length, tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id]
    if tokenizer.is_fast:
        backend = json.loads(tokenizer.backend_tokenizer.to_str())
        state.append({key: value for key, value in backend.items() if key not in ("truncation", "padding")})
    else:
        state += [type(tokenizer).__name__, sorted(tokenizer.get_vocab().items())]
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def tokenizer_config(tokenizer: PreTrainedTokenizerFast) -> TokenizerConfig:
    """What a model must know of a tokenizer."""
    bos = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.cls_token_id
    return TokenizerConfig(
        len(tokenizer), bos or 0, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.model_max_length
    )


def tokenize(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> np.ndarray:
    """Token ids, int32 of shape (texts, tokens of the longest), padded; over-long texts are cut and keep their end."""
    return tokenizer(texts, truncation=True, padding=True, return_tensors="np")["input_ids"].astype(np.int32)
