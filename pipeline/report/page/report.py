"""``report.html``: what one run did, gathered from its output."""

from typing import Any

import numpy as np
import pyarrow.compute as pc

from pipeline import storage
from pipeline.report.page import balance, duplicates, images, provenance, texts
from pipeline.report.page.entries import pack_entries, side_packs
from pipeline.report.page.html import page
from pipeline.report.page.samples import choose
from pipeline.report.page.source import Entries, Output

NAMES = NAME, SIDE_FOLDER = "report.html", "report-entries"
MOST_CHARACTERS = 4_900_000
SCRIPTS = ("page.js", "charts.js", "balance.js", "entries.js", "sections.js", "report.js")
HEADS = 400


def write_report(output: Output) -> str:
    """Writes the report into the output's folder, and, of very many entries, the rest beside it; returns its path."""
    data = gather(output)
    entries = output.entries if output.balanced else None
    room = max(0, MOST_CHARACTERS - len(page(data, SCRIPTS)))
    packed, sides = "", []
    if entries is not None:
        found, rest = pack_entries(entries, room)
        packed, sides = found.text, list(side_packs(entries, rest))
        data["search"] = found.facts | {
            "side": [side.facts["lists"] for side in sides],
            "least": int(entries.count[found.flat].min()) if sides and len(found.flat) else 0,
        }
        _point_into_pack(data, found.flat)
    folder = storage.join(output.folder, SIDE_FOLDER)
    storage.remove(folder)
    for number, side in enumerate(sides):
        storage.make_folder(folder)
        call = f'report.side({number}, "{side.text}");\n'
        storage.write_bytes(storage.join(folder, f"{number:04d}.js"), call.encode())
    path = storage.join(output.folder, NAME)
    storage.write_bytes(path, page(data, SCRIPTS, packed, bool(sides)))
    return path


def gather(output: Output) -> dict[str, Any]:
    """The data of the page: what is there of each section."""
    name = str(output.recipe.get("name", "output"))
    data: dict[str, Any] = {
        "title": f"{name}: curation report",
        "name": name,
        "balancing": output.section("balance"),
        "stages": provenance.stages(output),
        "filters": provenance.filters(output),
        "recipe": provenance.recipe(output),
        "versions": provenance.versions(),
    }
    if output.has("curated"):
        data["curated"], data["later"] = output.rows("curated"), output.later()
    if output.balanced:
        data["balance"] = balance.figures(output)
        data["languages"] = texts.languages(output)
        data["texts"] = texts.lengths(output)
        data["duplicates"] = duplicates.figures(output)
        folder = images.shards_folder(output)
        shard = None if folder is None else images.Shard(folder)
        data["images"] = images.figures(output, shard)
        data |= _entries(output, shard)
        if shard is not None:
            shard.close()
    return data


def _entries(output: Output, shard: images.Shard | None) -> dict[str, Any]:
    """Entries that moved, and sample pairs, some with thumbnails; entries by their flat index."""
    entries, left = output.entries, output.left
    moved = balance.moved(entries)
    heads = np.argsort(-entries.count, kind="stable")[:HEADS]
    important = np.unique(np.concatenate([heads, *(np.array(ids, np.int64) for ids in moved.values())]))
    in_shard = np.zeros(0, np.int64)
    if shard is not None and shard.index.num_rows:
        in_shard = np.flatnonzero(pc.is_in(left["pair_id"], value_set=shard.index["pair_id"].combine_chunks()))
    samples = choose(left, entries, important, in_shard)
    rows = {} if not len(in_shard) else {int(one): at for at, one in enumerate(shard.index["pair_id"].to_numpy())}
    shown, ids, main = 0, left["pair_id"].to_numpy(), set(important.tolist())
    for sample in samples:
        row = rows.get(int(ids[sample.pop("row")]))
        if row is not None and shown < images.OF_ENTRIES and main & set(sample["entries"]):
            sample["webp"] = shard.thumbnail(row)
            shown += 1
    totals = {"before": float(entries.count.sum()), "after": int(entries.kept.sum())}
    lines = {side: [entry_line(entries, at) for at in found] for side, found in moved.items()}
    return {"moved": lines | totals, "samples": samples}


def entry_line(entries: Entries, at: int) -> dict[str, Any]:
    """An entry as a line of a table."""
    name = list(entries.sizes)[entries.list_numbers[at]]
    return {
        "entry": entries.names[at].as_py(),
        "list": name,
        "count": float(entries.count[at]),
        "kept": int(entries.kept[at]),
    }


def _point_into_pack(data: dict[str, Any], flat: np.ndarray) -> None:
    """Turns the samples' entries from flat indices into indices of the pack; the others are left out."""
    for sample in data.get("samples", []):
        ids = np.array(sample["entries"], np.int64)
        at = np.minimum(np.searchsorted(flat, ids), max(0, len(flat) - 1))
        sample["entries"] = at[flat[at] == ids].tolist() if len(flat) else []
