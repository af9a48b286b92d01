"""``python -m benchmarks.jobs --texts FILE --entries FILE``: the match job beside the same job without its kernel.

Three jobs read the same Parquet pool and write Parquet: the match job's ``find_entries``; the same with a kernel that
only hands on ids made before, of the same values, through ``mapInArrow``; and a read and write that stays in the JVM.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.parquet as pq
import typer
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from rich.table import Table

from benchmarks.compare import ROUNDS, read_lines, read_texts, write_json
from benchmarks.cost import cpu_seconds
from benchmarks.pool import write_pool
from pipeline.job import new_app, run
from pipeline.match.engine import build_file, loaded
from pipeline.match.spark import find_entries
from pipeline.progress import results
from pipeline.session import open_session
from pipeline.tables import ENTRIES, extended

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
    spark = open_session()
    with tempfile.TemporaryDirectory(prefix="metaclip-bench-") as folder:
        place = Path(folder)
        write_pool(read_texts(texts), rows, place / "pool")
        tables = place / "tables.fast"
        build_file(pa.array(read_lines(entries)), form, "fast", tables)
        spark.sparkContext.addFile(str(tables))
        matches = match_pool(place / "pool", tables, place / "ids.arrow")
        pool = spark.read.parquet(str(place / "pool")).withColumn("entry_list", F.lit("en"))
        jobs = {
            "match": find_entries(pool, {"en": tables.name}, "fast"),
            "ids made before, through mapInArrow": hand_on(pool, str(place / "ids.arrow")),
            "read and write in the JVM": pool,
        }
        first, second = (fingerprint(job) for job in list(jobs.values())[:2])
        assert first == second
        seconds, cpu = dict.fromkeys(jobs, float("inf")), dict.fromkeys(jobs, float("inf"))
        for _ in range(ROUNDS):
            for title, job in jobs.items():
                started, before = time.monotonic(), cpu_seconds()
                job.write.mode("overwrite").parquet(str(place / "out"))
                seconds[title] = min(seconds[title], time.monotonic() - started)
                cpu[title] = min(cpu[title], cpu_seconds() - before)
    table = Table(title=f"{rows:,} pairs, {matches / rows:.1f} matches a text", header_style="bold")
    for heading in ("job", "seconds", "match takes", "core-seconds", "match takes"):
        table.add_column(heading, justify="left" if heading == "job" else "right")
    for title in jobs:
        ratios = [f"{best['match'] / best[title]:.2f}x" for best in (seconds, cpu)]
        table.add_row(title, f"{seconds[title]:.2f}", ratios[0], f"{cpu[title]:.2f}", ratios[1])
    results.print(table)
    write_json(name, {"pairs": rows, "matches": matches, "seconds": seconds, "core_seconds": cpu})


def match_pool(pool: Path, tables: Path, target: Path) -> int:
    """Writes the ids of all texts of the pool, in the order of its rows, as an Arrow file; returns their number."""
    matcher, schema, count = loaded("fast", str(tables)), pa.schema({"entries": pa.list_(pa.int32())}), 0
    parts = []
    for file in sorted(pool.iterdir()):
        for chunk in pq.read_table(file, columns=["text"])["text"].chunks:
            parts.append(matcher.match(chunk))
            count += len(parts[-1].values)
    whole = pa.record_batch([pa.concat_arrays(parts)], schema)
    with pa.OSFile(str(target), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(whole)
    return count


def hand_on(pool: DataFrame, file: str) -> DataFrame:
    """Adds ``entries`` from a file of ids; a batch's rows are consecutive rows of the pool."""
    row = pool.columns.index("row")

    def hand_on_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        ids = pa.ipc.open_file(pa.memory_map(file)).get_batch(0).column(0)
        for batch in batches:
            these = ids.slice(batch.column(row)[0].as_py(), len(batch)) if len(batch) else ids[:0]
            yield pa.RecordBatch.from_arrays([*batch.columns, these], [*batch.schema.names, "entries"])

    return pool.mapInArrow(hand_on_batches, extended(pool.schema, entries=ENTRIES))


def fingerprint(job: DataFrame) -> int:
    """A sum of hashes of all ids; it starts what the clock should not see, too."""
    return job.agg(F.sum(F.xxhash64("row", "entries") % (1 << 40))).first()[0]


if __name__ == "__main__":
    run(app)
