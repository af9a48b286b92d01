"""The plots of a run, as PNG bytes."""

import io
from functools import cache
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager

matplotlib.use("Agg")
from matplotlib import pyplot as plt

BEFORE, BETWEEN, AFTER, LIMIT = "#9aa5b1", "#8cc4ff", "#1f6feb", "#d1242f"
SIDES = (("pool", BEFORE, "matched pool"), ("deduped", BETWEEN, "less near-duplicates"), ("curated", AFTER, "curated"))


def distribution_plot(figures: dict[str, Any], title: str) -> bytes:
    """A PNG of the figures of ``distribution``: matches by rank of entry, and the entries of most matches."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), width_ratios=(3, 2), layout="constrained")
    for side, color, label in SIDES:
        left.loglog(figures["ranks"], np.maximum(figures[side], 0.5), color=color, lw=2, label=label)
    limits = sorted(set(figures["t"].values()))
    if limits:
        label = f"t = {limits[0]:,.0f}" + (f" to {limits[-1]:,.0f}" if len(limits) > 1 else "")
        left.fill_between(
            figures["ranks"], limits[0] * 0.97, limits[-1] * 1.03, color=LIMIT, alpha=0.3, lw=0, label=label
        )
    left.set(xlabel="entries by rank", ylabel="pairs that match", title=title)
    left.legend(frameon=False)
    heads = figures["heads"][::-1]
    places = np.arange(len(heads))
    for place, (side, color, _) in zip((0.27, 0, -0.27), SIDES, strict=True):
        right.barh(places + place, [head[side] for head in heads], 0.27, color=color)
    right.set_yticks(places, [_label(head["entry"]) for head in heads], fontsize=8)
    right.set(title=f"entries of most matches ({figures['list']})", xlabel="pairs that match")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return as_png(figure)


def what_if_plot(lines: list[dict[str, Any]], dead_links: float) -> bytes:
    """A PNG of expected size and tail share over ``t``."""
    figure, size = plt.subplots(figsize=(7, 4.4), layout="constrained")
    ts = [line["t"] for line in lines]
    size.semilogx(ts, [line["size"] for line in lines], color=AFTER, lw=2, marker="o", ms=3, label="expected size")
    if dead_links:
        fetched = [line["fetched"] for line in lines]
        size.semilogx(ts, fetched, color=AFTER, lw=1, ls="--", label=f"less {dead_links:.0%} dead links")
    size.set(xlabel="t", ylabel="pairs", ylim=(0, None))
    share = size.twinx()
    share.semilogx(ts, [line["tail_share"] for line in lines], color=BEFORE, lw=2, label="tail share")
    share.set(ylabel="tail share", ylim=(0, 1.02))
    handles = [*size.get_legend_handles_labels()[0], *share.get_legend_handles_labels()[0]]
    size.legend(handles, [handle.get_label() for handle in handles], frameon=False, loc="lower right")
    size.yaxis.set_major_formatter("{x:,.0f}")
    return as_png(figure)


def as_png(figure) -> bytes:
    """The figure as a PNG without dates in it; the figure is closed."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=120, metadata={"Software": None})
    plt.close(figure)
    return out.getvalue()


def _label(entry: str) -> str:
    """The entry; the plot's font has no glyphs of some scripts, so such a one is told by its number of characters."""
    return (entry[:28] if _has_glyphs(entry) else f"({len(entry)} characters)").replace("$", r"\$")


def _has_glyphs(text: str) -> bool:
    return all(ord(c) in _glyphs() for c in text)


@cache
def _glyphs() -> dict[int, int]:
    return font_manager.get_font(font_manager.findfont("DejaVu Sans")).get_charmap()
