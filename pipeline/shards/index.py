"""Where the samples of a tar are: an index of any webdataset or img2dataset tar, from its headers."""

import tarfile

import pyarrow as pa

from pipeline.errors import PipelineError

PICTURES = ("jpg", "jpeg", "png", "webp")
IMAGE, TEXT, JSON = (tuple(f"{kind}_{part}" for part in ("offset", "size")) for kind in ("image", "txt", "json"))
PLACES = pa.schema(
    [("key", pa.string()), ("keep_probability", pa.float64()), *((name, pa.int64()) for name in (*IMAGE, *TEXT, *JSON))]
)


def scan(tar: str) -> pa.Table:
    """The key of each sample of a tar that has a picture, and the offset and size of its members (``PLACES``)."""
    samples: dict[str, dict] = {}
    try:
        with tarfile.open(tar, "r:") as members:
            for member in members:
                folder, _, name = member.name.rpartition("/")
                stem, _, extension = name.partition(".")
                if not member.isfile():
                    continue
                kind = "image" if extension.lower() in PICTURES else extension.lower()
                key = f"{folder}/{stem}" if folder else stem
                sample = samples.setdefault(key, {"key": key})
                sample |= {f"{kind}_offset": member.offset_data, f"{kind}_size": member.size}
    except (tarfile.TarError, OSError) as error:
        raise PipelineError(f"{tar}: not a whole tar: {error}") from None
    rows = [sample for sample in samples.values() if set(IMAGE) <= set(sample)]
    return pa.Table.from_pylist([{name: row.get(name) for name in PLACES.names} for row in rows], PLACES)
