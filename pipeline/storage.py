"""Files and folders by path or URL, local or of a store that Arrow or fsspec knows: list, read, write, move.

Spark reads and writes the tables; this is for the rest: finding input files, small JSON files, and putting a finished
folder in its place. What a path means, and what files a pattern stands for, is said by ``paths`` and ``listing``, whose
functions are used by this module's name too.
"""

import contextlib
import errno
import hashlib
import json
import os
import posixpath
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pyarrow.fs as pafs

from pipeline.listing import files_below, list_files
from pipeline.paths import absolute, base_name, is_local, is_url, join, open_filesystem, spark_url, split_options

__all__ = [
    "absolute", "base_name", "damage", "exists", "files_below", "is_local", "is_url", "is_utf16", "join", "json_bytes",
    "list_files", "make_folder", "names", "open_filesystem", "read_bytes", "read_json", "remove", "replace", "sha256",
    "spark_url", "split_options", "sync", "unpacked", "write_bytes", "write_json",
]  # fmt: skip
BLOCK = 1 << 20
_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{32}")


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
    with contextlib.suppress(FileNotFoundError):  # Another may have removed it since.
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
    above = len(source_path.strip("/"))
    for file in files:
        if file.is_file:
            name = file.path.strip("/")[above:]
            if name and isinstance(filesystem, pafs.PyFileSystem):  # which may have folders
                filesystem.create_dir(posixpath.dirname(target_path + name), recursive=True)
            filesystem.move(file.path, target_path + name)
    if not info.is_file:
        remove(source)


def sync(path: str) -> None:
    """Has the disk take a file, or the names in a folder, so that a loss of power leaves it; stores do so anyway."""
    if not is_local(path):
        return
    descriptor = os.open(absolute(path), os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # A file system that cannot.
            raise
    finally:
        os.close(descriptor)


def put(path: str, content: bytes) -> None:
    """Writes a file in place: in a store it is there at once and whole."""
    filesystem, target = open_filesystem(path)
    with filesystem.open_output_stream(target, compression=None) as out:
        out.write(content)


def write_bytes(path: str, content: bytes) -> None:
    """Writes a whole file: under another name first, so that it is there complete or not at all."""
    filesystem, target = open_filesystem(path)
    with _written(path, content) as temporary:
        filesystem.move(temporary, target)


def write_new(path: str, content: bytes) -> bool:
    """Writes a whole file unless there is one; whether it did. Of two that try at once on a disk one does."""
    filesystem, target = open_filesystem(path)
    if exists(path):
        return False
    with _written(path, content) as temporary:
        if is_local(path):
            try:
                os.link(temporary, target)
            except FileExistsError:
                os.remove(temporary)
                return False
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS):  # no links there
                    raise
            else:
                os.remove(temporary)
                return True
        filesystem.move(temporary, target)
    return True


@contextlib.contextmanager
def _written(path: str, content: bytes) -> Iterator[str]:
    """The content in a file of a name of its own beside ``path``, on the disk; removed where what follows fails."""
    filesystem, target = open_filesystem(path)
    temporary = posixpath.join(posixpath.dirname(target), f".{posixpath.basename(target)}.{uuid.uuid4().hex}")
    try:
        with filesystem.open_output_stream(temporary, compression=None) as out:
            out.write(content)
        if is_local(path):
            sync(temporary)
        yield temporary
    except BaseException:
        with contextlib.suppress(OSError):
            filesystem.delete_file(temporary)
        raise


def sweep(folder: str) -> None:
    """Removes files in a folder that a process was writing when it died; nobody else may be writing there."""
    for name in names(folder):
        if _UNFINISHED.fullmatch(name):
            remove(join(folder, name))


def write_json(path: str, value: Any) -> None:
    """Writes ``value`` as indented JSON, complete or not at all."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """``value`` as ``write_json`` writes it."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


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
    except (ValueError, FileNotFoundError):  # It may go between the two.
        return None


def sha256(path: str) -> str:
    """The SHA-256 of a file's content, in hex."""
    filesystem, source = open_filesystem(path)
    digest = hashlib.sha256()
    with filesystem.open_input_stream(source, compression=None) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
