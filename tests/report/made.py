"""A finished output made without Spark: tables as the stages write them, from lists and matches that a test gives."""

import hashlib
import io
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

from pipeline.balance.counts import COUNTS, EntryCounter, ListCounts
from pipeline.balance.thresholds import followed, keep_probability, leader, probabilities, tail_share
from pipeline.buckets.files import write_bucket
from pipeline.buckets.totals import Totals
from pipeline.report.page.source import Output
from pipeline.shards.content import image_loader
from pipeline.shards.tar import JSON_FIELDS, sample_key, write_shard
from pipeline.stages import STAGES
from pipeline.tables import CLUSTERS, CURATED, ENTRY_COUNTS, MATCHED, THRESHOLDS, arrow_schema

TABLES = {stage.name: tuple(stage.tables) for stage in STAGES}
LISTS = {"en": [f"word{i}" for i in range(400)], "de": [f"wort{i}" for i in range(300)], "zh": ["猫", "狗", "\n odd"]}
NOTES = {"dedupe": {"removed_by_words": {"4": 2, "5-9": 1}, "entries_that_lost_most": []}}


def data_of(text: str) -> dict:
    return json.loads(re.search(r'id="page-data">(.*?)</script>', text, re.S)[1])


def hashed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8], "little", signed=True)


def write_output(
    folder: Path, lists: dict[str, list[str]], pairs: list[dict], t: float = 3, images: bool = True
) -> Path:
    """An output of ``pairs``: url, text, entry_list, entries (ids), and cluster (a name) where near-duplicates are.

    Of a cluster the first pair stays. ``images``: shards too, with an image of a colour for each pair.
    """
    folder.mkdir(parents=True)
    rows = [
        dict.fromkeys(arrow_schema(CURATED).names)
        | {"draw": (hashed("draw" + pair["url"]) % 10_000) / 10_000, "copies": 1, "image_id": pair["url"]}
        | {"language": pair["entry_list"], "pair_id": hashed(pair["url"] + "\0" + pair["text"])}
        | pair
        for pair in pairs
    ]
    first: dict[str, int] = {}
    for row in rows:
        if "cluster" in row:
            row["cluster_id"] = first.setdefault(row["cluster"], row["pair_id"])
            row["kept"] = row["cluster_id"] == row["pair_id"]
    rows = sorted(rows, key=lambda row: row["pair_id"])
    sizes = {name: len(entries) for name, entries in sorted(lists.items())}
    stay = [row for row in rows if row.get("kept", True)]
    matched, deduped = counted(sizes, rows), counted(sizes, stay)
    ts = followed(deduped, {leader(deduped): t})
    limits = np.repeat([ts[name] for name in sizes], list(sizes.values()))
    probability = probabilities(deduped, limits)
    for row in stay:
        ids = np.array(row["entries"]) + deduped.starts[row["entry_list"]]
        row["keep_probability"] = float(keep_probability(probability, ids, np.array([0, len(ids)]))[0])
    curated = [row for row in stay if row["draw"] < row["keep_probability"]]
    kept = counted(sizes, curated)
    write(folder / "matched", rows, arrow_schema(MATCHED))
    counts_of(folder / "matched", matched)
    clusters = [row for row in rows if "cluster" in row]
    write(folder / "clusters", clusters, arrow_schema(CLUSTERS))
    write(folder / "curated", curated, arrow_schema(CURATED))
    of = np.repeat(np.arange(len(sizes)), list(sizes.values()))
    names = pa.DictionaryArray.from_arrays(pa.array(of), pa.array(list(sizes)))
    columns = {
        "entry_list": names.cast(pa.string()),
        "entry_id": np.concatenate([np.arange(size, dtype=np.int32) for size in sizes.values()]),
        "entry": pa.array([entry for name in sizes for entry in lists[name]], pa.string()),
        "count": deduped.counts,
        "probability": probability,
        "kept": kept.counts,
    }
    table(folder / "entry_counts", pa.table(columns, schema=ENTRY_COUNTS))
    lines = [
        {"entry_list": name, "t": ts[name], "tail_share": tail_share(deduped.of_list(name), ts[name]),
         "pairs": deduped.pairs[name], "matches": int(deduped.of_list(name).sum()), "entries": sizes[name],
         "entries_matched": int((deduped.of_list(name) > 0).sum()), "kept": kept.pairs[name]}
        for name in sizes
    ]  # fmt: skip
    table(folder / "thresholds", pa.Table.from_pylist(lines, THRESHOLDS))
    done = {"match": (len(rows) + 2, {"no_match": 2}, len(rows)), "dedupe": (len(rows), {"near_duplicate": len(rows) - len(stay)}, len(stay)),
            "balance": (len(stay), {"not_drawn": len(stay) - len(curated)}, len(curated))}  # fmt: skip
    if images:
        write_images(folder / "shards", curated)
        done["shards"] = (len(curated), {}, len(curated))
    (folder / ".stages").mkdir()
    for stage, (rows_in, dropped, rows_out) in done.items():
        found = {"stage": stage, "rows_in": rows_in, "rows_out": rows_out, "dropped": dropped, "seconds": 1.5}
        (folder / ".stages" / f"{stage}.json").write_text(json.dumps(found | {"notes": NOTES.get(stage, {})}))
    (folder / "recipe.yaml").write_text(yaml.safe_dump({"name": "made", "balance": {"t": t, "mode": "sample"}}))
    return folder


def opened(folder: Path) -> Output:
    return Output.open(str(folder), TABLES)


def counted(sizes: dict[str, int], rows: list[dict]) -> ListCounts:
    counter, totals = EntryCounter(sizes), Totals()
    if rows:
        lists = pa.array([row["entry_list"] for row in rows])
        counter.add(lists, pa.array([row["entries"] for row in rows], pa.list_(pa.int32())))
    counter.add_to(totals, ListCounts(sizes).starts)
    return ListCounts.of_totals(sizes, totals)


def write(folder: Path, rows: list[dict], schema: pa.Schema) -> None:
    folder.mkdir(exist_ok=True)
    taken = [{name: row.get(name) for name in schema.names} for row in rows]
    write_bucket(str(folder), 0, "0", iter(pa.Table.from_pylist(taken, schema).to_batches()), schema)


def table(folder: Path, content: pa.Table) -> None:
    folder.mkdir(exist_ok=True)
    pq.write_table(content, folder / "part-00000.parquet")


def counts_of(folder: Path, counts: ListCounts) -> None:
    table(folder / COUNTS, counts.as_table())


def write_images(folder: Path, rows: list[dict]) -> None:
    folder.mkdir()
    ordered = [dict.fromkeys(JSON_FIELDS) | row for row in sorted(rows, key=lambda row: sample_key(row["pair_id"]))]
    write_shard(str(folder), 0, ordered, image_loader(lambda row: colour(row["pair_id"])))
    (folder / "manifest.json").write_text("{}")


def colour(number: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (120, 80), (number & 255, number >> 8 & 255, number >> 16 & 255)).save(out, "PNG")
    return out.getvalue()


def zipf_pairs(lists: dict[str, list[str]], pairs: int, seed: int = 0) -> list[dict]:
    """Pairs of a few entries each, some entries very common; some texts nearly the same."""
    rng, found = np.random.default_rng(seed), []
    for at in range(pairs):
        name = list(lists)[at % len(lists)]
        ids = sorted({int(one) for one in np.minimum(rng.zipf(1.4, 3) - 1, len(lists[name]) - 1)})
        text = " ".join(lists[name][one] for one in ids)
        pair = {"url": f"https://images{at % 7}.test/{at}.jpg", "text": text, "entry_list": name, "entries": ids}
        found.append(pair | ({"cluster": f"c{at % 20}"} if at % 10 == 0 else {}))
    return found
