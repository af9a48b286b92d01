"""Evaluation sets: what files they are of, and their texts and lists of hashes read."""

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline import storage
from pipeline.entries.lists import read_texts
from pipeline.errors import UsageError
from pipeline.filter.options import Filter
from pipeline.recipe_file import found_path, local_path
from pipeline.tars.index import IMAGE_ENDINGS

LIST_OF_HASHES = ".txt"


@dataclass(frozen=True)
class EvaluationFiles:
    """The files of one set: images and tars, given hashes (``phash`` of 16 hex digits, ``sha256`` of 64), texts."""

    images: list[str]
    tars: list[str]
    phashes: list[int]
    sha256: list[str]
    texts: list[str]


def find_sets(options: Filter) -> dict[str, EvaluationFiles]:
    """Every evaluation set of a recipe by name. ``UsageError`` where a path has nothing that can be read."""
    return {name: _find_set(name, found.images, found.texts) for name, found in options.evaluation.items()}


def _find_set(name: str, images: list[str], texts: list[str]) -> EvaluationFiles:
    where = f"filter.evaluation.{name}"
    found = EvaluationFiles([], [], [], [], [])
    for path in images:
        files = [file for file, _, _ in storage.list_files(found_path(path))]
        before = sum(map(len, vars(found).values()))
        for file in files:
            name = storage.base_name(file)
            ending = name.rsplit(".", 1)[-1].lower()
            if ending == "tar":
                found.tars.append(file)
            elif name.endswith(LIST_OF_HASHES):
                _read_hashes(where, file, found)
            elif ending in IMAGE_ENDINGS:
                found.images.append(file)
        if sum(map(len, vars(found).values())) == before:
            allowed = ", ".join((*IMAGE_ENDINGS, "tar", "txt (hashes)"))
            raise UsageError(f"{where}.images: {path}: nothing there that can be read; allowed: {allowed}")
    for path in texts:
        if not local_path(path).is_file():
            raise UsageError(f"{where}.texts: {path}: no such file")
        found.texts.extend(text for text in read_texts(Path(local_path(path)), f"{where}.texts", "text") if text)
    return found


def _read_hashes(where: str, file: str, found: EvaluationFiles) -> None:
    for number, line in enumerate(storage.read_bytes(file).decode("utf-8", "replace").split("\n"), 1):
        word = line.strip().lower()
        if re.fullmatch("[0-9a-f]{64}", word):
            found.sha256.append(word)
        elif re.fullmatch("[0-9a-f]{16}", word):
            found.phashes.append(int.from_bytes(bytes.fromhex(word), "big", signed=True))
        elif word:
            raise UsageError(
                f"{where}.images: {file}: line {number}: found {word[:40]!r}; allowed is a hash a line, "
                "16 hex digits (pHash) or 64 (SHA-256)"
            )
