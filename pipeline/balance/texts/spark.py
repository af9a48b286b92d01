"""The texts of an image by tasks: numbers of images and pairs go to the image's task, ids back to their bucket."""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from pipeline.balance.pool import Pool
from pipeline.balance.texts.ids import image_numbers, smallest_of_image, texts_of_image
from pipeline.buckets.blocks import blocks
from pipeline.buckets.files import Files, write_bucket
from pipeline.buckets.keys import bucket_of
from pipeline.buckets.scatter import Scatter
from pipeline.buckets.spark import Batches, Parts, attempt, fill, new_spool, run_tasks, shuffle, totals
from pipeline.buckets.totals import Totals

CHOSEN = pa.schema({"pair_id": pa.int64()})
IMAGE_TEXTS = pa.schema({"pair_id": pa.int64(), "texts": pa.int64()})


def choose_texts(spark: SparkSession, pool: Pool, seed: int, folder: str, spool: str) -> Files:
    """Writes the pair_id of one text of each image of the pool, by bucket."""

    def choose(high: np.ndarray, low: np.ndarray, ids: np.ndarray) -> pa.Table:
        return pa.table({"pair_id": smallest_of_image(high, low, ids, seed)})

    return _by_image(spark, pool, choose, CHOSEN, folder, spool)


def count_texts(spark: SparkSession, pool: Pool, folder: str, spool: str) -> Files:
    """Writes, for each pair of the pool, how many texts its image has there, by bucket."""

    def count(high: np.ndarray, low: np.ndarray, ids: np.ndarray) -> pa.Table:
        return pa.table({"pair_id": ids, "texts": texts_of_image(high, low)})

    return _by_image(spark, pool, count, IMAGE_TEXTS, folder, spool)


def _by_image(
    spark: SparkSession, pool: Pool, of_images: Callable[..., pa.Table], schema: pa.Schema, folder: str, spool: str
) -> Files:
    """Writes what ``of_images`` makes of all pairs of some images (their numbers, and the pair_ids), by bucket."""
    buckets = len(pool.pairs.paths)

    def send(bucket: int) -> Batches:
        there = Scatter(new_spool(spool), buckets, by="high")
        for batch in pool.all_texts().read(bucket, buckets, ["image_id"]):
            high, low = image_numbers(batch.column("image_id"))
            yield from there.add(pa.record_batch({"high": high, "low": low, "id": batch.column("pair_id")}))
        yield from there.rest()
        there.spool.close()

    def judge(_: int, parts: Parts) -> Batches:
        for _, tables in parts:
            found = of_images(*(column.to_numpy() for column in pa.concat_tables(tables).columns)).sort_by("pair_id")
            yield blocks(bucket_of(found["pair_id"].to_numpy(), buckets), found)

    def write(bucket: int, parts: Parts) -> Batches:
        found = Totals()
        rows: Iterator[pa.Table] = (pa.concat_tables(tables).sort_by("pair_id") for _, tables in parts)
        found.lines["rows",] = write_bucket(folder, bucket, attempt(), rows, schema)
        yield from found.blocks()

    sent = run_tasks(spark, list(range(buckets)), send)
    totals(shuffle(shuffle(sent, buckets, judge), buckets, write))
    fill(folder, buckets, schema)
    return Files.of(folder)
