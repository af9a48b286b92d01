"""What a path or URL names, and how Arrow, fsspec and Spark are given it.

A path, and the path in a URL, is taken as it stands, character by character, as Hadoop, fsspec and the tools of the
stores do: ``%20`` is three characters. Only ``~`` or ``~/`` at the start of a path is the home folder. A URL of a store
that Arrow knows may end in options, ``?name=value&...``; they go along with every path that is made of it.
"""

import errno
import os
import posixpath
import re
from typing import Any
from urllib.parse import quote

import fsspec
import pyarrow as pa
import pyarrow.fs as pafs

from pipeline.errors import UsageError
from pipeline.secrets import without_user

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(::[A-Za-z][A-Za-z0-9+.-]*)*://")
_FILE = re.compile(r"file:(//(localhost)?(?=/)|(?=/(?!/)))", re.IGNORECASE)
_OPTIONS = re.compile(r"\?[A-Za-z_][\w.-]*=[^?&]*(&[A-Za-z_][\w.-]*=[^?&]*)*\Z")
# What of a command gives access to something.
_SECRET = re.compile(
    r"((?:^|\s)(?:-H|--header|-u|--user|--password|--token)[\s=]*|\w*(?:secret|token|password|key)\w*=)"
    r"(?:'[^']*'|\"[^\"]*\"|\S+)",
    re.IGNORECASE,
)
# What Arrow knows; Spark's s3a is its s3.
_ARROW = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs")
GLOB = re.compile(r"[*?\[]")


def is_url(path: str) -> bool:
    """Whether it is a URL of a store; a path, and ``file:/...`` or ``file:///...``, is of this machine."""
    path = str(path)
    return _URL.match(path) is not None and not _FILE.match(path)


def local(path: str) -> str:
    """A path of this machine as Python and Arrow take it: without ``file://``, and with the home folder for ``~/``.

    One with a colon is from the root, as Arrow looks for a scheme where there is none, and so is ``./~``, which would
    be another without its dot.
    """
    path = str(path)
    path = path[found.end() :] if (found := _FILE.match(path)) else path
    path = os.path.expanduser(path) if path == "~" or path.startswith("~/") else path
    return os.path.abspath(path) if ":" in path or os.path.normpath(path).startswith("~") else path


def split_options(path: str) -> tuple[str, str]:
    """A path or URL without the options at its end, and these with their ``?``; empty where there are none."""
    path = str(path)
    found = _OPTIONS.search(path) if path.split("://")[0].lower() in _ARROW and is_url(path) else None
    return (path[: found.start()], found.group()) if found else (path, "")


def join(folder: str, *names: str) -> str:
    """``folder/name/...`` of a path or URL; a URL's options stay at the end."""
    before, options = split_options(folder)
    return posixpath.join(before, *names) + options


def base_name(path: str) -> str:
    """The last part of a path or URL, without options: a file's name."""
    return split_options(path)[0].rsplit("/", 1)[-1]


def shown(path: str) -> str:
    """A path or URL as people may see it: without the credentials that a URL or a command may hold."""
    if path.startswith("pipe:"):
        hidden = _SECRET.sub(r"\1…", path)
        return re.sub(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"]+", lambda found: shown(found.group()), hidden)
    if not is_url(path):
        return path
    scheme, rest = path.split("://", 1)
    before, options = split_options(f"{scheme}://{rest}")
    if scheme.lower() in ("http", "https"):
        before, _, options = path.partition("?")
    authority, slash, inner = before.split("://", 1)[1].partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{inner}{'?…' if options else ''}"


def absolute(path: str) -> str:
    """The path from the root, or the URL, so that tasks elsewhere find the same file.

    Raises ``UsageError`` for what no library takes: a NUL, or bytes that are not UTF-8.
    """
    path = str(path)
    if "\0" in path or re.search("[\ud800-\udfff]", path):
        raise UsageError(
            f"{path!r}: has {'a NUL' if chr(0) in path else 'bytes that are not UTF-8'}; give another name"
        )
    if is_url(path):
        if re.match("file:", path, re.IGNORECASE):
            raise UsageError(f"{path}: of another machine; allowed is file:///PATH")
        return path
    return re.sub("^//+", "/", posixpath.abspath(local(path)))


def spark_url(path: str) -> str:
    """The URL by which Spark writes what Arrow finds: a plain path is a file, whatever a cluster's default store is.

    Hadoop takes it literally, and has its own settings for Arrow's options, and for keys, which it refuses in a URL.
    Its readers take ``*?[]{}\\`` for patterns: ``tables.read`` and ``spark_pattern`` are for reading.
    """
    path = absolute(path)
    return without_user(split_options(path)[0]) if is_url(path) else f"file://{path}"


def spark_pattern(path: str) -> str:
    """The pattern by which Spark reads a file and nothing else.

    Hadoop cannot expand it where the path has a colon too: it takes what is before that for a scheme.
    """
    return re.sub(r"[\\{}\[\]*?]", r"\\\g<0>", spark_url(path))


def open_filesystem(path: str) -> tuple[pafs.FileSystem, str]:
    """The Arrow file system of a path or URL, and the path in it. Spark's ``s3a://`` is Arrow's ``s3://``.

    What Arrow has no file system for (it has s3, gs, abfs and hdfs) is fsspec's. Raises ``UsageError`` for what neither
    knows, or needs a package for.
    """
    path = absolute(path)
    if not is_url(path):
        return pafs.LocalFileSystem(), path
    try:
        if path.split("://")[0].lower() in _ARROW:
            arrow, inner = pafs.FileSystem.from_uri(arrow_url(path))
            return arrow, inner.rstrip("/") or inner
        filesystem, inner = fsspec.core.url_to_fs(path)
    except (ValueError, ImportError, pa.ArrowException) as problem:
        raise UsageError(f"{path}: {' '.join(str(problem).split())}") from None
    return pafs.PyFileSystem(_Literal(filesystem)), inner


def arrow_url(url: str) -> str:
    """A store's URL as Arrow's parser wants it: the path encoded, authority and options as they are."""
    before, options = split_options(url)
    scheme, rest = before.split("://", 1)
    authority, slash, path = rest.partition("/")
    scheme = "s3" if scheme.lower() == "s3a" else scheme.lower()
    return f"{scheme}://{authority}{slash}{quote(path, safe='/')}{options}"


def is_local(path: str) -> bool:
    """Whether a path or URL is of this machine's file system, which answers at once."""
    return not is_url(path)


class _Literal(pafs.FSSpecHandler):
    """Arrow's handler for fsspec, whose removing and moving take a path with ``*?[`` for a pattern."""

    def get_file_info_selector(self, selector: pafs.FileSelector) -> list[pafs.FileInfo]:
        """What lies in a folder. Of a listing that fails fsspec makes an empty one; here it is the error that it is."""
        base = selector.base_dir
        try:
            kind = self.fs.info(base)["type"]
        except FileNotFoundError:
            if selector.allow_not_found:
                return []
            raise
        if kind != "directory":
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), base)
        depth = None if selector.recursive else 1
        found = self.fs.find(base, maxdepth=depth, withdirs=True, detail=True, on_error="raise")
        inside = {path: info for path, info in found.items() if path.strip("/") != base.strip("/")}
        return [self._create_file_info(path, info) for path, info in inside.items()]

    def delete_file(self, path: str) -> None:
        self.fs.rm_file(path)

    def delete_dir(self, path: str) -> None:
        if not GLOB.search(path):
            super().delete_dir(path)
            return
        below: dict[str, Any] = self.fs.find(path, withdirs=True, detail=True)
        for name in sorted({*below, path}, key=len, reverse=True):
            if name in below and below[name]["type"] == "file":
                self.fs.rm_file(name)
            elif self.fs.isdir(name):  # In a store a folder goes with its last file.
                self.fs.rmdir(name)

    def move(self, src: str, dest: str) -> None:
        if not GLOB.search(src + dest):
            super().move(src, dest)
            return
        self.fs.cp_file(src, dest)
        self.fs.rm_file(src)
