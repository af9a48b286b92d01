"""Shares with their intervals, and ratios of two shares with theirs."""

from typing import Any

import numpy as np

Z = 1.959963984540054  # of 95%


def share(count: int, rows: int) -> dict[str, Any]:
    """A share with Wilson's 95% interval (Wilson 1927); None where there are no rows."""
    if not rows:
        return {"count": int(count), "share": None, "low": None, "high": None}
    p, z2 = count / rows, Z * Z / rows
    centre = (p + z2 / 2) / (1 + z2)
    half = Z / (1 + z2) * np.sqrt(p * (1 - p) / rows + z2 / (4 * rows))
    return {"count": int(count), "share": p, "low": float(max(0, centre - half)), "high": float(min(1, centre + half))}


def ratio(count: int, rows: int, before: int, rows_before: int) -> dict[str, Any] | None:
    """A share over the share before, with the 95% interval of Katz et al. (1978) for a ratio of two; None without one.

    Of a set and the larger one that it was taken from it is a little too wide, as the two have pairs in common.
    """
    if not count or not before or not rows or not rows_before:
        return None
    value = (count / rows) / (before / rows_before)
    half = Z * np.sqrt(max(0.0, 1 / count - 1 / rows + 1 / before - 1 / rows_before))
    return {"ratio": value, "low": float(value * np.exp(-half)), "high": float(value * np.exp(half))}
