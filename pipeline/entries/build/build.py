"""The main path of a build: candidates from every source of the recipe, merged, numbered, written with a manifest.

Follows MetaCLIP's four sources (Xu et al. 2023, section 3.1: WordNet synsets, Wikipedia unigrams and bigrams, titles) and, by
recipe, MetaCLIP 2's caps for each language (Chuang et al. 2025).
"""

import hashlib
import math
import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.entries.build.assemble import Candidates, assemble, sources_of
from pipeline.entries.build.packages import (
    LICENCES,
    NEEDED,
    capitalised,
    frequent_words,
    names_of,
    package,
    package_version,
)
from pipeline.entries.build.recipe import SOURCES, BuildRecipe, Limits
from pipeline.entries.build.segment import joiner, runs, unspaced
from pipeline.entries.build.wordnet import wordnet_entries
from pipeline.entries.lists import load_list
from pipeline.errors import UsageError
from pipeline.progress import running, say
from pipeline.recipe_file import local_path

MANIFEST = "manifest.json"
WORDNET_LICENCE = "WordNet licence, Princeton University"
WIKIPEDIA_LICENCE = "CC BY-SA 4.0, Wikipedia's authors"


def build(recipe: BuildRecipe, output: str, open_session: Callable) -> dict[str, Any]:
    """Writes ``<name>.parquet`` (entry_id, entry, source, score) and its part of ``manifest.json`` into ``output``.

    Returns that part: sources with counts and SHA-256 of their files, versions, thresholds, licences, the list's own
    digests, the chain of bases. The same sources give the same bytes. ``open_session`` is called where something is
    counted in Spark. Raises ``UsageError`` before any work where a file or package is missing.
    """
    sources = _Sources(recipe, open_session)
    sources.check()
    found = [candidates for part in (sources.wordnet, sources.counted, sources.titles, sources.named) for candidates in part()]
    base, chain = _base(recipe)
    entries, facts = assemble(found, recipe.priority, recipe.max_characters, recipe.spaced, base)
    if entries.num_rows == 0:
        raise UsageError(f"recipe {recipe.name}: no entry came of its sources; lower the limits")
    sink = pa.BufferOutputStream()
    pq.write_table(
        entries, sink, compression="zstd", compression_level=19, use_dictionary=["source", "score"],
        column_encoding={"entry": "DELTA_BYTE_ARRAY", "entry_id": "DELTA_BINARY_PACKED"},
    )  # fmt: skip
    content = sink.getvalue().to_pybytes()
    part = {
        "file": f"{recipe.name}.parquet",
        "language": recipe.language,
        "entries": entries.num_rows,
        "entries_sha256": entries_digest(entries["entry"]),
        "sha256": hashlib.sha256(content).hexdigest(),
        "sources": {letter: {"what": SOURCES[letter], "parts": facts[letter]} for letter in recipe.priority if letter in facts},
        "base": chain,
        "credit": recipe.credit,
        "recipe": recipe.model_dump(exclude={"credit"}),
    }
    storage.make_folder(output)
    storage.write_bytes(storage.join(output, part["file"]), content)
    manifest = storage.read_json(storage.join(output, MANIFEST)) or {"lists": {}}
    manifest["lists"] = dict(sorted((manifest["lists"] | {recipe.name: part}).items()))
    storage.write_json(storage.join(output, MANIFEST), manifest)
    return part


def entries_digest(entries: pa.ChunkedArray) -> str:
    """The SHA-256 of the entries in order, a line each: what a list is, however it is stored."""
    digest = hashlib.sha256()
    for entry in entries.to_pylist():
        digest.update(entry.encode() + b"\n")
    return digest.hexdigest()


def _base(recipe: BuildRecipe) -> tuple[dict[str, tuple[str, float | None]] | None, list[dict[str, Any]]]:
    """The entries of the recipe's base with their source and score, and the chain of bases that led to it."""
    if recipe.base is None:
        return None, []
    path = local_path(recipe.base)
    if not path.is_file():
        raise UsageError(f"base: {recipe.base}: no such file")
    has_sources = path.suffix == ".parquet" and {"entry", "source", "score"} <= set(pq.read_schema(path).names)
    entries = sources_of(pq.read_table(path) if has_sources else pa.table({"entry": load_list("base", path).entries}))
    manifest = storage.read_json(str(path.parent / MANIFEST)) or {"lists": {}}
    before = next((part["base"] for part in manifest["lists"].values() if part["file"] == path.name), [])
    link = {"file": path.name, "entries": len(entries), "sha256": storage.sha256(str(path))}
    return entries, [*before, link]


class _Sources:
    """The candidates of a recipe, source by source."""

    def __init__(self, recipe: BuildRecipe, open_session: Callable):
        self.recipe, self._open = recipe, open_session

    @cached_property
    def session(self):
        """The Spark session, started when it is first asked for."""
        with running("Starting Spark"):
            return self._open()

    def check(self) -> None:
        """Raises ``UsageError`` where files or packages are missing."""
        recipe = self.recipe
        for key, paths in (("text.paths", recipe.text.paths), ("titles.paths", recipe.titles.paths)):
            for path in paths:
                if not storage.list_files(path):
                    raise UsageError(f"{key}: {path}: no such file")
        for path in recipe.lists:
            if not local_path(path).is_file():
                raise UsageError(f"lists: {path}: no such file")
        for source in ([*recipe.packages, "frequencies"] if recipe.frequencies.use else recipe.packages):
            package(source)
        if recipe.text.paths:
            runs("a", recipe.language, recipe.text.segment)  # loads the segmenter

    def wordnet(self) -> list[Candidates]:
        """``w``: names or lemmas of a WordNet."""
        options = self.recipe.wordnet
        if options.path is None:
            return []
        path = Path(local_path(options.path))
        entries = wordnet_entries(path, options.names)
        facts = {"from": path.name, "names": options.names, "files": _described([str(path)]), "licence": WORDNET_LICENCE}
        return [Candidates("w", entries, None, facts)]

    def counted(self) -> list[Candidates]:
        """``u`` and ``b``: words and pairs of neighbours of the text, or words of wordfreq."""
        recipe = self.recipe
        return [*(self._from_text() if recipe.text.paths else []), *(self._frequencies() if recipe.frequencies.use else [])]

    def _from_text(self) -> list[Candidates]:
        from pipeline.entries.build import spark as counting

        recipe, bigrams = self.recipe, self.recipe.bigrams
        files = [file for path in recipe.text.paths for file, _, _ in storage.list_files(path)]
        session = self.session
        with running("Counting words", session):
            counts = counting.count_ngrams(
                counting.records(session, files), recipe.language, recipe.text, bigrams is not None, bigrams.prune if bigrams else 0
            ).persist()
            seen = counting.seen_records(counts)
            words = counting.words(counts)
            total = words.agg({"count": "sum"}).first()[0] or 0
            unigrams = counting.best(words, "word", "count", recipe.unigrams or Limits(most=1))
            facts = {"from": [Path(file).name for file in files], "files": _described(files), "records": seen, "words": total,
                     "distinct_words": words.count(), "licence": WIKIPEDIA_LICENCE}  # fmt: skip
            found = []
            if recipe.unigrams is not None:
                found.append(Candidates("u", unigrams["entry"].to_pylist(), unigrams["score"].to_pylist(), facts))
            if bigrams is not None:
                self._warn(total)
                scored = counting.scored_pairs(counts, total, bigrams.score, bigrams.min_count)
                named = counting.joined_pairs(scored, joiner(recipe.language))
                most = None
                if bigrams.share_of_unigrams is not None:
                    most = int(unigrams.num_rows * bigrams.share_of_unigrams)
                chosen = counting.best(named, "entry", "score", bigrams, most)
                found.append(Candidates("b", chosen["entry"].to_pylist(), chosen["score"].to_pylist(), facts | {"score": bigrams.score}))
            counts.unpersist()
        return found

    def _warn(self, total: int) -> None:
        bigrams = self.recipe.bigrams
        if bigrams.score == "pmi" and bigrams.min is not None and total and math.log2(total) < bigrams.min:
            say(
                f"bigrams.min {bigrams.min:g}: a PMI is at most log2 of the number of words, here {math.log2(total):.1f} "
                f"({total:,} words), so no bigram reaches it; lower it, or take bigrams.score=npmi"
            )

    def _frequencies(self) -> list[Candidates]:
        recipe, limits = self.recipe, self.recipe.frequencies
        words, zipf = frequent_words(recipe.language)
        end = len(words) if limits.min is None else sum(value >= limits.min for value in zipf)
        end = min(end, limits.most or end, int(len(words) * limits.top_share) if limits.top_share is not None else end)
        facts = self._package_facts("frequencies")
        found = [Candidates("u", words[:end], zipf[:end], facts)]
        if limits.capitalised and not unspaced(recipe.language):
            found.append(Candidates("u", capitalised(words[: limits.capitalised]), None, facts | {"capitalised": True}))
        return found

    def titles(self) -> list[Candidates]:
        """``t``: titles by page views."""
        recipe = self.recipe
        if not recipe.titles.paths:
            return []
        from pipeline.entries.build import spark as counting

        files = [file for path in recipe.titles.paths for file, _, _ in storage.list_files(path)]
        with running("Counting page views", self.session):
            views, lines = counting.title_views(self.session, files, recipe.language)
            seen = {line["kind"]: line["count"] for line in lines.toArrow().to_pylist()}
            chosen = counting.best(views, "title", "views", recipe.titles)
        facts = {"from": [Path(file).name for file in files], "files": _described(files), "lines": dict(sorted(seen.items())),
                 "licence": "CC0, Wikimedia Foundation"}  # fmt: skip
        return [Candidates("t", chosen["entry"].to_pylist(), chosen["score"].to_pylist(), facts)]

    def named(self) -> list[Candidates]:
        """``n``, ``p`` and ``l``: numbers, names of packages, own lists."""
        recipe = self.recipe
        found = [Candidates("n", [str(number) for number in range(100)])] if recipe.numbers else []
        for source in recipe.packages:
            found.append(Candidates("p", names_of(source, recipe.language), None, self._package_facts(source)))
        for path in recipe.lists:
            loaded = load_list("own", Path(local_path(path)))
            facts = {"from": Path(path).name, "files": _described([str(local_path(path))]), "repeated": loaded.repeated}
            found.append(Candidates("l", loaded.entries.to_pylist(), None, facts))
        return found

    def _package_facts(self, source: str) -> dict[str, Any]:
        name = NEEDED[source]
        return {"from": f"{name} {package_version(source)}", "licence": LICENCES[name]}


def _described(files: list[str]) -> list[dict[str, Any]]:
    """Name, date and SHA-256 of files; of a folder those of its files. The date is that in the name, as dumps have it."""
    found = [file for path in files for file, _, _ in storage.list_files(path)]
    described = []
    for file in found:
        date = re.search(r"(?<!\d)(20\d\d)-?(\d\d)-?(\d\d)(?!\d)", Path(file).name)
        described.append({"name": Path(file).name, "date": "-".join(date.groups()) if date else None, "sha256": storage.sha256(file)})
    return described
