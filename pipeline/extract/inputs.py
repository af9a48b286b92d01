"""The crawl files of an input: by path, folder or pattern, or from lists of paths as crawls are published with."""

import hashlib
import json
import os
import re
from typing import NamedTuple

from pipeline import storage
from pipeline.errors import UsageError
from pipeline.ingest.plan import find_files
from pipeline.paths import base_name, is_local, is_url, join, local, split_options
from pipeline.secrets import without_user

# Of a folder or pattern, what is not called so is left out; a file that is named, or listed, is taken as it is.
NAMES = {
    "wat": re.compile(r"\.wat(\.gz|\.zst)?$", re.IGNORECASE),
    "warc": re.compile(r"\.warc(\.gz|\.zst)?$", re.IGNORECASE),
}
LISTS = re.compile(r"\.paths(\.gz)?$")
MOST_LIST_BYTES = 1 << 30


class CrawlFile(NamedTuple):
    """A file, its bytes and when it was modified in ns; both 0 of a listed URL, which nobody asks before it is read."""

    path: str
    size: int
    modified: int

    def name(self, making: dict) -> str:
        """The name of the Parquet file of its pairs: another where the file or what is made of it is another."""
        told = json.dumps([without_user(self.path), self.size, self.modified, making], sort_keys=True)
        return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32] + ".parquet"


def crawl_files(patterns: list[str], kind: str, prefix: str | None) -> tuple[list[CrawlFile], int]:
    """The files of an input, sorted, each once, and how many files of folders and patterns are not called ``.wat.gz``
    (or ``.warc.gz``, by ``kind``) or the like. Raises ``UsageError`` where there is none."""
    found, others, listed = set(), 0, False
    for pattern in patterns or [None]:
        files = find_files([pattern] if pattern else [])
        if len(files) == 1 and base_name(files[0][0]) == base_name(pattern.rstrip("/")):
            if LISTS.search(base_name(files[0][0])):
                listed = True
                found.update(_listed(files[0][0], prefix))
            else:
                found.add(CrawlFile(*files[0]))
            continue
        named = [CrawlFile(*file) for file in files if NAMES[kind].search(base_name(file[0]))]
        others += len(files) - len(named)
        found.update(named)
    if prefix is not None and not listed:
        raise UsageError("extract.prefix: is for files that list paths (wat.paths.gz), found none in --input")
    if not found:
        raise UsageError(f"--input {patterns[0]}: no file is called .{kind}, .{kind}.gz or .{kind}.zst")
    return sorted(found, key=lambda file: (without_user(file.path), *file)), others


def _listed(path: str, prefix: str | None) -> list[CrawlFile]:
    """The files of a list: its lines behind the prefix, or, where they are relative, in the folder of the list."""
    content, damage = storage.unpacked(path, MOST_LIST_BYTES)
    if damage:
        raise UsageError(f"--input {path}: {damage}")
    lines = [line.strip() for line in content.decode("utf-8", "replace").splitlines()]
    if not any(lines):
        raise UsageError(f"--input {path}: lists no file")
    before, options = split_options(path)
    folder = (before[: -len(base_name(path))].rstrip("/") or "/") + options
    return [_file(_behind(prefix, line) if prefix else _in(folder, line)) for line in lines if line]


def _behind(prefix: str, line: str) -> str:
    return prefix + line if prefix.endswith("/") or line.startswith("/") else f"{prefix}/{line}"


def _in(folder: str, line: str) -> str:
    return line if is_url(line) or line.startswith("/") else join(folder, line)


def _file(path: str) -> CrawlFile:
    """A listed file. What is on a disk is looked at; a missing file is one that cannot be read, later."""
    if is_local(path):
        try:
            status = os.stat(local(path))
        except OSError:
            return CrawlFile(path, 0, 0)
        return CrawlFile(path, status.st_size, status.st_mtime_ns)
    return CrawlFile(path, 0, 0)
