"""Fetches the images of one shard of URLs with img2dataset, and accounts for every URL.

The shard is made under a name of its own and its table moved into place last, so that a shard is there complete or not
at all, and a task that ran twice does no harm.
"""

import re
import tempfile
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.images.resize import LimitedResizer
from pipeline.images.writer import NOTHING, SampleWriter
from pipeline.tars.sink import open_sink
from pipeline.tombstones.rows import forbidden
from pipeline.tombstones.table import Stored
from pipeline.tombstones.values import REMOVED

IMAGES = pa.schema(
    {
        "image_id": pa.string(),
        "url": pa.string(),
        "status": pa.string(),
        "error": pa.string(),
        "sha256": pa.string(),
        "width": pa.int32(),
        "height": pa.int32(),
        "original_width": pa.int32(),
        "original_height": pa.int32(),
        "format": pa.string(),
        "shard": pa.string(),
        "key": pa.string(),
        "image_offset": pa.int64(),
        "image_size": pa.int64(),
        "retry_after": pa.int32(),
    }
)
SUCCESS, LOST, NOT_FETCHED = "success", "lost", "failed_to_download"
# What may go better at another time.
RETRIABLE = f"(timeout|connection|dns|too_slow|cut_short|robots_unreachable|{LOST}|http_(408|425|429|5..))$"
DIGITS = 6  # of a shard's number
# The words of the guard, and what the resizer says of what was fetched.
REFUSALS = ("bad_url", "refused_scheme", "refused_address", "dns", "connection", "timeout", "too_slow", "certificate",
            "tls", "bad_answer", r"http_\d{3}", "too_many_redirects", "too_many_bytes", "cut_short", "opted_out",
            "robots_unreachable")  # fmt: skip
UNUSABLE = {
    "too many pixels": "too_many_pixels",
    "animated": "animated",
    "image too small": "too_small",
    "aspect ratio too large": "aspect_too_large",
}


def table_path(folder: str, number: int) -> str:
    """The table of a shard: ``000000.parquet`` and so on."""
    return storage.join(folder, f"{number:0{DIGITS}d}.parquet")


def is_table(name: str) -> bool:
    """Whether a file is the table of a shard, by its name."""
    return re.fullmatch(r"\d+\.parquet", name) is not None


def next_number(folder: str) -> int:
    """The number of the next shard: no file there has it, of tasks that were killed either."""
    numbers = [int(found[1]) for name in storage.names(folder) if (found := re.match(r"(\d+)[-.]", name))]
    return max(numbers, default=-1) + 1


def fetch_shard(
    folder: str, number: int, images: list[dict[str, str]], options: Any, a_host: int = 0, removed: Stored | None = None
) -> None:
    """Writes a tar, and then ``<number>.parquet`` of ``IMAGES`` with the tar's name, into a folder.

    A tar has a name of its own for each try, so that a table always names the tar that it is of. Where the table is
    there already, of another try, it stays and the tar of this one goes. ``images``:
    ``image_id`` and ``url`` of each; ``options``: a recipe's ``images``; ``a_host``: the most requests at a time to a
    host, 0 for any number; ``removed``: tombstones: a URL that they forbid is not asked for, an image not kept.
    """
    tombstones = removed.loaded() if removed else None
    name = f"{number:0{DIGITS}d}-{uuid.uuid4().hex[:8]}.tar"
    filesystem, path = storage.open_filesystem(storage.join(folder, name))
    with (
        tempfile.TemporaryDirectory(prefix="metaclip-fetch-") as made,
        open_sink(filesystem, f"{path}.part") as sink,
    ):
        writer = SampleWriter(sink, options.format, tombstones)
        _download(Path(made), number, _allowed(images, writer), options, a_host, writer)
    storage.sync(storage.join(folder, f"{name}.part"))
    filesystem.move(f"{path}.part", path)
    rows = [_row(image, writer.found.get(image["image_id"]), name, options.format) for image in images]
    table = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, IMAGES), table, compression="zstd")
    # The first to finish stays: what a run goes on with is not taken from under it.
    if not storage.write_new(table_path(folder, number), table.getvalue().to_pybytes()):
        storage.remove(storage.join(folder, name))


def _download(
    made: Path, number: int, images: list[dict[str, str]], options: Any, a_host: int, samples: SampleWriter
) -> None:
    """Has img2dataset give ``samples`` a row of each image; of one that it drops there is none."""
    from img2dataset.downloader import Downloader
    from img2dataset.resizer import Resizer

    from pipeline.images.guard import Guard, Limits  # With packages that only fetching needs.

    rows = _readable(images, samples)
    with pa.OSFile(str(made / "urls.arrow"), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows)
    limits = Limits(
        most_bytes=options.most_bytes,
        most_seconds=options.most_seconds,
        requests_per_host=a_host,
        allow_networks=tuple(options.allow_networks),
        agent_token=options.user_agent,
        ask_hosts=options.ask_hosts,
    )
    resizer = Resizer(
        image_size=options.size,
        resize_mode=options.resize,
        resize_only_if_bigger=options.only_if_bigger,
        encode_quality=options.quality,
        encode_format=options.format,
        min_image_size=options.min_side,
        max_aspect_ratio=options.max_aspect or float("inf"),
    )
    downloader = Downloader(
        sample_writer_class=lambda *_: samples,
        resizer=LimitedResizer(resizer, options.most_pixels),
        thread_count=options.threads,
        save_caption=False,
        extract_exif=False,
        output_folder=str(made),
        column_list=["image_id", "url"],
        timeout=options.timeout,
        number_sample_per_shard=max(10, len(images)),
        oom_shard_count=DIGITS,
        compute_hash="sha256",
        verify_hash_type=None,
        encode_format=options.format,
        retries=0,
        user_agent_token=options.user_agent,
        disallowed_header_directives=None,  # the guard looks at them
    )
    with Guard(limits).installed():
        downloader.download_shard((number, str(made / "urls.arrow")))


def _allowed(images: list[dict[str, str]], samples: SampleWriter) -> list[dict[str, str]]:
    """The images whose URLs were not taken out; ``samples`` gets a row of each other one."""
    if samples.tombstones is None:
        return images
    gone = forbidden(samples.tombstones, pa.array([image["url"] for image in images], pa.string()), None)
    for image, is_gone in zip(images, gone, strict=True):
        if is_gone:
            samples.write(None, "", None, NOTHING | image | {"status": REMOVED})
    return [image for image, is_gone in zip(images, gone, strict=True) if not is_gone]


def _readable(images: list[dict[str, str]], samples: SampleWriter) -> pa.Table:
    """The images with their URLs as they are asked for; ``samples`` gets a row of each that cannot be asked for.

    img2dataset makes a ``urllib.request.Request`` of a URL, which has its own ideas of spaces and schemes.
    """
    from pipeline.images.addresses import Refused, read_url

    kept = []
    for image in images:
        try:
            kept.append({"image_id": image["image_id"], "url": read_url(image["url"]).url})
        except Refused as refusal:
            row = dict.fromkeys(("width", "height", "original_width", "original_height", "sha256"))
            samples.write(None, "", None, row | image | {"status": NOT_FETCHED, "error_message": str(refusal)})
    return pa.Table.from_pylist(kept, pa.schema({"image_id": pa.string(), "url": pa.string()}))


def _row(image: dict, found: dict | None, tar: str, kind: str) -> dict[str, Any]:
    row = dict.fromkeys(IMAGES.names) | image
    if found is None:
        return row | {"status": LOST, "error": "img2dataset left it out"}
    row |= {name: found[name] for name in ("width", "height", "original_width", "original_height", "sha256")}
    if found["status"] == SUCCESS:
        row |= {"status": SUCCESS, "format": kind, "shard": tar, "key": found["key"]}
        return row | {"image_offset": found["image_offset"], "image_size": found["image_size"]}
    if found["status"] == REMOVED:
        return row | {"status": REMOVED}
    error = found["error_message"] or ""
    waits = re.search(r"; retry after (\d+) s$", error) if found["status"] == NOT_FETCHED else None
    return row | {
        "status": reason(found["status"], error),
        "error": error,
        "retry_after": int(waits[1]) if waits else None,
    }


def reason(status: str, error: str) -> str:
    """A word for what went wrong, by img2dataset's status and message.

    What the guard refuses begins with its word; what it does not know is ``failed``.
    """
    if status == SUCCESS:
        return LOST
    if status == NOT_FETCHED:
        found = re.match(r"<?(?:urlopen error )?(\w+)", error)
        return found[1] if found and re.fullmatch("|".join(REFUSALS), found[1]) else "failed"
    return next((word for text, word in UNUSABLE.items() if text in error), "unreadable_image")


def retriable(status: str) -> bool:
    """Whether an image of this status is asked for again."""
    return re.match(RETRIABLE, status) is not None


def remove_unnamed(folder: str, named: Iterable[str] = ()) -> None:
    """Removes tars that neither a table there nor ``named`` names: what is left of tasks that were killed.

    A task that comes late may put its table in the place of another's, so what a run goes on with is ``named``.
    """
    storage.sweep(folder)
    names, kept = storage.names(folder), set(named)
    for name in names:
        if is_table(name):
            filesystem, path = storage.open_filesystem(storage.join(folder, name))
            table = pq.read_table(path, columns=["shard"], filesystem=filesystem, partitioning=None)
            kept.update(table["shard"].unique().to_pylist())
    for name in names:
        if name.endswith((".tar", ".part")) and name not in kept:
            storage.remove(storage.join(folder, name))
