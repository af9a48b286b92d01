"""The best scored share as DataFrames: what is left is sorted, which spills, and one row of that is the cut-off."""

from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType

from pipeline.errors import UsageError
from pipeline.filter.duplicates.spark import drop


def ranked(pairs: DataFrame, column: str) -> DataFrame:
    """The pairs that are left and have a score, best first, then by pair_id: (score, pair_id)."""
    found = next((field for field in pairs.schema if field.name == column), None)
    if found is None or not isinstance(found.dataType, NumericType):
        wrong = "no such column" if found is None else f"has {found.dataType.simpleString()}, numbers are allowed"
        hint = "; it may come from filter.columns or input.pass_through" if found is None else ""
        raise UsageError(f"filter.best.column: {column!r}: {wrong}{hint}")
    scored = pairs.where(F.col("dropped").isNull() & ~_absent(column))
    return scored.select(_score(column).alias("score"), "pair_id").orderBy(F.desc("score"), "pair_id")


def by_best(pairs: DataFrame, column: str, last: dict[str, Any] | None) -> DataFrame:
    """Drops the pairs behind the ``last`` one of ``ranked`` that stays (None: none does), and those without a score."""
    behind = F.lit(True)
    if last is not None:
        score, at = _score(column), F.lit(last["score"])
        behind = (score < at) | ((score == at) & (F.col("pair_id") > last["pair_id"]))
    return pairs.transform(drop, {"not_scored": _absent(column), "not_best": behind})


def _score(column: str) -> Column:
    """The score as a double, in which 0.0 and -0.0 are one."""
    return F.col(f"`{column}`").cast("double") + 0.0


def _absent(column: str) -> Column:
    return _score(column).isNull() | F.isnan(_score(column))
