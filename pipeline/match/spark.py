"""The table ``matched`` by tasks, a file each: choose the list, find the entries, add the draw, count the entries.

With ``language.match_first`` the language is identified here, of the texts that match the one list.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from pipeline.balance.counts import EntryCounter, ListCounts
from pipeline.buckets.files import CODED, Files, read_file, write_bucket
from pipeline.buckets.hashing import draws
from pipeline.buckets.spark import Batches, attempt, run_tasks, session_file, totals
from pipeline.buckets.totals import Totals
from pipeline.language.label import NOT_KEPT, label_rows, with_codes
from pipeline.match.engine import Matcher, choose_list, loaded, match_by_list
from pipeline.recipe import Language

KEPT, NO_LIST, NO_MATCH = "kept", "no_entry_list", "no_match"
NO_ENTRIES = pa.scalar([], pa.list_(pa.int32()))


@dataclass(frozen=True)
class ToIdentify:
    """How languages are identified: the options, the model's name among the session's files, what codes find."""

    options: Language
    model: str
    aliases: dict[str, str]


def write_matched(
    spark: SparkSession, pairs: Files, folder: str, schema: pa.Schema, sizes: dict[str, int], files: dict[str, str],
    engine: str, seed: int, one_list: bool, languages: ToIdentify | None = None, keep_unmatched: bool = False,
) -> Totals:  # fmt: skip
    """Writes ``matched`` into ``folder``; lines count the rows kept and, by reason and language, dropped.

    The entry counts are there too, for ``ListCounts``. ``schema``: of ``matched``. ``sizes``: the number of entries of
    each list; ``files``: the name, among the session's files, of its saved matcher. ``one_list``: there is exactly one
    list and no language (``language.identify: none``). ``languages``: there is one list, and what matches it is still
    to be identified. ``keep_unmatched``: texts without an entry stay, with none.
    """
    starts = ListCounts(sizes).starts

    def match_file(item: tuple[int, str]) -> Batches:
        bucket, path = item
        here = {name: session_file(file) for name, file in files.items()}
        found, counter = Totals(), EntryCounter(sizes)

        def rows() -> Iterator[pa.RecordBatch]:
            for batch in read_file(path):
                if languages:
                    batch = identified(batch, loaded(engine, *here.values()), languages, found)
                lists = choose_list(batch.column("language"), list(files), one_list)
                entries = match_by_list(batch.column("text"), lists, engine, here)
                if keep_unmatched:
                    entries, kept = pc.fill_null(entries, NO_ENTRIES), pa.repeat(True, batch.num_rows)
                else:
                    kept = pc.fill_null(pc.greater(pc.list_value_length(entries), 0), False)
                    count_dropped(batch.column("language"), lists, kept, found)
                names = [*batch.schema.names, "entry_list", "entries"]
                batch = pa.RecordBatch.from_arrays([*batch.columns, lists, entries], names)
                if kept.true_count < batch.num_rows:
                    batch = batch.filter(kept)
                counter.add(batch.column("entry_list"), batch.column("entries"))
                yield batch.append_column("draw", pa.array(draws(batch.column("pair_id").to_numpy(), seed)))

        found.lines[KEPT, None] = write_bucket(folder, bucket, attempt(), rows(), schema, CODED)
        counter.add_to(found, starts)
        yield from found.blocks()

    return totals(run_tasks(spark, list(enumerate(pairs.paths)), match_file), sum(sizes.values()))


def identified(rows: pa.RecordBatch, matcher: Matcher, languages: ToIdentify, found: Totals) -> pa.RecordBatch:
    """The rows that match, in a language that is kept, with it; others are counted."""
    hits = pc.greater(pc.list_value_length(matcher.match(rows.column("text"))), 0)
    matching = rows.filter(hits)
    found.lines[NO_MATCH, None] += rows.num_rows - matching.num_rows
    matching = with_codes(matching, languages.options, session_file(languages.model))
    matching = matching.append_column("dropped", pa.nulls(matching.num_rows, pa.string()))
    matching = label_rows(matching, languages.options, languages.aliases)
    kept = matching.filter(pc.is_null(matching.column("dropped")))
    found.lines[NOT_KEPT, None] += matching.num_rows - kept.num_rows
    return kept.drop_columns(["dropped"])


def count_dropped(language: pa.Array, lists: pa.Array, kept: pa.Array, found: Totals) -> None:
    """Counts the rows without a match, and those without a list by their language."""
    without = pc.is_null(lists)
    found.lines[NO_MATCH, None] += len(kept) - kept.true_count - without.true_count
    for line in pc.value_counts(language.filter(without)).to_pylist():
        found.lines[NO_LIST, line["values"]] += line["counts"]
