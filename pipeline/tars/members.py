"""The members of a tar by its headers alone, several times faster than ``tarfile``, which reads the rare kinds.

POSIX.1-1988 and ustar headers, and pax headers with a path or a size (``webdataset`` writes one for each member, as its
times have fractions). GNU long names, global pax headers, sparse files and sizes over 8 GB go to ``tarfile``.
"""

import tarfile
from collections.abc import Iterator
from zlib import adler32

from pipeline.tars.window import AsFile, Window

BLOCK = 512
REGULAR, FOLDER, OTHER = "regular", "folder", "other"
_KINDS = {b"0": REGULAR, b"\0": REGULAR, b"5": FOLDER, **dict.fromkeys((b"1", b"2", b"3", b"4", b"6"), OTHER)}
_LARGEST_PAX = 1 << 20

Member = tuple[str, str, int, int]


class _RareKind(Exception):
    """A header that ``tarfile`` is to read."""


def members(window: Window) -> Iterator[Member]:
    """Name, kind (``regular``, ``folder``, ``other``), offset and size of the content of each member, in order.

    Raises ``tarfile.TarError`` where the tar is damaged, after the members before that. Offsets are not held against
    the file's end.
    """
    seen = 0
    try:
        for member in _plain_members(window):
            seen += 1
            yield member
    except _RareKind:
        with tarfile.open(fileobj=AsFile(window), mode="r:") as tar:
            for number, info in enumerate(tar):
                if number >= seen:
                    kind = FOLDER if info.isdir() else REGULAR if info.isreg() and not info.issparse() else OTHER
                    yield info.name, kind, info.offset_data, info.size
            # Where that is no end, tarfile stops all the same and says nothing.
            if (last := window.read_at(BLOCK, tar.offset)).strip(b"\0") or not last:
                raise tarfile.ReadError("ends in what is no header and no empty block") from None


def _plain_members(window: Window) -> Iterator[Member]:
    offset, known = 0, {}
    while offset < window.end:
        header = window.read_at(BLOCK, offset)
        if not header:
            break  # The end, which a window on a stream knows only now.
        if not header[0] and not header.strip(b"\0"):
            return
        if len(header) < BLOCK:
            raise tarfile.ReadError("unexpected end of data")
        size, kind = _checked(header)
        data = offset + BLOCK
        offset = data + -(-size // BLOCK) * BLOCK
        if kind == b"x":
            known = _pax(window.read_at(min(size, _LARGEST_PAX + 1), data), size)
            continue
        if kind not in _KINDS:
            raise _RareKind
        name = _name(header)
        kind = FOLDER if kind == b"\0" and name.endswith("/") else _KINDS[kind]  # as old tars mark one
        if known:
            name = known["path"].rstrip("/") if "path" in known else name
            if "size" in known:
                size = int(known["size"])
                if size < 0:
                    raise tarfile.ReadError("a size below nothing")
                offset = data + -(-size // BLOCK) * BLOCK
            known = {}
        if kind != REGULAR:
            offset = data  # Whatever their size says, no content follows.
        yield name, kind, data, size
    if offset:
        raise tarfile.ReadError("ends without the empty block that ends a tar")


def _checked(header: bytes) -> tuple[int, bytes]:
    """The size of a header's member and its type, if the checksum is right."""
    try:
        if header[124] & 0x80:
            raise _RareKind
        size = int(header[124:136].split(b"\0", 1)[0].strip() or b"0", 8)
        checksum = int(header[148:156].split(b"\0", 1)[0].strip() or b"0", 8)
        if size < 0:
            raise ValueError
    except ValueError:
        raise tarfile.ReadError("a header that is not one") from None
    if checksum != _sum(header[:148]) + _sum(header[156:]) + 8 * 32:
        raise _RareKind  # tarfile knows of signed sums too, and says what is wrong
    return size, header[156:157]


def _sum(content: bytes) -> int:
    """The sum of the bytes, if it is less than 65,521; those of more are read by ``tarfile``, whose sum is exact."""
    return adler32(content, 0) & 0xFFFF


def _name(header: bytes) -> str:
    name = header[:100].split(b"\0", 1)[0]
    if header[345] and header[257:263] == b"ustar\0":
        name = header[345:500].split(b"\0", 1)[0] + b"/" + name
    return name.decode("utf-8", "surrogateescape")


def _pax(content: bytes, size: int) -> dict[str, str]:
    """The path and size of a pax header."""
    if size > _LARGEST_PAX or len(content) < size or b"GNU.sparse" in content or b"hdrcharset" in content:
        raise _RareKind
    found: dict[str, str] = {}
    at = 0
    while at < size and content[at]:
        space = content.index(b" ", at, at + 20)
        length = int(content[at:space])
        if length < 5 or at + length > size or content[at + length - 1] != 0x0A:
            raise tarfile.ReadError("a pax header that is not one")
        key, _, value = content[space + 1 : at + length - 1].partition(b"=")
        if key in (b"path", b"size"):
            found[key.decode()] = value.decode("utf-8", "surrogateescape")
        at += length
    return found
