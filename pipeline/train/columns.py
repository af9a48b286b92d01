"""Columns by key, as ``score`` and ``moderate`` write them: a Parquet file a tar, all of one making.

A file is named by its tar's name and path or URL, as tars of several folders may have one name, and knows its tar by
size and time, so that one that has changed is done again. ``columns.json`` says what made the columns: those of another
model are not gone on with.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UsageError
from pipeline.paths import local
from pipeline.train.given import file_name, find_tars
from pipeline.train.outputs import check_folder, part_of, write_file

MADE_BY = "columns.json"
EDGE = 1 << 16


def check_columns(folder: str | Path, paths: list[str], made_by: dict[str, Any]) -> Path:
    """The folder for columns. ``UsageError`` where it holds something else, those of another making, or the shards.

    ``paths``: the shards. ``made_by``: what the columns depend on, as the command and the model's fingerprint.
    """
    folder = Path(local(folder))
    tars = [tar for path in paths for tar in find_tars(path)]
    check_folder("--output", folder, [*paths, *tars], MADE_BY)
    file = folder / MADE_BY
    if file.is_file():
        try:
            found = json.loads(file.read_bytes())
        except ValueError:
            found = {}
        if other := sorted(key for key in made_by.keys() | found.keys() if made_by.get(key) != found.get(key)):
            raise UsageError(f"--output {folder}: holds columns of another {other[0]}; give another folder")
    return folder


def begin_columns(folder: Path, made_by: dict[str, Any]) -> None:
    """Makes a folder that was checked that of the columns."""
    write_file(folder / MADE_BY, json.dumps(made_by) + "\n")


def columns_file(folder: Path, tar: str) -> Path:
    """The file of a tar's columns."""
    return folder / f"{file_name(tar)}.parquet"


def is_done(folder: Path, tar: str, state: str) -> bool:
    """Whether a tar's columns are there, of the tar as it is now."""
    file = columns_file(folder, tar)
    return file.is_file() and (pq.read_schema(file).metadata or {}).get(b"tar") == state.encode()


def write_columns_of(folder: Path, tar: str, state: str, table: pa.Table) -> None:
    """Writes a tar's columns, complete or not at all."""
    file = columns_file(folder, tar)
    part = part_of(file)
    pq.write_table(table.replace_schema_metadata({"tar": state}), part)
    part.replace(file)


def model_fingerprint(folder: str | Path) -> str:
    """What is the same of copies of a model's folder, and another for each model."""
    if not Path(folder).is_dir():
        raise UsageError(f"--model {folder}: no such folder")
    found = hashlib.sha256()
    for file in sorted(path for path in Path(folder).iterdir() if path.suffix in (".json", ".safetensors", ".bin")):
        with file.open("rb") as opened:
            size = file.stat().st_size
            found.update(f"{file.name}\0{size}\0".encode() + opened.read(EDGE))
            opened.seek(max(0, size - EDGE))
            found.update(opened.read())
    return found.hexdigest()
