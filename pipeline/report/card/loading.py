"""How an output is loaded: lines for the card that run in its folder as they stand (``tests/report`` runs them)."""

import glob
import json
import shlex

from pipeline.report.card.contents import SHARDS, Contents

HUGGING_FACE = """\
from pathlib import Path

from datasets import load_dataset

folder = str(Path.cwd())  # this folder; or, once it is on the Hub, the name of its repository
pairs = load_dataset(folder, "{table}", split="train")
same = load_dataset("parquet", data_files="{table}/*.parquet", split="train")
"""
HUGGING_FACE_SHARDS = """\
from datasets import Features, Image, Value, load_dataset

text, number = Value("string"), Value("float64")
meta = dict.fromkeys(["uid", "source_uid", "url", "text", "language", "entry_list", "sha256"], text)
meta |= {{"entries": [Value("int32")], "keep_probability": number, "draw": number}}
meta |= {{"width": Value("int32"), "height": Value("int32")}}
images = dict.fromkeys(["jpg", "png", "webp"], Image())
features = Features({{"__key__": text, "__url__": text, **images, "txt": text, "json": meta}})
samples = load_dataset("webdataset", data_files={tars}, features=features, split="train", streaming=True)
sample = next(iter(samples))
"""
WEBDATASET = """\
import webdataset as wds

samples = wds.WebDataset({shards}, shardshuffle=False).decode("pil")
samples = samples.to_tuple("jpg;png;webp", "txt", "json")
image, text, meta = next(iter(samples))
"""
OPEN_CLIP = """\
python -m open_clip_train.main --model ViT-B-32 --dataset-type webdataset \\
  --train-data {shards} --train-num-samples {samples}
"""
DUCKDB = """\
SELECT entry_list, count(*) AS pairs, avg(keep_probability) AS kept
FROM '{table}/*.parquet' GROUP BY entry_list ORDER BY pairs DESC;
"""
DUCKDB_ENTRIES = """\
SELECT text FROM '{table}/*.parquet' AS pairs, '{counts}/*.parquet' AS entries
WHERE entry = 'dog' AND entries.entry_list = pairs.entry_list AND list_contains(pairs.entries, entry_id) LIMIT 10;
"""
POLARS = """\
import polars as pl

pairs = pl.scan_parquet("{table}/*.parquet")
sizes = pairs.group_by("language").len().sort("len", descending=True).collect()
"""


def loading(contents: Contents) -> str:
    """The section of the card."""
    table = contents.chosen
    parts = ["The lines run in this folder."]
    if contents.rows(table):
        parts.append("With `datasets` (`streaming=True` for a set that is larger than the disk):")
        parts.append(_code("python", HUGGING_FACE.format(table=table)))
    if contents.shards:
        parts += _of_shards(contents)
    parts += ["With DuckDB, first the pairs by list, then texts that match an entry:"]
    queries = [DUCKDB.format(table=table)]
    counts = "final_entry_counts" if table == "final" else "entry_counts"
    queries += [DUCKDB_ENTRIES.format(table=table, counts=counts)] if counts in contents.tables else []
    parts.append(_code("sql", "".join(queries)))
    parts += ["With Polars:", _code("python", POLARS.format(table=table))]
    return "\n\n".join(parts)


def _of_shards(contents: Contents) -> list[str]:
    last, place = contents.shards - 1, contents.shards_folder
    folder = place if place.startswith("/") else SHARDS  # What is not of this machine, or relative to where it was run.
    names = f"{{00000..{last:05d}}}" if last else "00000"
    shards, tars = (
        json.dumps(path, ensure_ascii=False) for path in (f"{folder}/{names}.tar", f"{glob.escape(folder)}/*.tar")
    )
    quoted = shlex.quote(f"{folder}/{names}.tar")
    first = "The images and texts, as tars for `webdataset`. "
    first += "" if place == folder else f"They are in `{place}`: copy them from there into `{folder}/`. "
    return [
        f"{first}`datasets` is told the fields, as one sample may be a PNG and the next a JPEG:",
        _code("python", HUGGING_FACE_SHARDS.format(tars=tars)),
        _code("python", WEBDATASET.format(shards=shards)),
        _code("sh", OPEN_CLIP.format(shards=quoted, samples=contents.samples)),
    ]


def _code(language: str, lines: str) -> str:
    return f"```{language}\n{lines}```"
