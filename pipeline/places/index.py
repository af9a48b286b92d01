"""Where the samples of a tar are: an index of any webdataset or img2dataset tar, from its headers."""

import contextlib
import tarfile
from collections import Counter

import orjson
import pyarrow as pa

from pipeline import storage
from pipeline.errors import PipelineError
from pipeline.places.members import FOLDER, REGULAR, members

PICTURES = ("jpg", "jpeg", "png", "webp")
IMAGE, TEXT, JSON = (tuple(f"{kind}_{part}" for part in ("offset", "size")) for kind in ("image", "txt", "json"))
MOST_JSON = 1 << 20
SAMPLES = pa.schema(
    [("source_uid", pa.string()), *((name, pa.int64()) for name in IMAGE),
     ("original_width", pa.int32()), ("original_height", pa.int32())]
)  # fmt: skip
PLACES = pa.schema(
    [("key", pa.string()), ("keep_probability", pa.float64()), *((name, pa.int64()) for name in (*IMAGE, *TEXT, *JSON))]
)


def scan(tar: str, refused: Counter | None = None) -> pa.Table:
    """The key of each sample of a tar that has a picture, and the offset and size of its members (``PLACES``).

    Only headers are read, and nothing is ever written by a name. ``refused`` counts the members that are not looked at:
    ``not_a_file`` (links, devices), ``unsafe_name`` (absolute, or with ``..``), ``twice`` (a name again), and
    ``damaged_tar`` once where the tar cannot be read to its end. Without ``refused`` that raises ``PipelineError``.
    """
    counts = Counter() if refused is None else refused
    samples: dict[str, dict] = {}
    filesystem, path = storage.open_filesystem(tar)
    try:
        with filesystem.open_input_file(path) as file:
            end = file.size()
            for name, kind, offset, size in members(file):
                if kind != REGULAR:
                    counts["not_a_file"] += kind != FOLDER
                    continue
                if offset + size > end:
                    raise tarfile.ReadError("a member goes on after the end")
                if name.startswith("/") or ".." in name.split("/") or "\0" in name:
                    counts["unsafe_name"] += 1
                    continue
                base = name.rfind("/") + 1
                dot = name.find(".", base)
                key, extension = (name, "") if dot < 0 else (name[:dot], name[dot + 1 :].lower())
                part = "image" if extension in PICTURES else extension
                sample = samples.setdefault(key, {"key": key})
                if f"{part}_offset" in sample:
                    counts["twice"] += 1
                    continue
                sample[f"{part}_offset"], sample[f"{part}_size"] = offset, size
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        if refused is None:
            raise PipelineError(f"{tar}: not a whole tar: {error}") from None
        counts["damaged_tar"] += 1
    rows = [sample for sample in samples.values() if IMAGE[0] in sample]
    columns = {name: pa.array([row.get(name) for row in rows], PLACES.field(name).type) for name in PLACES.names}
    return pa.table(columns)


def samples_of(tar: str) -> tuple[pa.Table, dict[str, int]]:
    """The samples of a tar (``SAMPLES``), and what of it was refused by reason; a damaged one is read up to there.

    ``source_uid`` is the uid in a sample's JSON, or its key where there is none; the original size is from there too.
    """
    refused: Counter = Counter()
    places = scan(tar, refused)
    filesystem, path = storage.open_filesystem(tar)
    with filesystem.open_input_file(path) as file:
        rows = [_known(row, file) for row in places.to_pylist()]
    return pa.Table.from_pylist(rows, SAMPLES), dict(sorted(refused.items()))


def _known(row: dict, file: pa.NativeFile) -> dict:
    content = None
    if row[JSON[0]] is not None and row[JSON[1]] <= MOST_JSON:
        with contextlib.suppress(orjson.JSONDecodeError):
            content = orjson.loads(file.read_at(row[JSON[1]], row[JSON[0]]))
    content = content if isinstance(content, dict) else {}
    sides = {name: content.get(name) for name in ("original_width", "original_height")}
    return {
        "source_uid": str(content.get("uid") or row["key"]),
        **{name: row[name] for name in IMAGE},
        **{name: side if type(side) is int and 0 < side < 2**31 else None for name, side in sides.items()},
    }
