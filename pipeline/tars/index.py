"""Where the samples of a tar are: an index of any webdataset or img2dataset tar, from its headers."""

import lzma
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator

import orjson
import pyarrow as pa
import zstandard

from pipeline import storage
from pipeline.errors import PipelineError
from pipeline.tars.members import FOLDER, REGULAR, members
from pipeline.tars.window import StreamWindow, Window, ahead_of

IMAGE_ENDINGS = ("jpg", "jpeg", "png", "webp")
IMAGE, TEXT, JSON = (tuple(f"{kind}_{part}" for part in ("offset", "size")) for kind in ("image", "txt", "json"))
SIDES = ("original_width", "original_height")
MOST_JSON = 1 << 20
NO_TEXT = re.compile("[\ud800-\udfff]")
SHA256 = re.compile(r"[0-9a-fA-F]{64}")
SAMPLES = pa.schema(
    [("source_uid", pa.string()), ("by_key", pa.bool_()), *((name, pa.int64()) for name in IMAGE),
     *((name, pa.int32()) for name in SIDES), ("original_sha256", pa.string())]
)  # fmt: skip
PLACES = pa.schema(
    [("key", pa.string()), ("keep_probability", pa.float64()), *((name, pa.int64()) for name in (*IMAGE, *TEXT, *JSON))]
)
_MEMBERS = {"txt": TEXT, "json": JSON, **dict.fromkeys(IMAGE_ENDINGS, IMAGE)}
_OTHER = (None, None)
# What reading a damaged tar raises, plain or compressed.
DAMAGE = (tarfile.TarError, OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


def scan(tar: str, refused: Counter | None = None) -> pa.Table:
    """The key of each sample of a tar that has an image, and the offset and size of its members (``PLACES``).

    Only headers are read, and nothing is ever written by a name. ``refused`` counts the members that are not looked at:
    ``not_a_file`` (links, devices), ``unsafe_name`` (absolute, with ``..``, or not UTF-8), ``twice`` (a name again),
    and ``damaged_tar`` once where the tar cannot be read to its end. Without ``refused`` that raises ``PipelineError``.
    """
    counts: Counter = Counter()
    filesystem, path = storage.open_filesystem(tar)
    try:
        with filesystem.open_input_file(path) as file:
            found, damage = places(Window(file, ahead_of(filesystem)), counts)
    except OSError as error:
        found, damage = PLACES.empty_table(), error
        counts["damaged_tar"] += 1
    if damage is not None and refused is None:
        raise PipelineError(f"{tar}: not a whole tar: {damage}")
    if refused is not None:
        refused.update(counts)
    return found


def places(window: Window | StreamWindow, refused: Counter) -> tuple[pa.Table, Exception | None]:
    """What ``scan`` says of a tar, and what is wrong with it: of a damaged one it has the samples before."""
    rows, damage = _with_images(window, refused, lambda sample: None)
    return pa.table(
        {field.name: pa.array([row.get(field.name) for row in rows], field.type) for field in PLACES}
    ), damage


def samples_of(tar: str) -> tuple[pa.Table, dict[str, int]]:
    """The samples of a tar (``SAMPLES``), and what of it was refused by reason; a damaged one is read up to there.

    ``source_uid`` is the uid in a sample's JSON, or its key where there is none (``by_key``); size and SHA-256 of the
    original image are from there too.
    """
    refused: Counter = Counter()
    filesystem, path = storage.open_filesystem(tar)
    rows: list[dict] = []
    try:
        with filesystem.open_input_file(path) as file:
            window = Window(file, ahead_of(filesystem))
            rows, _ = _with_images(window, refused, lambda sample: _read_json(sample, window))
    except OSError:
        refused["damaged_tar"] += 1
    columns = {field.name: pa.array([row.get(field.name) for row in rows], field.type) for field in SAMPLES}
    return pa.table(columns), {reason: members for reason, members in sorted(refused.items()) if members}


def key_and_ending(name: str) -> tuple[str, str]:
    """A member's sample, and what it is of it: what stands before and behind the first dot of its name."""
    dot = name.find(".", name.rfind("/") + 1)
    return (name, "") if dot < 0 else (name[:dot], name[dot + 1 :].lower())


def files_of(window: Window | StreamWindow, refused: Counter) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of the files in a tar that may be looked at; ``refused`` counts the others by reason.

    Raises an error of ``DAMAGE`` where the tar cannot be read on, after the files before that.
    """
    for name, kind, offset, size in members(window):
        if kind != REGULAR:
            refused["not_a_file"] += kind != FOLDER
            continue
        if not window.holds(offset + size):
            raise tarfile.ReadError("a member goes on after the end")
        if name.startswith("/") or "\0" in name or (".." in name and ".." in name.split("/")) or _is_odd(name):
            refused["unsafe_name"] += 1
            continue
        yield name, offset, size


def _is_odd(name: str) -> bool:
    """Whether a name has bytes that are not UTF-8."""
    return not name.isascii() and NO_TEXT.search(name) is not None


def _with_images(
    window: Window | StreamWindow, refused: Counter, read_json: Callable[[dict], None]
) -> tuple[list[dict], Exception | None]:
    samples: dict[str, dict] = {}
    damage = None
    try:
        for name, offset, size in files_of(window, refused):
            key, ending = key_and_ending(name)
            at, length = _MEMBERS.get(ending, _OTHER)
            sample = samples.get(key)
            if sample is None:
                sample = samples[key] = {"key": key, "source_uid": key, "by_key": True}
            elif (at or "." + ending) in sample:
                refused["twice"] += 1
                continue
            if not at:
                sample["." + ending] = True
                continue
            sample[at], sample[length] = offset, size
            if at is JSON[0] and size <= MOST_JSON:
                read_json(sample)
        if not window.end:
            raise tarfile.ReadError("an empty file")
    except DAMAGE as error:
        damage = error
        refused["damaged_tar"] += 1
    return [sample for sample in samples.values() if IMAGE[0] in sample], damage


def _read_json(sample: dict, window: Window) -> None:
    """Adds what a sample's JSON says of it."""
    try:
        content = orjson.loads(window.read_at(sample[JSON[1]], sample[JSON[0]]))
    except orjson.JSONDecodeError:
        return
    if not isinstance(content, dict):
        return
    if uid := content.get("uid"):
        sample["source_uid"], sample["by_key"] = str(uid), False
    digest = content.get("sha256")
    if isinstance(digest, str) and SHA256.fullmatch(digest):
        sample["original_sha256"] = digest.lower()
    for name in SIDES:
        side = content.get(name)
        if type(side) is int and 0 < side < 2**31:
            sample[name] = side
