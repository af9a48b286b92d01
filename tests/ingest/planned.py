"""Files of a pool, and the plan of reading them."""

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ingest.plan import plan
from pipeline.recipe import Input


def parquet(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


def planned(paths, language_column=False, **options):
    return plan(Input(paths=[str(p) for p in paths], **options), language_column)
