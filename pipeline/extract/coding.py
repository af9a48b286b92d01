"""The body of an HTTP answer as it was before it was packed: chunks, gzip, deflate, Brotli, zstd.

Many crawlers store a body unpacked and keep the header, so a coding is only undone where the body is in it.
"""

import re
import zlib

import brotli
import zstandard

CHUNK = re.compile(rb"\s{0,4}([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]{0,1000})?\r?\n")
BLOCK = 1 << 16


class TooLarge(Exception):
    """A body is larger than allowed."""


class BadCoding(Exception):
    """A body is not in the coding that its header names, nor plain."""


def decoded(body: bytes, transfer: str, content: str, most: int) -> bytes:
    """The body without its codings, what there is of it where it is cut short.

    ``transfer``, ``content``: the values of ``Transfer-Encoding`` and ``Content-Encoding``. ``most``: bytes allowed.
    """
    if "chunked" in transfer.lower():
        body = without_chunks(body)
    for coding in reversed([name.strip() for name in content.lower().split(",")]):
        body = _unpacked(body, coding, most)
    if len(body) > most:
        raise TooLarge
    return body


def without_chunks(body: bytes) -> bytes:
    """The body of chunks put together; the body itself where it is in none."""
    parts, at = [], 0
    while found := CHUNK.match(body, at):
        size = int(found[1], 16)
        if size == 0:
            break
        parts.append(body[found.end() : found.end() + size])
        at = found.end() + size
        if at >= len(body):
            break
        at += 2 if body[at : at + 2] == b"\r\n" else body[at : at + 1] == b"\n"
    return b"".join(parts) if parts else body


def _unpacked(body: bytes, coding: str, most: int) -> bytes:
    if coding in ("", "identity") or not body:
        return body
    if coding in ("gzip", "x-gzip") or (coding == "deflate" and body[:2] == b"\x1f\x8b"):
        return _inflated(body, 31, most) if body[:2] == b"\x1f\x8b" else _plain(body)
    if coding == "deflate":
        wrapped = (body[0] & 0x0F) == 8 and int.from_bytes(body[:2], "big") % 31 == 0
        return _plain(body) if _looks_plain(body) else _inflated(body, 15 if wrapped else -15, most)
    if coding == "br":
        return _plain(body) if _looks_plain(body) else _of_brotli(body, most)
    if coding == "zstd":
        return _of_zstd(body, most) if body[:4] == b"\x28\xb5\x2f\xfd" else _plain(body)
    return _plain(body)


def _looks_plain(body: bytes) -> bool:
    return body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<"


def _plain(body: bytes) -> bytes:
    if not _looks_plain(body):
        raise BadCoding
    return body


def _inflated(body: bytes, window: int, most: int) -> bytes:
    """zlib's; a body that ends too early gives what there is."""
    parts, size = [], 0
    while body:
        stream = zlib.decompressobj(window)
        try:
            while body and not stream.eof:
                part = stream.decompress(body, BLOCK)
                parts.append(part)
                size += len(part)
                if size > most:
                    raise TooLarge
                body = stream.unconsumed_tail
                if not part and not body:
                    break
        except zlib.error as error:
            if not size:
                raise BadCoding from error
            break
        body = stream.unused_data if window == 31 and stream.unused_data[:2] == b"\x1f\x8b" else b""
    return b"".join(parts)


def _of_brotli(body: bytes, most: int) -> bytes:
    stream, parts, size, at = brotli.Decompressor(), [], 0, 0
    try:
        while not stream.is_finished():
            given = b"" if not stream.can_accept_more_data() else body[at : at + BLOCK]
            at += len(given)
            part = stream.process(given, output_buffer_limit=BLOCK)
            parts.append(part)
            size += len(part)
            if size > most:
                raise TooLarge
            if not part and not given:
                if not size:
                    raise BadCoding
                break
    except brotli.error as error:
        if not size:
            raise BadCoding from error
    return b"".join(parts)


def _of_zstd(body: bytes, most: int) -> bytes:
    parts, size = [], 0
    try:
        with zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True) as stream:
            while part := stream.read(BLOCK):
                parts.append(part)
                size += len(part)
                if size > most:
                    raise TooLarge
    except zstandard.ZstdError as error:
        if not size:
            raise BadCoding from error
    return b"".join(parts)
