"""A comparison as plots: each measure by recipe with the seeds as points."""

import io
import warnings
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

COLOUR, POINT = "#4c72b0", "#222222"


def plots(found: dict[str, Any]) -> dict[str, bytes]:
    """PNG files by name: ``measures.png``, a small plot for each measure, bars of the mean and a point a seed."""
    # Names may have dollars, and signs that the plots' font does not: they are in the table.
    with mpl.rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        return {"measures.png": _measures(found)}


def _measures(found: dict[str, Any]) -> bytes:
    labels = list(found["recipes"])
    names = list(found["recipes"][labels[0]]["measures"])
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(3.4 * columns, 1.0 + (0.42 * len(labels) + 0.9) * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for at, axis in enumerate(axes.flat):
        if at >= len(names):
            axis.set_visible(False)
            continue
        spreads = [found["recipes"][label]["measures"][names[at]] for label in labels]
        axis.barh(labels, [100 * spread["mean"] for spread in spreads], color=COLOUR, alpha=0.75)
        for place, spread in enumerate(spreads):
            values = [100 * value for value in spread["values"]]
            axis.plot(values, [place] * len(values), "o", color=POINT, markersize=3)
        axis.set_title(f"{names[at]}, %", fontsize=9)
        axis.set_xlim(left=0)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].invert_yaxis()
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=130)
    return out.getvalue()
