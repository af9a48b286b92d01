"""``python -m benchmarks.jobs --texts FILE --entries FILE``: the match job beside the same job without its kernel.

Three jobs read the same table ``pairs`` and write Parquet: the match job; the same with a kernel that only hands on ids
made before, of the same values; and a read and write of ``pairs`` that stays in the JVM.
"""

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
import typer
from pyspark.sql import SparkSession
from rich.table import Table

from benchmarks.compare import ROUNDS, read_lines, read_texts, write_json
from benchmarks.cost import cpu_seconds
from benchmarks.pool import write_pool
from pipeline import tables
from pipeline.balance.counts import EntryCounter, ListCounts
from pipeline.buckets.files import CODED, Files, read_file, write_bucket
from pipeline.buckets.hashing import draws
from pipeline.buckets.spark import Batches, attempt, run_tasks, totals
from pipeline.buckets.totals import Totals
from pipeline.curate import curate
from pipeline.job import new_app, run
from pipeline.match.engine import build_file, loaded
from pipeline.match.spark import write_matched
from pipeline.progress import results
from pipeline.recipe import load_recipe
from pipeline.session import open_session

SEED, LIST = 0, "en"
app = new_app()


@app.command(help=__doc__)
def main(
    texts: Annotated[Path, typer.Option(help="Texts, one a line (plain, gz, zst).")],
    entries: Annotated[Path, typer.Option(help="Entries, one a line (plain, gz, zst).")],
    rows: Annotated[int, typer.Option(help="Pairs of the pool, made of the texts.")] = 2_000_000,
    form: Annotated[str, typer.Option(help="metaclip1 or metaclip2")] = "metaclip1",
    name: Annotated[str, typer.Option(help="Of the JSON file.")] = "jobs",
) -> None:
    """Measures and reports."""
    spark, entry_list = open_session(), pa.array(read_lines(entries))
    with tempfile.TemporaryDirectory(prefix="metaclip-bench-") as folder:
        place = Path(folder)
        write_pool(read_texts(texts), rows, place / "pool")
        settings = [f"entries.{LIST}={entries}", "language.identify=none", "language.keep=[]"]
        curate(load_recipe("metaclip-400m", settings, [str(place / "pool")]), str(place / "output"), ["ingest"])
        pairs = Files.of(str(place / "output" / "pairs"))
        matcher = place / "tables.fast"
        build_file(entry_list, form, "fast", matcher)
        spark.sparkContext.addFile(matcher.as_uri())
        matches, starts = match_pairs(pairs, matcher, place / "ids.arrow")
        schema, sizes = tables.with_columns(pairs.schema(), **tables.MATCH), {LIST: len(entry_list)}
        jobs: dict[str, Callable[[str], object]] = {
            "match": lambda target: write_matched(
                spark, pairs, target, schema, sizes, {LIST: matcher.name}, "fast", SEED, True
            ),
            "ids made before": lambda target: hand_on(
                spark, pairs, starts, str(place / "ids.arrow"), target, schema, sizes
            ),
            "read and write in the JVM": lambda target: tables.read(
                spark, str(place / "output" / "pairs")
            ).write.mode("append").parquet(target),
        }  # fmt: skip
        # The first turn starts and compiles everything.
        written = [digest(timed(job, place / "first" / str(number))[2]) for number, job in enumerate(jobs.values())]
        assert written[0] == written[1]
        seconds, cpu = dict.fromkeys(jobs, float("inf")), dict.fromkeys(jobs, float("inf"))
        for turn in range(ROUNDS):
            for number, (title, job) in enumerate(jobs.items()):
                wall, core, _ = timed(job, place / str(turn) / str(number))
                seconds[title], cpu[title] = min(seconds[title], wall), min(cpu[title], core)
    table = Table(title=f"{rows:,} pairs, {matches / rows:.1f} matches a text", header_style="bold")
    for heading in ("job", "seconds", "match takes", "core-seconds", "match takes"):
        table.add_column(heading, justify="left" if heading == "job" else "right")
    for title in jobs:
        ratios = [f"{best['match'] / best[title]:.2f}x" for best in (seconds, cpu)]
        table.add_row(title, f"{seconds[title]:.2f}", ratios[0], f"{cpu[title]:.2f}", ratios[1])
    results.print(table)
    write_json(name, {"pairs": rows, "matches": matches, "seconds": seconds, "core_seconds": cpu})


def timed(job: Callable[[str], object], target: Path) -> tuple[float, float, Path]:
    """Runs a job into a new folder: its seconds, core-seconds, and the folder."""
    target.mkdir(parents=True)
    started, before = time.monotonic(), cpu_seconds()
    job(str(target))
    return time.monotonic() - started, cpu_seconds() - before, target


def match_pairs(pairs: Files, tables: Path, target: Path) -> tuple[int, list[int]]:
    """Writes the ids of all texts, in the order of ``pairs``, as an Arrow file.

    Returns the number of ids, and at which row each file of ``pairs`` starts.
    """
    matcher, schema = loaded("fast", str(tables)), pa.schema({"entries": pa.list_(pa.int32())})
    parts, starts, rows = [], [], 0
    for path in pairs.paths:
        starts.append(rows)
        for batch in read_file(path, ["text"]):
            parts.append(matcher.match(batch.column("text")))
            rows += batch.num_rows
    whole = pa.record_batch([pa.concat_arrays(parts)], schema)
    with pa.OSFile(str(target), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(whole)
    return len(whole.column(0).values), starts


def hand_on(
    spark: SparkSession, pairs: Files, starts: list[int], ids: str, folder: str, schema: pa.Schema,
    sizes: dict[str, int],
) -> Totals:  # fmt: skip
    """The match job with ``entries`` from a file of ids."""

    def hand_on_file(item: tuple[int, tuple[str, int]]) -> Batches:
        bucket, (path, start) = item
        found, counter = Totals(), EntryCounter(sizes)

        def rows() -> Iterator[pa.RecordBatch]:
            made, at = pa.ipc.open_file(pa.memory_map(ids)).get_batch(0).column(0), start
            for batch in read_file(path):
                entries, lists = made.slice(at, batch.num_rows), pa.repeat(LIST, batch.num_rows)
                at += batch.num_rows
                names = [*batch.schema.names, "entry_list", "entries"]
                batch = pa.RecordBatch.from_arrays([*batch.columns, lists, entries], names)
                batch = batch.filter(pc.greater(pc.list_value_length(entries), 0))
                counter.add(batch.column("entry_list"), batch.column("entries"))
                yield batch.append_column("draw", pa.array(draws(batch.column("pair_id").to_numpy(), SEED)))

        write_bucket(folder, bucket, attempt(), rows(), schema, CODED)
        counter.add_to(found, ListCounts(sizes).starts)
        yield from found.blocks()

    items = list(enumerate(zip(pairs.paths, starts, strict=True)))
    return totals(run_tasks(spark, items, hand_on_file), sum(sizes.values()))


def digest(folder: Path) -> str:
    """A hash of all Parquet files of a folder."""
    found = hashlib.sha256()
    for file in sorted(folder.glob("*.parquet")):
        found.update(file.read_bytes())
    return found.hexdigest()


if __name__ == "__main__":
    run(app)
