"""The plots of a run, as PNG bytes."""

import io
from functools import cache
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager, ticker

matplotlib.use("Agg")
from matplotlib import pyplot as plt

BEFORE, AFTER, LIMIT, MUTED = "#9aa5b1", "#1f6feb", "#d1242f", "#57606a"
# Counts of less are drawn here: a logarithmic axis has no 0.
LOWEST = 0.7


def distribution_plot(figures: dict[str, Any], title: str) -> bytes:
    """A PNG of the figures of ``distribution``: matches by rank of entry, and the entries of most matches."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.8), width_ratios=(3, 2), layout="constrained")
    figure.suptitle(f"{title}: pairs by entry, before and after balancing", fontsize=13)
    _ranks(left, figures)
    _heads(right, figures)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return as_png(figure)


def _ranks(axes, figures: dict[str, Any]) -> None:
    """Counts by rank on logarithmic axes; what lies above ``t`` is cut, and the two lines part there."""
    ranks, limit, head = figures["ranks"], figures["t"][figures["list"]], figures["head"]
    before, between, after = (np.maximum(figures[side], LOWEST) for side in ("pool", "deduped", "curated"))
    axes.set(xscale="log", yscale="log", xlabel="entries by rank", ylabel="pairs that match", title=_subtitle(figures))
    axes.title.set(fontsize=10, color=MUTED)
    axes.fill_between(ranks, before, after, color=BEFORE, alpha=0.18, lw=0)
    axes.plot(ranks, before, color=BEFORE, lw=2.4, label="before")
    if (between < 0.98 * before).any():
        axes.plot(ranks, between, color=BEFORE, lw=1.2, ls=":", label="less near-duplicates")
    axes.plot(ranks, after, color=AFTER, lw=2.4, label="after")
    axes.set_ylim(bottom=LOWEST / 2)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:,.0f}")
    axes.axhline(limit, color=LIMIT, lw=1.2, ls="--", label=f"t = {limit:,.0f}")
    axes.legend(frameon=False)
    if 0 < head < figures["matched"]:
        axes.axvline(head + 0.5, color=LIMIT, lw=0.8, ls=":")
        for side, place, text in (
            ("right", -6, f"head: {head:,} entries, cut"),
            ("left", 6, f"tail: {figures['matched'] - head:,}, kept"),
        ):
            axes.annotate(
                text, (head + 0.5, 0.02), (place, 0), xycoords=axes.get_xaxis_transform(),
                textcoords="offset points", ha=side, fontsize=9, color=MUTED,
            )  # fmt: skip


def _subtitle(figures: dict[str, Any]) -> str:
    limits = sorted(figures["t"].values())
    if len(limits) == 1:
        return f"list {figures['list']}"
    return f"list {figures['list']}, one of {len(limits)}, whose t are {limits[0]:,.0f} to {limits[-1]:,.0f}"


def _heads(axes, figures: dict[str, Any]) -> None:
    heads = figures["heads"][::-1]
    places = np.arange(len(heads))
    axes.barh(places, [head["pool"] for head in heads], 0.7, color=BEFORE, alpha=0.5)
    axes.barh(places, [head["curated"] for head in heads], 0.7, color=AFTER)
    for place, head in zip(places, heads, strict=True):
        axes.annotate(
            f"{head['pool']:,} → {head['curated']:,}", (head["pool"], place), (4, 0), textcoords="offset points",
            va="center", fontsize=9, color=MUTED,
        )  # fmt: skip
    axes.set_yticks(places, [_label(head["entry"]) for head in heads], fontsize=10)
    axes.set(xlabel="pairs that match", xlim=(0, 1.38 * max((head["pool"] for head in heads), default=1)))
    axes.set_title("the entries of most matches", fontsize=10, color=MUTED)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_major_locator(ticker.MaxNLocator(4))


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
