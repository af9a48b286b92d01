"""Where the samples of a tar are: an index of any webdataset or img2dataset tar, from its headers."""

import tarfile
from collections import Counter

import orjson
import pyarrow as pa

from pipeline import storage
from pipeline.errors import PipelineError

PICTURES = ("jpg", "jpeg", "png", "webp")
IMAGE, TEXT, JSON = (tuple(f"{kind}_{part}" for part in ("offset", "size")) for kind in ("image", "txt", "json"))
MOST_JSON = 1 << 20
PLACES = pa.schema(
    [("key", pa.string()), ("keep_probability", pa.float64()), *((name, pa.int64()) for name in (*IMAGE, *TEXT, *JSON))]
)


def scan(tar: str, refused: Counter | None = None) -> pa.Table:
    """The key of each sample of a tar that has a picture, and the offset and size of its members (``PLACES``).

    Only headers are read, and nothing is ever written by a name. ``refused`` counts the members that are not looked at:
    ``not_a_file`` (links, devices, folders), ``unsafe_name`` (absolute, or with ``..``), ``twice`` (a name again).
    """
    counts = Counter() if refused is None else refused
    samples: dict[str, dict] = {}
    filesystem, path = storage.open_filesystem(tar)
    try:
        with filesystem.open_input_file(path) as file, tarfile.open(fileobj=file, mode="r:") as members:
            for member in members:
                folder, _, name = member.name.rpartition("/")
                stem, _, extension = name.partition(".")
                kind = "image" if extension.lower() in PICTURES else extension.lower()
                if not member.isreg() or member.issparse():
                    counts["not_a_file"] += not member.isdir()
                    continue
                if member.name.startswith("/") or ".." in member.name.split("/") or "\0" in member.name:
                    counts["unsafe_name"] += 1
                    continue
                key = f"{folder}/{stem}" if folder else stem
                sample = samples.setdefault(key, {"key": key})
                if f"{kind}_offset" in sample:
                    counts["twice"] += 1
                    continue
                sample |= {f"{kind}_offset": member.offset_data, f"{kind}_size": member.size}
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise PipelineError(f"{tar}: not a whole tar: {error}") from None
    rows = [sample for sample in samples.values() if set(IMAGE) <= set(sample)]
    return pa.Table.from_pylist([{name: row.get(name) for name in PLACES.names} for row in rows], PLACES)


def uids_of(tar: str, places: pa.Table) -> list[str]:
    """The uid in the JSON of each sample of a tar, or its key where there is none."""
    filesystem, path = storage.open_filesystem(tar)
    found = []
    with filesystem.open_input_file(path) as file:
        for row in places.select(["key", *JSON]).to_pylist():
            uid = None
            if row[JSON[0]] is not None and row[JSON[1]] <= MOST_JSON:
                try:
                    content = orjson.loads(file.read_at(row[JSON[1]], row[JSON[0]]))
                    uid = content.get("uid") if isinstance(content, dict) else None
                except orjson.JSONDecodeError:
                    pass
            found.append(str(uid) if uid else row["key"])
    return found
