"""The candidates of a recipe, source by source, with what the manifest says of each."""

import math
import re
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline import storage
from pipeline.entries.build.assemble import Candidates
from pipeline.entries.build.packages import LICENCES as PACKAGE_LICENCES
from pipeline.entries.build.packages import NEEDED, capitalised, frequent_words, names_of, package, package_version
from pipeline.entries.build.recipe import BuildRecipe, Limits
from pipeline.entries.build.segment import joiner, runs, unspaced
from pipeline.entries.build.wordnet import wordnet_entries
from pipeline.entries.lists import load_list
from pipeline.errors import UsageError
from pipeline.progress import running, say
from pipeline.recipe_file import found_path, local_path

LICENCES = {
    "w": "WordNet licence, Princeton University, or that of the WordNet given",
    "u": "CC BY-SA 4.0, Wikipedia's authors, or that of the text given",
    "t": "CC0, Wikimedia Foundation",
}


class Sources:
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
                if not storage.list_files(found_path(path)):
                    raise UsageError(f"{key}: {path}: no such file")
        for path in recipe.lists:
            if not local_path(path).is_file():
                raise UsageError(f"lists: {path}: no such file")
        for source in recipe.packages + (["frequencies"] if recipe.frequencies.use else []):
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
        facts = {"from": path.name, "names": options.names, "files": _described([str(path)]), "licence": LICENCES["w"]}
        return [Candidates("w", entries, None, facts)]

    def counted(self) -> list[Candidates]:
        """``u`` and ``b``: words and pairs of neighbours of the text, or words of wordfreq."""
        recipe = self.recipe
        found = self._from_text() if recipe.text.paths else []
        return found + (self._frequencies() if recipe.frequencies.use else [])

    def _from_text(self) -> list[Candidates]:
        from pipeline.entries.build import spark as counting

        recipe, bigrams = self.recipe, self.recipe.bigrams
        files = [file for path in recipe.text.paths for file, _, _ in storage.list_files(found_path(path))]
        session = self.session
        with running("Counting words", session):
            prune = bigrams.prune if bigrams else 0

            def count(damaged: bool):
                texts = counting.records(session, files, damaged)
                counts = counting.count_ngrams(texts, recipe.language, recipe.text, bigrams is not None, prune)
                return counts.persist(), counting.seen_records(counts)

            (counts, seen), damaged = _or_damaged(count, partial(counting.damaged_files, session), files)
            words = counting.words(counts)
            total = words.agg({"count": "sum"}).first()[0] or 0
            unigrams = counting.best(words, "word", "count", recipe.unigrams or Limits(most=1))
            facts = _facts("u", files) | {"records": seen, "words": total, "distinct_words": words.count()}
            facts |= {"damaged": damaged} if damaged else {}
            found = []
            if recipe.unigrams is not None:
                found.append(_scored("u", unigrams, facts))
            if bigrams is not None:
                self._warn(total)
                scored = counting.scored_pairs(counts, total, bigrams.score, bigrams.min_count)
                named = counting.joined_pairs(scored, joiner(recipe.language))
                most = None
                if bigrams.share_of_unigrams is not None:
                    most = int(unigrams.num_rows * bigrams.share_of_unigrams)
                found.append(_scored("b", counting.best(named, "entry", "score", bigrams, most), facts))
            counts.unpersist()
        return found

    def _warn(self, total: int) -> None:
        bigrams = self.recipe.bigrams
        if bigrams.score == "pmi" and bigrams.min is not None and total and math.log2(total) < bigrams.min:
            say(
                f"bigrams.min {bigrams.min:g}: a PMI is at most log2 of the number of words, here "
                f"{math.log2(total):.1f} ({total:,} words), so no bigram reaches it; lower it, "
                "or take bigrams.score=npmi"
            )

    def _frequencies(self) -> list[Candidates]:
        recipe, limits = self.recipe, self.recipe.frequencies
        words, zipf = frequent_words(recipe.language)
        end = len(words) if limits.min is None else sum(value >= limits.min for value in zipf)
        end = min(end, limits.most or end, int(len(words) * limits.top_share) if limits.top_share is not None else end)
        facts = self._package_facts("frequencies")
        found = [Candidates("u", words[:end], zipf[:end], facts)]
        if limits.capitalised and not unspaced(recipe.language):
            found.append(
                Candidates("u", capitalised(words[: min(limits.capitalised, end)]), None, facts | {"capitalised": True})
            )
        return found

    def titles(self) -> list[Candidates]:
        """``t``: titles by page views."""
        recipe = self.recipe
        if not recipe.titles.paths:
            return []
        from pipeline.entries.build import spark as counting

        files = [file for path in recipe.titles.paths for file, _, _ in storage.list_files(found_path(path))]
        with running("Counting page views", self.session):

            def count(damaged: bool):
                views, lines = counting.title_views(self.session, files, recipe.language, damaged)
                return views, {line["kind"]: line["count"] for line in lines.toArrow().to_pylist()}

            (views, seen), damaged = _or_damaged(count, partial(counting.damaged_files, self.session), files)
            chosen = counting.best(views, "title", "views", recipe.titles)
        facts = _facts("t", files) | {"lines": dict(sorted(seen.items()))} | ({"damaged": damaged} if damaged else {})
        return [_scored("t", chosen, facts)]

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
        return {"from": f"{name} {package_version(source)}", "licence": PACKAGE_LICENCES[name]}


def _scored(source: str, chosen: pa.Table, facts: dict[str, Any]) -> Candidates:
    return Candidates(source, chosen["entry"].to_pylist(), chosen["score"].to_pylist(), facts)


def _or_damaged(count: Callable, find: Callable, files: list[str]) -> tuple[Any, dict[str, str]]:
    """What a count gives, and the damaged files by name: where there are any it counts what of them can be read."""
    damaged: dict[str, str] = {}
    try:
        # Hadoop takes a file that is not packed at all for an empty one.
        if not any(storage.unpacked(file, 1)[1] for file in files):
            return count(False), damaged
    except Exception:  # Spark's and Java's, of many kinds
        damaged = find(files)
        if not damaged:
            raise
    damaged = {storage.base_name(file): why for file, why in (damaged or find(files)).items()}
    for name, why in damaged.items():
        say(f"damaged: {name}: {why}; it is read as far as that")
    return count(True), damaged


def _facts(source: str, files: list[str]) -> dict[str, Any]:
    return {
        "from": [storage.base_name(file) for file in files],
        "files": _described(files),
        "licence": LICENCES[source],
    }


def _described(files: list[str]) -> list[dict[str, Any]]:
    """Name, date (that in the name, as dumps have it) and SHA-256 of files; of a folder those of its files."""
    found = [file for path in files for file, _, _ in storage.list_files(path)]
    described = []
    for file in found:
        date = re.search(r"(?<!\d)(20\d\d)-?(\d\d)-?(\d\d)(?!\d)", storage.base_name(file))
        day = "-".join(date.groups()) if date else None
        described.append({"name": storage.base_name(file), "date": day, "sha256": storage.sha256(file)})
    return described
