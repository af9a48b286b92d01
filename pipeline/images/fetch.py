"""Fetches the pictures of one shard of URLs with img2dataset, and accounts for every URL.

The shard is made under a name of its own and its table moved into place last, so that a shard is there complete or not
at all, and a task that ran twice does no harm.
"""

import re
import tempfile
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.images.guard import Guard, Limits
from pipeline.images.resize import LimitedResizer
from pipeline.images.writer import SampleWriter
from pipeline.places.sink import open_sink

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
    }
)
SUCCESS, LOST = "success", "lost"
# What may go better at another time.
RETRIABLE = ("timeout", "connection", "dns", "too_slow", "cut_short", LOST, "http_429", "http_5")
DIGITS = 6  # of a shard's number
REFUSALS = {"refused_address", "refused_scheme", "bad_url", "no_address", "too_many_bytes", "too_slow", "opted_out",
            "cut_short"}  # fmt: skip


def shard_name(number: int) -> str:
    """``000000`` and so on."""
    return f"{number:0{DIGITS}d}"


def fetch_shard(folder: str, number: int, images: list[dict[str, str]], options: Any, a_host: int = 0) -> None:
    """Writes a tar, and then ``<number>.parquet`` of ``IMAGES`` with the tar's name, into a folder.

    A tar has a name of its own for each try, so that a table always names the tar that it is of. ``images``:
    ``image_id`` and ``url`` of each; ``options``: a recipe's ``images``; ``a_host``: the most requests at a time to a
    host, 0 for any number.
    """
    name = f"{shard_name(number)}-{uuid.uuid4().hex[:8]}.tar"
    filesystem, path = storage.open_filesystem(storage.join(folder, name))
    with (
        tempfile.TemporaryDirectory(prefix="metaclip-fetch-") as made,
        open_sink(filesystem, f"{path}.part") as sink,
    ):
        writer = SampleWriter(sink, options.format)
        _download(Path(made), number, images, options, a_host, writer)
    filesystem.move(f"{path}.part", path)
    rows = [_row(image, writer.found.get(image["image_id"]), name, options.format) for image in images]
    table = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, IMAGES), table, compression="zstd")
    storage.write_bytes(storage.join(folder, f"{shard_name(number)}.parquet"), table.getvalue().to_pybytes())


def _download(
    made: Path, number: int, images: list[dict[str, str]], options: Any, a_host: int, samples: SampleWriter
) -> None:
    """Has img2dataset give ``samples`` a row of each image; of one that it drops there is none."""
    from img2dataset.downloader import Downloader
    from img2dataset.resizer import Resizer

    rows = pa.table({name: [image[name] for image in images] for name in ("image_id", "url")})
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


def _row(image: dict, found: dict | None, tar: str, kind: str) -> dict[str, Any]:
    row = dict.fromkeys(IMAGES.names) | image
    if found is None:
        return row | {"status": LOST, "error": "img2dataset left it out"}
    row |= {name: found[name] for name in ("width", "height", "original_width", "original_height", "sha256")}
    if found["status"] == SUCCESS:
        row |= {"status": SUCCESS, "format": kind, "shard": tar, "key": found["key"]}
        return row | {"image_offset": found["image_offset"], "image_size": found["image_size"]}
    return row | {"status": reason(found["status"], found["error_message"] or ""), "error": found["error_message"]}


def reason(status: str, error: str) -> str:
    """A word for what went wrong, by img2dataset's status and message."""
    if status == SUCCESS:
        return LOST
    if found := re.search(r"HTTP Error (\d{3})", error):
        return f"http_{found[1]}"
    if (found := re.search(r"urlopen error (\w+)>", error)) and found[1] in REFUSALS:
        return found[1]
    words = {
        "not a picture": "unreadable_image",
        "Image decoding error": "unreadable_image",
        "too many pixels": "too_many_pixels",
        "animated": "animated",
        "image too small": "too_small",
        "aspect ratio too large": "aspect_too_large",
        "timed out": "timeout",
        "Name or service not known": "dns",
        "No address associated": "dns",
        "Temporary failure in name resolution": "dns",
        "CERTIFICATE": "certificate",
        "SSL": "certificate",
        "Invalid IPv6": "bad_url",
        "unknown url type": "bad_url",
        "no host given": "bad_url",
        "nonnumeric port": "bad_url",
        "Connection": "connection",
        "Remote end closed": "connection",
        "IncompleteRead": "cut_short",
        "Network is unreachable": "connection",
        "No route to host": "connection",
    }
    kind = next((word for text, word in words.items() if text in error), None)
    return kind or ("unreadable_image" if status == "failed_to_resize" else "failed")


def retriable(status: str) -> bool:
    """Whether an image of this status is asked for again."""
    return status.startswith(RETRIABLE)


def remove_unnamed(folder: str) -> None:
    """Removes tars that no table names: what is left of tasks that were killed, or that came second."""
    names = storage.names(folder)
    named: set[str] = set()
    for name in names:
        if name.endswith(".parquet"):
            filesystem, path = storage.open_filesystem(storage.join(folder, name))
            named.update(pq.read_table(path, columns=["shard"], filesystem=filesystem)["shard"].unique().to_pylist())
    for name in names:
        if name.endswith((".tar", ".part")) and name not in named:
            storage.remove(storage.join(folder, name))
