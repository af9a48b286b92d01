"""New rows among those of a table ``matched``, by tasks, a bucket each."""

from pyspark.sql import SparkSession

from pipeline.buckets.files import CODED, Files, write_bucket
from pipeline.buckets.merge import merged
from pipeline.buckets.spark import Batches, attempt, run_tasks, totals
from pipeline.buckets.totals import Totals

KEPT = "kept"


def add_matched(spark: SparkSession, there: Files, added: Files, replaced: Files, folder: str) -> int:
    """Writes ``there`` without the pairs in ``replaced`` and with those in ``added``, and returns the rows.

    ``folder`` gets as many buckets as ``added`` has.
    """
    buckets, schema = len(added.paths), there.schema()

    def add(bucket: int) -> Batches:
        found, gone = Totals(), replaced.ids(bucket, buckets)
        rows = merged(there.read(bucket, buckets), added.table(bucket, buckets), gone)
        found.lines[KEPT, None] = write_bucket(folder, bucket, attempt(), rows, schema, CODED)
        yield from found.blocks()

    return totals(run_tasks(spark, list(range(buckets)), add)).lines[KEPT, None]
