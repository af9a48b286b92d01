"""Where images are, by tasks: pairs and samples meet by their name, the image_id or the id in the input.

Only names, ids and places move. What is found is a table in buckets beside the pairs.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession

from pipeline.buckets.blocks import blocks
from pipeline.buckets.files import Files, read_file, write_bucket
from pipeline.buckets.hashing import hashes
from pipeline.buckets.keys import bucket_count, bucket_of, first_id
from pipeline.buckets.scatter import Scatter, in_schema
from pipeline.buckets.spark import Batches, Parts, attempt, fill, new_spool, run_tasks, shuffle, totals
from pipeline.buckets.totals import Totals
from pipeline.paths import split_options
from pipeline.tars.index import samples_of
from pipeline.tars.join import first_samples, places_of
from pipeline.tars.ranks import fine_buckets, place_in_order
from pipeline.tars.rows import SUCCESS, places_in_range, with_place

# Where an image is, and what is known of it as it was before it was resized.
PLACE = ("image_offset", "image_size", "original_width", "original_height", "original_sha256")
LOCATED = pa.schema(
    {"pair_id": pa.int64(), "status": pa.string(), "tar": pa.string(), "image_offset": pa.int64(),
     "image_size": pa.int64(), "original_width": pa.int32(), "original_height": pa.int32(),
     "original_sha256": pa.string()}
)  # fmt: skip
STATUS, REFUSED = "status", "refused"
HALVES = (31, 32)  # seeds of the two halves of a name
PAIRS, SAMPLES, COUNTED = range(3)
TARS_A_TASK, MOST_TASKS = 4, 4096


@dataclass(frozen=True)
class Located:
    """The places by pair, in buckets; rows by status and refused members by reason; and the successes by rank.

    ``ranks``: see ``pipeline.tars.ranks``.
    """

    places: Files
    statuses: dict[str, int]
    refused: dict[str, int]
    ranks: np.ndarray


def in_fetched(spark: SparkSession, pairs: Files, rows: int, images: Files, tars: str, work: Callable) -> Located:
    """The places by the table ``images``, whose tars are in a folder. ``work`` makes folders for what is on its way."""
    before, options = split_options(tars)
    columns = ["image_id", "status", "shard", *PLACE[:4], "sha256"]

    def samples(path: str) -> Iterator[pa.Table]:
        for batch in read_file(path, columns):
            names = {"image_id": "name", "shard": "tar", "sha256": "original_sha256"}
            table = pa.Table.from_batches([batch]).rename_columns([names.get(n, n) for n in batch.schema.names])
            tar = pc.binary_join_element_wise(before.rstrip("/") + "/", table["tar"], options, "")
            yield table.set_column(table.schema.get_field_index("tar"), "tar", tar)

    return _locate(spark, pairs, rows, "image_id", list(images.paths), samples, work)


def in_tars(spark: SparkSession, pairs: Files, rows: int, tars: list[str], work: Callable) -> Located:
    """The places of the samples of tars whose uid, or else key, is the pair's source_uid."""
    size = min(TARS_A_TASK, max(1, len(tars) // (4 * spark.sparkContext.defaultParallelism)))
    size = max(size, -(-len(tars) // MOST_TASKS))
    groups = [tars[at : at + size] for at in range(0, len(tars), size)]

    def samples(group: list[str], refused: Counter) -> Iterator[pa.Table]:
        for tar in group:
            found, not_looked_at = samples_of(tar)
            refused.update(not_looked_at)
            found = found.filter(pc.is_valid(found["source_uid"])).rename_columns(["name", *found.column_names[1:]])
            count = found.num_rows
            yield found.append_column("tar", pa.repeat(tar, count)).append_column("status", pa.repeat(SUCCESS, count))

    return _locate(spark, pairs, rows, "source_uid", groups, samples, work)


def _locate(
    spark: SparkSession, pairs: Files, rows: int, by: str, sources: list, samples: Callable, work: Callable
) -> Located:
    """Brings pairs and samples together by their names, in as many tasks as there are buckets of places."""
    folder, spool = work("places"), work("names")
    buckets, fine = bucket_count(rows, 0), fine_buckets(rows)

    def send(item: tuple[int, object]) -> Batches:
        kind, source = item
        there = Scatter(new_spool(spool), buckets, by="high", part=kind)
        refused = Totals()
        if kind == PAIRS:
            for batch in read_file(source, ["pair_id", by]):
                named = batch.filter(pc.is_valid(batch.column(by)))
                high, low = names(named.column(by))
                yield from there.add(pa.record_batch({"high": high, "low": low, "id": named.column("pair_id")}))
        else:
            counts: Counter = Counter()
            for table in samples(source, counts) if by == "source_uid" else samples(source):
                high, low = names(table["name"].combine_chunks())
                table = table.drop_columns(["name"]).append_column("high", pa.array(high))
                for batch in table.append_column("low", pa.array(low)).combine_chunks().to_batches():
                    yield from there.add(batch)
            refused.lines.update({(REFUSED, reason): members for reason, members in counts.items()})
        yield from there.rest()
        there.spool.close()
        yield refused.block_of_lines(COUNTED)

    def join(_: int, parts: Parts) -> Batches:
        sides = {PAIRS: _NO_PAIRS, SAMPLES: _NO_SAMPLES}
        counted = Totals()
        for part, tables in parts:
            if part == COUNTED:
                for table in tables:
                    counted.add_lines(table)
            else:
                together = pa.concat_tables(tables, promote_options="default")
                sides[part] = in_schema(together, sides[part].schema)
        refused: Counter = Counter()
        found = places_of(sides[PAIRS], first_samples(sides[SAMPLES], refused)).sort_by("pair_id")
        counted.lines.update({(REFUSED, reason): members for reason, members in refused.items() if members})
        yield blocks(bucket_of(found["pair_id"].to_numpy(), buckets), found.combine_chunks())
        yield counted.block_of_lines(COUNTED)

    def write(bucket: int, parts: Parts) -> Batches:
        found, tables = Totals(), [LOCATED.empty_table()]
        for part, blocks_of in parts:
            for table in blocks_of:
                if part == COUNTED:
                    found.add_lines(table)
                else:
                    tables.append(table.cast(LOCATED))
        places = pa.concat_tables(tables).sort_by("pair_id")
        write_bucket(folder, bucket, attempt(), iter([places]), LOCATED)
        for line in places["status"].value_counts().to_pylist():
            found.lines[STATUS, line["values"]] += line["counts"]
        here = places["pair_id"].filter(pc.equal(places["status"], SUCCESS)).to_numpy()
        found.count(*np.unique(place_in_order(here, fine), return_counts=True))
        yield from found.blocks()

    items = [*((PAIRS, path) for path in pairs.paths), *((SAMPLES, source) for source in sources)]
    found = totals(shuffle(shuffle(run_tasks(spark, items, send), buckets, join), buckets, write), fine)
    fill(folder, buckets, LOCATED)
    of = {kind: {n: c for (k, n), c in sorted(found.lines.items()) if k == kind and c} for kind in (STATUS, REFUSED)}
    return Located(Files.of(folder), of[STATUS], of[REFUSED], found.numbers(fine))


def names(values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """128 bits of each name, as two int64."""
    return tuple(hashes(values, seed) for seed in HALVES)


_NO_PAIRS = pa.schema({"high": pa.int64(), "low": pa.int64(), "id": pa.int64()}).empty_table()
_NO_SAMPLES = pa.schema(
    [("high", pa.int64()), ("low", pa.int64()), ("by_key", pa.bool_()), *list(LOCATED)[1:]]
).empty_table()


def with_places(spark: SparkSession, pairs: Files, places: Files | None, by_uid: bool) -> DataFrame:
    """The pairs as a DataFrame with the columns of ``LOCATED`` and ``image_key``, which tells images apart.

    Pairs of one key have one image: of one image_id, and in tars (``by_uid``) of one id in the input, as two uids of
    one URL are two images, as far as anybody knows.
    """
    schema, files = pairs.schema(), len(pairs.paths)
    every = pa.schema([*schema, *list(LOCATED)[1:], pa.field("image_key", pa.string())])

    def read(bucket: int) -> Batches:
        ids = first_id(bucket, files), first_id(bucket + 1, files)
        there = LOCATED.empty_table() if places is None else places_in_range(places, *ids)
        for batch in pairs.read_ids(*ids):
            key = batch.column("image_id")
            if by_uid:
                key = pc.coalesce(pc.binary_join_element_wise(key, batch.column("source_uid"), "/"), key)
            yield with_place(batch, there).append_column("image_key", key).cast(every)

    return run_tasks(spark, list(range(files)), read, every)
