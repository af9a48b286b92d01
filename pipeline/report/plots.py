"""The plots of a run, as PNG bytes."""

import io
from functools import cache
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

BEFORE, AFTER, LIMIT = "#9aa5b1", "#1f6feb", "#d1242f"


def distribution_plot(figures: dict[str, Any], title: str) -> bytes:
    """A PNG of the figures of ``distribution``: matches by rank of entry, and the entries of most matches, before and after."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), width_ratios=(3, 2), layout="constrained")
    left.loglog(figures["ranks"], np.maximum(figures["before"], 0.5), color=BEFORE, lw=2.2, label="pool")
    left.loglog(figures["ranks"], np.maximum(figures["after"], 0.5), color=AFTER, lw=2.2, label="curated")
    limits = sorted(set(figures["t"].values()))
    if len(limits) == 1:
        left.axhline(limits[0], color=LIMIT, ls="--", lw=1, label=f"t = {limits[0]:,.0f}")
    elif limits:
        left.axhspan(limits[0], limits[-1], color=LIMIT, alpha=0.12, lw=0, label=f"t = {limits[0]:,.0f} to {limits[-1]:,.0f}")
    left.set(xlabel="entries by rank", ylabel="pairs that match", title=title)
    left.legend(frameon=False)
    heads = figures["heads"][::-1]
    places = np.arange(len(heads))
    right.barh(places + 0.2, [head["before"] for head in heads], 0.4, color=BEFORE)
    right.barh(places - 0.2, [head["after"] for head in heads], 0.4, color=AFTER)
    right.set_yticks(places, [_label(head) for head in heads], fontsize=8)
    right.set(title="entries of most matches", xlabel="pairs that match")
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
    size.legend(handles, [handle.get_label() for handle in handles], frameon=False, loc="upper left")
    return as_png(figure)


def as_png(figure) -> bytes:
    """The figure as a PNG without dates in it; the figure is closed."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=120, metadata={"Software": None})
    plt.close(figure)
    return out.getvalue()


def _label(head: dict[str, Any]) -> str:
    """The list and the entry; the plot's font has no glyphs of many scripts, so those are told by number of characters."""
    entry = head["entry"] if head["entry"].isascii() or _has_glyphs(head["entry"]) else f"({len(head['entry'])} characters)"
    return f"{head['entry_list']}: {entry[:28]}".replace("$", r"\$")


def _has_glyphs(text: str) -> bool:
    return all(ord(c) in _glyphs() for c in text)


@cache
def _glyphs() -> dict[int, int]:
    return font_manager.get_font(font_manager.findfont("DejaVu Sans")).get_charmap()
