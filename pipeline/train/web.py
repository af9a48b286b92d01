"""Files of web servers: parts of them by ranges, or all from start to end, with retries.

A connection that is cut or stalls is made again and goes on at the byte where it ended. A file that becomes another in
the middle of that is an error. Messages hold no credentials.
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from pipeline.errors import UsageError
from pipeline.paths import shown
from pipeline.train.retries import NotGiven, Passing, retried

CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0
CONNECTIONS, BLOCK = 32, 1 << 16
PASSING = (408, 425, 429, 500, 502, 503, 504)
SAID = {401: "needs other credentials", 403: "is forbidden", 404: "not found", 410: "not found"}
REASONS = {
    urllib3.exceptions.NameResolutionError: "its host is not known",
    urllib3.exceptions.NewConnectionError: "no connection",
    urllib3.exceptions.ConnectTimeoutError: f"no connection in {CONNECT_SECONDS:g} s",
    urllib3.exceptions.ReadTimeoutError: f"nothing came for {READ_SECONDS:g} s",
    urllib3.exceptions.ProxyError: "the proxy gives no connection",
}


class WebFile:
    """A file of a web server, which is read by ranges."""

    def __init__(self, url: str):
        """Raises ``UsageError`` where the server gives no ranges, ``OSError`` where it has no such file."""
        self.url = url
        self.length, self.state = retried(url, self._look)

    def size(self) -> int:
        """Its bytes."""
        return self.length

    def read_at(self, size: int, offset: int) -> bytes:
        """``size`` bytes at ``offset``; fewer at its end."""
        end, content = min(offset + size, self.length), bytearray()

        def go_on() -> None:
            start = offset + len(content)
            with _answer(self.url, f"bytes={start}-{end - 1}") as answer:
                if answer.status != 206 or not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                    raise NotGiven(f"{shown(self.url)}: gave another range than was asked for")
                if _state(self.url, answer)[1] != self.state:
                    raise NotGiven(f"{shown(self.url)}: has changed")
                for part in answer.stream(BLOCK, decode_content=False):
                    content.extend(part)

        if offset < end:
            retried(self.url, go_on, lambda: len(content))
        return bytes(content[: end - offset])

    def _look(self) -> tuple[int, str]:
        with _answer(self.url, "bytes=0-0") as answer:
            if answer.status == 200:
                raise UsageError(
                    f"data.shards: {shown(self.url)}: its server gives whole files alone and no ranges; "
                    "download it, or train with --set data.stream=true"
                )
            answer.drain_conn()
            return _state(self.url, answer)


def _state(url: str, answer: urllib3.BaseHTTPResponse) -> tuple[int, str]:
    """The bytes of a file of which a range was given, and what it is another file without."""
    total = answer.headers.get("Content-Range", "").rpartition("/")[2]
    if not total.isdigit():
        raise NotGiven(f"{shown(url)}: gave a range, and does not say of how many bytes")
    return int(total), f"{total} {_tag(answer) or ''}".strip()


def _tag(answer: urllib3.BaseHTTPResponse) -> str | None:
    return answer.headers.get("ETag") or answer.headers.get("Last-Modified")


class WebStream(io.RawIOBase):
    """A file of a web server from its start to its end; where the server gives no ranges it skips what it had."""

    def __init__(self, url: str):
        self.url, self.at, self.known, self.parts = url, 0, None, None

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer) -> int:
        """Some bytes, or none at the end."""
        content = retried(self.url, lambda: self._next(len(buffer)))
        buffer[: len(content)] = content
        self.at += len(content)
        return len(content)

    def _next(self, most: int) -> bytes:
        try:
            self.parts = self.parts or self._open(min(BLOCK, most))
            return next(self.parts, b"")
        except BaseException:
            self.parts = None
            raise

    def _open(self, block: int) -> Iterator[bytes]:
        """What is not read yet, in parts."""
        start = self.at
        if self.known is not None and self.known[0] == start:
            return
        with _answer(self.url, f"bytes={start}-" if start else None) as answer:
            length = answer.headers.get("Content-Length", "")
            known = int(length) + (start if answer.status == 206 else 0) if length.isdigit() else None, _tag(answer)
            if self.known not in (None, known):
                raise NotGiven(f"{shown(self.url)}: has changed")
            self.known, skip = known, start if answer.status == 200 else 0
            for part in answer.stream(block, decode_content=False):
                if skip < len(part):
                    yield part[skip:]
                skip = max(0, skip - len(part))

    def close(self) -> None:
        """Ends the connection."""
        if self.parts is not None:
            self.parts.close()
            self.parts = None
        super().close()


@contextmanager
def _answer(url: str, ranges: str | None) -> Iterator[urllib3.BaseHTTPResponse]:
    """The answer to a request. Raises ``Passing`` for what may be otherwise at the next, also while it is read."""
    parts = urlsplit(url)
    headers = {"Accept-Encoding": "identity", "User-Agent": "metaclip-pipeline"}
    if ranges:
        headers["Range"] = ranges
    if parts.username is not None:
        headers |= urllib3.make_headers(basic_auth=f"{unquote(parts.username)}:{unquote(parts.password or '')}")
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    following = urllib3.Retry(total=None, connect=0, read=0, redirect=5, status=0, other=0, raise_on_status=False)
    proxy = None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
    answer = None
    try:
        answer = _pool(proxy, os.getpid()).request(
            "GET", bare, headers=headers, preload_content=False, retries=following
        )
        if answer.status in PASSING:
            after = answer.headers.get("Retry-After", "")
            raise Passing(f"status {answer.status}", int(after) if after.isdigit() else 0)
        if answer.status not in (200, 206):
            kind = FileNotFoundError if answer.status in (404, 410) else NotGiven
            raise kind(f"{shown(url)}: {SAID.get(answer.status, 'gave no content')} (status {answer.status})")
        yield answer
    except urllib3.exceptions.LocationParseError:
        raise UsageError(f"data.shards: {shown(url)}: not a URL") from None
    except urllib3.exceptions.HTTPError as error:
        reason = getattr(error, "reason", None)
        if isinstance(reason, urllib3.exceptions.ResponseError):
            raise NotGiven(f"{shown(url)}: is redirected too often") from None
        if isinstance(reason, urllib3.exceptions.SSLError):
            raise NotGiven(f"{shown(url)}: is not HTTPS, or of a certificate that is not accepted") from None
        known = (said for kind, said in REASONS.items() for e in (reason, error)
                 if isinstance(e, kind))  # fmt: skip
        raise Passing(next(known, "the connection was cut")) from None
    finally:
        if answer is not None:
            answer.close()  # One that was read to its end has given its connection back.


@cache
def _pool(proxy: str | None, process: int) -> urllib3.PoolManager:
    """The connections of a process: a fork must not go on with those of its parent."""
    timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    options = {"num_pools": 16, "maxsize": CONNECTIONS, "timeout": timeout}
    return urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
