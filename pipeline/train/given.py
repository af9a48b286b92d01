"""Which tars are meant: by paths, folders, patterns, braces and URLs, as ``--shards`` and ``data.shards`` give them."""

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

from braceexpand import UnbalancedBracesError, braceexpand

from pipeline.errors import UsageError
from pipeline.listing import list_files
from pipeline.paths import base_name, is_url, local, shown, split_options

PACKED = (".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz")
TARS = (".tar", *PACKED)
ENDING = re.compile(r"(\.tar(\.(gz|zst|bz2|xz))?|\.tgz)$")
# Several patterns in one text, as webdataset takes them: a pattern ends where a tar or a folder does.
SEVERAL = re.compile(r"(?:(?<=\.tar)|(?<=\.gz)|(?<=\.tgz)|(?<=[/}\]*]))::")
# What signs a URL, and is another each time that it is made.
SIGNING = re.compile(r"(?i)x-(amz|goog|ms|oss)-|.*(signature|token|secret|credential|password|expires|accesskey|apikey)"
                     r"|(policy|key-pair-id|googleaccessid|sig|se|sp|sv|sr|st|spr|sk[a-z]*)$")  # fmt: skip


def is_http(path: str) -> bool:
    """Whether it is a web server's URL."""
    return path.lower().startswith(("http://", "https://"))


def is_packed(path: str) -> bool:
    """Whether it is a compressed tar, by its name."""
    return _name(path).endswith(PACKED)


def is_stream(path: str) -> bool:
    """Whether a tar can only be read from its start to its end."""
    return path.startswith("pipe:") or is_packed(path)


def find_tars(path: str, option: str = "data.shards") -> list[str]:
    """The tars that a path stands for, in order: itself, those in a folder, or those of a pattern.

    What is there under the path as it is written is that; else its braces are expanded, ``{000..127}`` and ``{a,b}``,
    and it may be several patterns with ``::`` between. Raises ``UsageError``, which names ``option``, for one that
    stands for no tar.
    """
    if not path.startswith("pipe:") and not (is_http(path) and "{" in path) and (found := _found(path, option)):
        return found
    parts = _expanded(path, option)
    if parts == [path]:
        return [path] if path.startswith("pipe:") else _missing(path, option)
    found = ([part] if part.startswith("pipe:") else _found(part, option) or _missing(part, option) for part in parts)
    return [tar for tars in found for tar in tars]


def check_distinct(tars: list[str], option: str = "data.shards") -> None:
    """Refuses tars of which one is given twice, by whatever path: its samples would be twice in a batch or a table."""
    seen: dict[str, str] = {}
    for tar in tars:
        if (real := identity(tar)) in seen and not tar.startswith("pipe:"):
            also = f", also as {shown(seen[real])}" if seen[real] != tar else ""
            raise UsageError(f"{option}: {shown(tar)}: given twice{also}")
        seen[real] = tar


def identity(tar: str) -> str:
    """What two paths or URLs of one tar have in common: its real path, or its URL without what gives access to it."""
    if tar.startswith("pipe:"):
        return tar
    if not is_url(tar):
        return os.path.realpath(local(tar))
    if not is_http(tar):
        return shown(split_options(tar)[0])
    values = [(key, value) for key, value in parse_qsl(urlsplit(tar).query, True) if not SIGNING.match(key)]
    return shown(tar.partition("?")[0]) + (f"?{urlencode(values)}" if values else "")


def file_name(tar: str) -> str:
    """A name for what is made of a tar: its own, and what tells it from one of that name elsewhere."""
    name = re.sub(r"[^\w.-]", "_", _name(tar)) if is_url(tar) else Path(tar).name
    stem = re.sub(ENDING, "", name)
    return f"{stem}-{hashlib.sha256(identity(tar).encode()).hexdigest()[:12]}"


def beside(tar: str, name: str) -> str | None:
    """The path or URL of a file in a tar's folder; None where none can be told."""
    if tar.startswith("pipe:") or (is_http(tar) and "?" in tar):
        return None
    before, options = split_options(tar)
    return before[: len(before) - len(base_name(tar))] + name + options


def _name(path: str) -> str:
    """The last part of a path or URL, without a URL's query."""
    return base_name(path.partition("?")[0] if is_http(path) else path)


def _expanded(path: str, option: str) -> list[str]:
    """The paths that the braces of a path stand for, and the patterns between ``::``."""
    several = [path] if path.startswith("pipe:") else SEVERAL.split(path)
    try:
        return [part for pattern in several for part in braceexpand(pattern)]
    except UnbalancedBracesError:
        raise UsageError(
            f"{option}: {shown(path)}: a brace without its other; allowed: {{000..127}}, {{a,b}}"
        ) from None


def _found(path: str, option: str) -> list[str]:
    """The tars of a path as it is written, or of a pattern with ``*``; none where nothing is there."""
    if is_http(path):
        return [path]
    there = Path(local(path))
    if not is_url(path) and there.is_dir():
        return _in_folder(path, [str(file) for file in there.iterdir() if not file.name.startswith(".")], option)
    if not is_url(path) and there.is_file():
        return [str(there)]
    try:
        files = [file for file, _, _ in list_files(path)]
    except OSError as error:
        raise UsageError(f"{option}: {shown(path)}: {' '.join(str(error).split())[:300]}") from None
    if is_url(path):
        if files == [path]:
            return files
        above = split_options(path)[0].rstrip("/")
        inside = [file for file in files if file.startswith(f"{above}/")]
        if inside:  # a folder: what is in it, and not below
            here = [file for file in inside if "/" not in split_options(file)[0][len(above) + 1 :]]
            return _in_folder(path, here, option)
    tars = [file for file in files if _name(file).endswith(TARS)]
    if missing := [tar for tar in tars if not is_url(tar) and not Path(tar).is_file()]:
        raise UsageError(f"{option}: {missing[0]}: a link to nowhere")
    return tars


def _in_folder(folder: str, files: list[str], option: str) -> list[str]:
    tars = sorted(file for file in files if _name(file).endswith(TARS))
    if not tars:
        raise UsageError(f"{option}: {shown(folder)}: a folder without .tar files, compressed or not")
    stems: dict[str, str] = {}
    for tar in tars:
        stem = re.sub(ENDING, "", _name(tar))
        if stem in stems:
            raise UsageError(
                f"{option}: {shown(tar)}: is there as {_name(stems[stem])}, too; name those that are meant"
            )
        stems[stem] = tar
    return tars


def _missing(path: str, option: str) -> list[str]:
    hint = "; metaclip-pipeline curate writes the demo's" if path.startswith("output/demo") else ""
    raise UsageError(f"{option}: {shown(path)}: no such file or folder{hint}")
