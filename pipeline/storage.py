"""Files and folders by path or URL, local or of a store that Arrow or fsspec knows: list, read, write, move.

Spark reads and writes the tables; this is for the rest: finding input files, small JSON files, and putting a finished
folder in its place.
"""

import fnmatch
import hashlib
import json
import posixpath
import uuid
from pathlib import PurePosixPath
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.fs as pafs

from pipeline.errors import UsageError

BLOCK = 1 << 20


def join(folder: str, *names: str) -> str:
    """``folder/name/...`` of a path or URL."""
    return posixpath.join(str(folder), *names)


def open_filesystem(path: str) -> tuple[pafs.FileSystem, str]:
    """The Arrow file system of a path or URL, and the path in it. Spark's ``s3a://`` is Arrow's ``s3://``.

    What Arrow has no file system for (it has s3, gs, abfs and hdfs) is fsspec's. Raises ``UsageError`` for what neither
    knows, or needs a package for.
    """
    path = str(path)
    if "://" not in path:
        return pafs.LocalFileSystem(), posixpath.abspath(path)
    try:
        return pafs.FileSystem.from_uri(path.replace("s3a://", "s3://", 1))
    except pa.ArrowInvalid as problem:
        if "Unrecognized filesystem" not in str(problem):
            raise UsageError(f"{path}: {problem}") from None
    try:
        filesystem, path_in_it = fsspec.core.url_to_fs(path)
    except (ValueError, ImportError) as problem:
        raise UsageError(f"{path}: {problem}") from None
    return pafs.PyFileSystem(pafs.FSSpecHandler(filesystem)), path_in_it


def is_local(path: str) -> bool:
    """Whether a path or URL is of this machine's file system, which answers at once."""
    return isinstance(open_filesystem(path)[0], pafs.LocalFileSystem)


def absolute(path: str) -> str:
    """The path from the root, or the URL, so that tasks elsewhere find the same file."""
    return path if "://" in path else open_filesystem(path)[1]


def spark_url(path: str) -> str:
    """The URL by which Spark finds what Arrow finds: a plain path is a file, whatever a cluster's default store is."""
    return path if "://" in path else PurePosixPath(absolute(path)).as_uri()


def list_files(pattern: str) -> list[tuple[str, int, int]]:
    """The files of a path, folder (recursively) or glob pattern, sorted: (path, bytes, modified in ns).

    Hidden ones (names starting with ``.`` or ``_``) below a folder are left out, as Spark does. An empty list where
    there are none.
    """
    filesystem, path = open_filesystem(pattern)
    scheme = pattern.split("://")[0] + "://" if "://" in pattern else ""
    stem = path
    while any(c in stem for c in "*?["):
        stem = posixpath.dirname(stem)
    start = filesystem.get_file_info(stem)
    if start.type == pafs.FileType.NotFound:
        return []
    if start.type == pafs.FileType.File:
        found = [start]
    else:
        found = [f for f in filesystem.get_file_info(pafs.FileSelector(stem, recursive=True)) if f.is_file]
        depth = path.count("/")
        if stem == path:
            found = [f for f in found if not _hidden(f.path[len(stem) :])]
        else:
            found = [f for f in found if _matches(f.path, path, depth) and not _hidden(f.path[len(stem) :])]
    return sorted((scheme + f.path, f.size, f.mtime_ns or 0) for f in found)


def _matches(path: str, pattern: str, depth: int) -> bool:
    """A glob match part by part (``*`` does not cross ``/``); a folder that matches gives all files below it."""
    parts, wanted = path.split("/"), pattern.split("/")
    return len(parts) >= depth + 1 and all(fnmatch.fnmatchcase(p, w) for p, w in zip(parts, wanted, strict=False))


def _hidden(below: str) -> bool:
    return any(part.startswith((".", "_")) for part in below.split("/") if part)


def exists(path: str) -> bool:
    """Whether there is a file or folder."""
    filesystem, path = open_filesystem(path)
    return filesystem.get_file_info(path).type != pafs.FileType.NotFound


def names(folder: str) -> list[str]:
    """The names in a folder, sorted; an empty list where it does not exist."""
    filesystem, path = open_filesystem(folder)
    return sorted(f.base_name for f in filesystem.get_file_info(pafs.FileSelector(path, allow_not_found=True)))


def make_folder(folder: str) -> None:
    """Creates a folder and its parents."""
    filesystem, path = open_filesystem(folder)
    filesystem.create_dir(path, recursive=True)


def remove(path: str) -> None:
    """Removes a file, or a folder with all in it, where there is one."""
    filesystem, path = open_filesystem(path)
    kind = filesystem.get_file_info(path).type
    if kind == pafs.FileType.Directory:
        filesystem.delete_dir(path)
    elif kind == pafs.FileType.File:
        filesystem.delete_file(path)


def replace(source: str, target: str) -> None:
    """Moves a file or folder to ``target``, in the place of what was there."""
    filesystem, target_path = open_filesystem(target)
    _, source_path = open_filesystem(source)
    remove(target)
    if isinstance(filesystem, pafs.LocalFileSystem | pafs.HadoopFileSystem):
        filesystem.move(source_path, target_path)
        return
    info = filesystem.get_file_info(source_path)  # An object store has no folders to rename.
    files = [info] if info.is_file else filesystem.get_file_info(pafs.FileSelector(source_path, recursive=True))
    for file in files:
        if file.is_file:
            filesystem.move(file.path, target_path + file.path[len(source_path) :])


def write_bytes(path: str, content: bytes) -> None:
    """Writes a whole file: under another name first, so that it is there complete or not at all."""
    filesystem, target = open_filesystem(path)
    temporary = posixpath.join(posixpath.dirname(target), f".{posixpath.basename(target)}.{uuid.uuid4().hex}")
    with filesystem.open_output_stream(temporary, compression=None) as out:
        out.write(content)
    filesystem.move(temporary, target)


def write_json(path: str, value: Any) -> None:
    """Writes ``value`` as indented JSON, complete or not at all."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def read_bytes(path: str) -> bytes:
    """The content of a file."""
    filesystem, source = open_filesystem(path)
    with filesystem.open_input_stream(source, compression=None) as file:
        return file.read()


def unpacked(path: str, most: int | None = None, keep: bool = True) -> tuple[bytes, str | None]:
    """The content of a file, unpacked where its name ends in .gz or .bz2, and what stopped reading, or None.

    At most ``most`` bytes; none of them where not ``keep``.
    """
    filesystem, source = open_filesystem(path)
    packed = {"gz": "gzip", "bz2": "bz2"}.get(source.rsplit(".", 1)[-1].lower())
    parts, size = [], 0
    try:
        with filesystem.open_input_stream(source, compression=packed) as file:
            while (most is None or size < most) and (block := file.read(min(most or BLOCK, BLOCK))):
                parts += [block] if keep else []
                size += len(block)
    except OSError as error:
        return b"".join(parts), str(error).splitlines()[0]
    return b"".join(parts), None


def is_utf16(path: str) -> bool:
    """Whether a text file, plain, .gz or .bz2, begins with the mark of UTF-16."""
    return unpacked(path, 2)[0] in (b"\xff\xfe", b"\xfe\xff")


def damage(path: str) -> str | None:
    """What is wrong with a packed file, if it cannot be read to its end; reads it whole."""
    return unpacked(path, keep=False)[1]


def read_json(path: str) -> Any:
    """The value in a JSON file, or None where there is no file or it is cut short."""
    if not exists(path):
        return None
    try:
        return json.loads(read_bytes(path))
    except ValueError:
        return None


def sha256(path: str) -> str:
    """The SHA-256 of a file's content, in hex."""
    filesystem, source = open_filesystem(path)
    digest = hashlib.sha256()
    with filesystem.open_input_stream(source, compression=None) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
