"""New pairs among those of a table ``pairs``, by tasks, a bucket each."""

import pyarrow as pa
from pyspark.sql import SparkSession

from pipeline.buckets.files import CODED, Files, write_bucket
from pipeline.buckets.keys import among
from pipeline.buckets.merge import in_order, merged
from pipeline.buckets.scatter import in_schema
from pipeline.buckets.spark import Batches, attempt, fill, run_tasks, totals
from pipeline.buckets.totals import Totals
from pipeline.ingest.distinct import distinct
from pipeline.ingest.plan import Plan
from pipeline.ingest.spark import COLLISION, DUPLICATE, KEPT, order_of


def add_pairs(
    spark: SparkSession, there: Files, read: str, plan: Plan, folder: str, changed: str, replaced: str
) -> Totals:
    """Writes ``there`` with the pairs in the folder ``read`` into ``folder``; rows that are in both are one.

    ``changed`` gets the new rows and those that changed, ``replaced`` those whose place they take. Lines count the rows
    that are there now, and the exact repeats.
    """
    buckets, schema = plan.buckets, there.schema()
    fill(read, buckets, schema)
    new = Files.of(read)
    order = order_of(schema)

    def add(bucket: int) -> Batches:
        found, rows = Totals(), new.table(bucket, buckets)
        old, rows = repeats(there, bucket, buckets, rows, schema)
        repeated = old["pair_id"].to_numpy()
        if len(repeated):
            again = among(rows["pair_id"].to_numpy(), repeated)
            both = pa.concat_tables([old, rows.filter(pa.array(again))])
            kept, collided = distinct(both, order)
            found.lines[DUPLICATE, None] += both.num_rows - kept.num_rows - collided
            found.lines[COLLISION, None] += collided
            rows = in_order(pa.concat_tables([in_schema(kept, schema), rows.filter(pa.array(~again))]))
        write_bucket(changed, bucket, attempt(), iter([rows]), schema, CODED)
        write_bucket(replaced, bucket, attempt(), iter([old]), schema, CODED)
        together = merged(there.read(bucket, buckets), rows, repeated)
        found.lines[KEPT, None] = write_bucket(folder, bucket, attempt(), together, schema, CODED)
        yield from found.blocks()

    return totals(run_tasks(spark, list(range(buckets)), add))


def repeats(there: Files, bucket: int, buckets: int, rows: pa.Table, schema: pa.Schema) -> tuple[pa.Table, pa.Table]:
    """The rows that are there whose pair_id some of the new ones have, and the new ones."""
    ids = rows["pair_id"].to_numpy()
    if not among(there.ids(bucket, buckets), ids).any():
        return schema.empty_table(), rows
    found = [schema.empty_table()]
    for batch in there.read(bucket, buckets):
        found.append(pa.Table.from_batches([batch.filter(pa.array(among(batch.column("pair_id").to_numpy(), ids)))]))
    return pa.concat_tables(found), rows
