"""``diff.html``: two finished outputs beside each other: what entered, what left, which entries moved."""

from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import storage
from pipeline.errors import UsageError
from pipeline.report.page import provenance, texts
from pipeline.report.page.balance import curves
from pipeline.report.page.html import page
from pipeline.report.page.samples import clipped, host
from pipeline.report.page.source import Output

SCRIPTS = ("page.js", "charts.js", "diff.js")
SHOWN, MOVED = 60, 25


def write_diff(a: Output, b: Output, path: str) -> str:
    """Writes the page of the differences from ``a`` to ``b``; returns its path.

    Raises ``UsageError`` where one of them has no table of curated pairs.
    """
    storage.write_bytes(path, page(gather(a, b), SCRIPTS))
    return path


def gather(a: Output, b: Output) -> dict[str, Any]:
    """The data of the page; ``a`` is what was, ``b`` what is."""
    for output in (a, b):
        if not output.balanced:
            raise UsageError(f"{output.folder}: no finished table curated; run the stage balance first")
    names = [str(output.recipe.get("name", "?")) for output in (a, b)]
    return {
        "title": f"{names[0]} and {names[1]}: what differs",
        "names": names,
        "folders": ["/".join(output.folder.split("/")[-2:]) for output in (a, b)],
        "stages": [provenance.stages(output) for output in (a, b)],
        "pairs": pairs(a, b),
        "curves": [curve(output) for output in (a, b)],
        "entries": entries(a, b),
        "languages": languages(a, b),
        "recipe": recipes(a, b),
    }


def pairs(a: Output, b: Output) -> dict[str, Any]:
    """How many pairs are in both and in one alone, by pair_id, and random ones of those."""
    sides = [output.files("curated") for output in (a, b)]
    buckets = max(len(files.paths) for files in sides)
    both, alone, samples = 0, [0, 0], ([], [])
    for bucket in range(buckets):
        ids = [_ids(files.read(bucket, buckets, ["pair_id"])) for files in sides]
        common = np.intersect1d(*ids, assume_unique=True)
        both += len(common)
        for at in (0, 1):
            only = np.setdiff1d(ids[at], common, assume_unique=True)
            alone[at] += len(only)
            if len(only) and len(samples[at]) < SHOWN:
                wanted = only[: SHOWN - len(samples[at])]
                for batch in sides[at].read_ids(int(wanted[0]), int(wanted[-1]) + 1, ["pair_id", "text", "url"]):
                    rows = batch.filter(pa.array(np.isin(batch.column("pair_id").to_numpy(), wanted))).to_pylist()
                    samples[at].extend({"text": clipped(row["text"]), "host": host(row["url"])} for row in rows)
    return {"both": both, "left": alone[0], "entered": alone[1], "left_samples": samples[0],
            "entered_samples": samples[1]}  # fmt: skip


def _ids(batches) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int64), *(batch.column("pair_id").to_numpy() for batch in batches)])


def curve(output: Output) -> dict[str, Any]:
    """What is kept by rank of entry, all lists together."""
    found = output.entries
    return {key: value for key, value in curves(found.kept, found.kept, found.kept).items() if key in ("ranks", "kept")}


def entries(a: Output, b: Output) -> dict[str, Any]:
    """The entries, by list and name, whose share of what is kept grew and shrank most from ``a`` to ``b``."""
    numbers = [_numbered(output) for output in (a, b)]
    totals = [max(1, int(output.entries.kept.sum())) for output in (a, b)]
    joined = numbers[0].join(numbers[1], ["entry_list", "entry"], join_type="full outer", right_suffix="_b")
    before, after = (joined[name].fill_null(0).to_numpy() for name in ("kept", "kept_b"))
    change = after / totals[1] - before / totals[0]
    order = np.argsort(change, kind="stable")
    lists, names = joined["entry_list"], joined["entry"]

    def lines(found) -> list[dict[str, Any]]:
        return [
            {"entry": names[at].as_py(), "list": lists[at].as_py(), "before": int(before[at]), "after": int(after[at])}
            for at in map(int, found)
            if change[at]
        ]

    return {"totals": totals, "lost": lines(order[:MOVED]), "gained": lines(order[::-1][:MOVED])}


def _numbered(output: Output) -> pa.Table:
    """List, name and what is kept of the entries that keep something."""
    found = output.entries
    at = np.flatnonzero(found.kept)
    lists = pa.DictionaryArray.from_arrays(pa.array(found.list_numbers[at]), pa.array(list(found.sizes)))
    return pa.table({"entry_list": lists.cast(pa.string()), "entry": found.names.take(pa.array(at)).cast(pa.string()),
                     "kept": found.kept[at]})  # fmt: skip


def languages(a: Output, b: Output) -> list[dict[str, Any]]:
    """A row a list: t and pairs kept in both."""
    rows = [{row["entry_list"]: row for row in texts.languages(output)} for output in (a, b)]
    found = []
    for name in dict.fromkeys([*rows[0], *rows[1]]):
        before, after = (side.get(name, {}) for side in rows)
        found.append(
            {
                "list": name,
                "t": [before.get("t"), after.get("t")],
                "kept": [before.get("kept", 0), after.get("kept", 0)],
            }
        )
    return sorted(found, key=lambda row: -max(row["kept"]))


def recipes(a: Output, b: Output) -> list[dict[str, Any]]:
    """The keys of the recipes that differ."""
    flat = [dict(provenance.flat(output.recipe)) for output in (a, b)]
    keys = [key for key in dict.fromkeys([*flat[0], *flat[1]]) if flat[0].get(key) != flat[1].get(key)]
    return [
        {"key": key, "values": [provenance.shown(side[key]) if key in side else None for side in flat]} for key in keys
    ]
