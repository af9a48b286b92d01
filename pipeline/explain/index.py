"""From a hash to pair_ids: what finds the pairs of an image, a text or a cluster in tables that lie by pair_id.

An index is made when it is asked for first, in a hidden folder of the output, and goes with it. It is a few sorted
Parquet files of ``key`` and ``pair_id``, each of as many rows as fit in memory; of each one row group is read. It is
made anew where the table is another.
"""

import uuid
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.buckets.files import Files, read_file
from pipeline.buckets.hashing import hashes
from pipeline.errors import UsageError
from pipeline.progress import counting

FOLDER = ".index"
FILE_ROWS, GROUP_ROWS = 1 << 22, 1 << 14
SCHEMA = pa.schema({"key": pa.int64(), "pair_id": pa.int64()})
IMAGE_HEX = 16  # digits of an image_id, itself a hash, that are its key

Keys = Callable[[pa.RecordBatch], np.ndarray]


def image_key(image_id: str) -> int:
    """The key of an image_id."""
    return int(np.uint64(int(image_id[:IMAGE_HEX], 16)).view(np.int64))


def text_key(text: str) -> int:
    """The key of a text."""
    return int(hashes(pa.array([text], pa.large_string()))[0])


def _image_keys(batch: pa.RecordBatch) -> np.ndarray:
    digits = "".join(found[:IMAGE_HEX] for found in batch.column("image_id").to_pylist())
    return np.frombuffer(bytes.fromhex(digits), ">i8").astype(np.int64)


# The column that each index is of, and how its keys are made.
KINDS: dict[str, tuple[str, Keys]] = {
    "image": ("image_id", _image_keys),
    "text": ("text", lambda batch: hashes(batch.column("text"))),
    "cluster": ("cluster_id", lambda batch: batch.column("cluster_id").to_numpy()),
}


def find(output: str, kind: str, key: int, table: Files, made_of: str) -> np.ndarray:
    """The pair_ids (ascending) of the rows of ``table`` with this key, among them those of another value by chance.

    ``made_of``: what stands for the content of the table. The index is made where there is none of it.
    """
    name = f"{kind}-{made_of[:16]}"
    folder = storage.join(output, FOLDER, name)
    if not storage.exists(folder):
        _make(output, kind, name, table)
    found = [np.zeros(0, np.int64), *(_look_up(path, key) for path in Files.of(folder).paths)]
    return np.sort(np.concatenate(found))


def _look_up(path: str, key: int) -> np.ndarray:
    filesystem, inner = storage.open_filesystem(path)
    with pq.ParquetFile(filesystem.open_input_file(inner)) as file:
        ranges = (file.metadata.row_group(group).column(0).statistics for group in range(file.num_row_groups))
        groups = [at for at, found in enumerate(ranges) if found.min <= key <= found.max]
        rows = file.read_row_groups(groups, use_threads=False)
    return rows["pair_id"].to_numpy()[rows["key"].to_numpy() == key]


def _make(output: str, kind: str, name: str, table: Files) -> None:
    """Writes an index under another name and moves it to its place; one of a table that was there before goes."""
    column, keys = KINDS[kind]
    above = storage.join(output, FOLDER)
    hidden = storage.join(above, f".{name}-{uuid.uuid4().hex}")
    try:
        storage.make_folder(hidden)
        for number, rows in enumerate(_sorted(table, column, keys, kind)):
            filesystem, inner = storage.open_filesystem(storage.join(hidden, f"{number:05d}.parquet"))
            encodings = {"key": "DELTA_BINARY_PACKED", "pair_id": "PLAIN"}
            pq.write_table(
                rows, inner, filesystem=filesystem, row_group_size=GROUP_ROWS, use_dictionary=False,
                column_encoding=encodings, compression="zstd",
            )  # fmt: skip
        for before in storage.names(above):
            if before.startswith(f"{kind}-"):
                storage.remove(storage.join(above, before))
        storage.replace(hidden, storage.join(above, name))
    except OSError as problem:
        raise UsageError(
            f"{above}: cannot be written: {problem.strerror or problem}; an index is made there. A pair_id, a key, "
            "or a URL with its --text is found without it"
        ) from None


def _sorted(table: Files, column: str, keys: Keys, kind: str) -> Iterator[pa.Table]:
    """The keys and pair_ids of a table, sorted, so many at a time."""
    held: list[tuple[np.ndarray, np.ndarray]] = []
    rows = 0
    with counting(f"Making an index by {kind} (once)", len(table.paths), "files") as advance:
        for path in table.paths:
            for batch in read_file(path, ["pair_id", column]):
                held.append((keys(batch), batch.column("pair_id").to_numpy()))
                rows += batch.num_rows
                if rows >= FILE_ROWS:
                    yield _in_order(held)
                    held, rows = [], 0
            advance(1)
    if held:
        yield _in_order(held)


def _in_order(held: list[tuple[np.ndarray, np.ndarray]]) -> pa.Table:
    found, ids = (np.concatenate(part) for part in zip(*held, strict=True))
    order = np.argsort(found, kind="stable")
    return pa.table({"key": found[order], "pair_id": ids[order]}, SCHEMA)
