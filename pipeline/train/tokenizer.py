"""Tokenizers: byte-level BPE trained from the curated texts, or one that the user has.

A trained one has ``<pad>`` first and ``<bos>`` and ``<eos>`` last, so that the end of a text has the highest id of all:
the CLIP tower pools there, whichever way it looks for it.
"""

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


def load_tokenizer(folder: str | Path, length: int | None = None) -> PreTrainedTokenizerFast:
    """The tokenizer in a folder. ``UsageError`` where there is none, or none with an end of text and a padding."""
    if not Path(folder).is_dir():
        raise UsageError(f"tokenizer.path: {folder}: no such folder")
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError) as error:
        raise UsageError(f"tokenizer.path: {folder}: {str(error).splitlines()[0]}") from None
    if tokenizer.eos_token_id is None or tokenizer.pad_token_id is None:
        raise UsageError(f"tokenizer.path: {folder}: has no end of text or no padding, both are needed")
    if length is not None:
        tokenizer.model_max_length = length
    return tokenizer


def prepare_tokenizer(options, shards, folder: Path, init_from: str | None, group) -> PreTrainedTokenizerFast:
    """The tokenizer of a run: that of the model to start from, the recipe's, the run's own, or one trained now.

    One is trained by the first process and saved in ``folder``; the others wait for it.
    """
    given = init_from or options.path
    if given is not None:
        return load_tokenizer(given, options.length)
    if group.is_main and not (folder / "tokenizer.json").is_file():
        tokenizer = train_tokenizer(shards.texts(MAX_TEXTS), options.vocabulary, options.length)
        tokenizer.save_pretrained(folder)
    group.barrier()
    return load_tokenizer(folder, options.length)


def tokenizer_config(tokenizer: PreTrainedTokenizerFast) -> TokenizerConfig:
    """What a model must know of a tokenizer."""
    bos = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.cls_token_id
    return TokenizerConfig(
        len(tokenizer), bos or 0, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.model_max_length
    )


def tokenize(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> np.ndarray:
    """Token ids, int32 of shape (texts, tokens of the longest), padded; over-long texts are cut and keep their end."""
    return tokenizer(texts, truncation=True, padding=True, return_tensors="np")["input_ids"].astype(np.int32)
