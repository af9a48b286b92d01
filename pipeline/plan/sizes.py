"""What the tables of a run take on the disk: the sample's rows are written as the stages write theirs."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.buckets.files import CODED, ROW_GROUP_ROWS
from pipeline.buckets.hashing import draws
from pipeline.dedupe.bands import bands_and_rows
from pipeline.entries.lists import EntryList
from pipeline.plan.texts import Pairs
from pipeline.recipe import Images, Recipe
from pipeline.recipe_file import found_path
from pipeline.shards.content import image_path

# So many rows are written, and the files of so many images looked at; so many entries of a list.
WRITTEN, LOOKED_AT, ENTRIES = 1 << 16, 300, 200_000
# A row on its way from one task to another, beside its texts; a hash there; a row of clusters.
ROW_ON_ITS_WAY, HASH_BYTES, CLUSTER_BYTES = 16, 36, 17
# Reports and records; an image that is fetched and resized, as far as nothing is known of it.
DESCRIPTIONS, FETCHED_BYTES = 3 << 20, 25_000
# In a tar: the headers of three members, and what rounds them up; a row of the index.
MEMBERS_BYTES, INDEX_BYTES = 3 * 512 + 3 * 256, 110
NOT_IN_FILES = ("piece", "dropped", "on_its_way")


@dataclass(frozen=True)
class RowBytes:
    """Bytes on the disk of a row of each table, and of one on its way between tasks of ``ingest``."""

    pairs: float
    matched: float
    curated: float
    on_its_way: float


def row_bytes(pairs: Pairs, chances: np.ndarray, seed: int) -> RowBytes:
    """Measured by writing rows of the sample. ``chances``: by which each of them is kept."""
    rows = pairs.rows.slice(0, WRITTEN)
    if not len(rows):
        return RowBytes(0.0, 0.0, 0.0, 0.0)
    names = [name for name in rows.column_names if name not in NOT_IN_FILES]
    rows = rows.select(names).append_column("image_id", _image_ids(len(rows)))
    draw = draws(rows["pair_id"].to_numpy(), seed)
    kept = draw < chances[: len(rows)]
    matched = rows.append_column("draw", pa.array(draw))
    curated = matched.append_column("keep_probability", pa.array(chances[: len(rows)]))
    curated = curated.filter(pa.array(kept)) if kept.sum() > 100 else curated
    sent = rows.drop_columns(["entry_list", "entries", "image_id"])
    sent = sent.select([name for name in sent.column_names if sent[name].null_count < len(sent)])
    return RowBytes(
        _written(rows.drop_columns(["entry_list", "entries"])) / len(rows), _written(matched) / len(rows),
        _written(curated) / len(curated), sent.nbytes / len(sent) + ROW_ON_ITS_WAY,
    )  # fmt: skip


def _written(rows: pa.Table) -> int:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd", use_dictionary=CODED, row_group_size=ROW_GROUP_ROWS)
    return sink.getvalue().size


def _image_ids(rows: int) -> pa.Array:
    """Ids as those of images are, 24 hex digits as good as random; they cost the same."""
    digits = np.random.default_rng(0).bytes(12 * rows).hex()
    return pa.array([digits[at : at + 24] for at in range(0, 24 * rows, 24)])


def lists_bytes(lists: dict[str, EntryList]) -> tuple[int, int]:
    """What the copies of the entry lists take, and the table of their counts."""
    copies, counts, some, every = 0, [], 0, 0
    for name, found in lists.items():
        entries = found.entries.slice(0, ENTRIES)
        table = pa.table({"entry_id": np.arange(len(entries), dtype=np.int32), "entry": entries})
        some, every = some + len(entries), every + len(found.entries)
        copies += _packed(table) * len(found.entries) // len(entries)
        zeros, ones = np.zeros(len(entries), np.int64), np.ones(len(entries))
        counts.append(pa.table({"entry_list": pa.repeat(name, len(entries)), "count": zeros, "probability": ones,
                                "kept": zeros}))  # fmt: skip
        counts[-1] = counts[-1].append_column("entry_id", table["entry_id"]).append_column("entry", table["entry"])
    return copies, _packed(pa.concat_tables(counts)) * every // some


def _packed(table: pa.Table) -> int:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().size


def hash_bytes(recipe: Recipe) -> int:
    """What a text takes on its way in ``dedupe``."""
    if recipe.dedupe.scope == "none":
        return 0
    bands, _ = bands_and_rows(recipe.dedupe.threshold, recipe.dedupe.permutations)
    return HASH_BYTES * (bands + 1)


def sample_bytes(pairs: Pairs, images: Images) -> tuple[float, float]:
    """A sample of a shard in bytes, and the share of pairs whose image is there, as far as local files tell."""
    sizes = [*_image_files(pairs, images)] if images.root is not None else []
    there = [size for size in sizes if size is not None]
    image = float(np.mean(there)) if there else float(FETCHED_BYTES)
    names = [name for name in ("url", "text") if len(pairs.rows)]
    texts = sum(pairs.rows.slice(0, WRITTEN)[name].nbytes for name in names) / max(1, min(WRITTEN, len(pairs.rows)))
    share = len(there) / len(sizes) if sizes else 1.0
    return image + MEMBERS_BYTES + 2 * texts + 200 + INDEX_BYTES, share


def _image_files(pairs: Pairs, images: Images) -> Iterator[int | None]:
    rows, root = pairs.rows["url"], found_path(images.root)
    for at in np.random.default_rng(0).permutation(len(rows))[:LOOKED_AT].tolist():
        url = rows[at].as_py()
        path = image_path(url, root, images.prefix) if url.startswith(images.prefix) else None
        yield os.path.getsize(path) if path is not None and os.path.isfile(path) else None
