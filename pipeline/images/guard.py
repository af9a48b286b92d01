"""What may be asked, of whom, how often at a time, and how much an answer may be.

img2dataset asks ``urllib.request.urlopen`` for whatever URL it has. ``Guard.installed`` puts ``Guard.open`` in its
place in this process: HTTP and HTTPS alone; every address of a host is looked at and the one that was looked at is
connected to, for redirects too; answers are limited in bytes and seconds, and not taken where they ask not to be used.
"""

import contextlib
import http.client
import io
import ipaddress
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial

import urllib3

from pipeline.images.addresses import Refused, Target, check_address, read_location, read_url
from pipeline.images.consent import Consent, opted_out
from pipeline.images.exchange import Deadline, Exchange

CHUNK = 1 << 16
MOST_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Limits:
    """What an answer may be, and how many requests a host gets at a time from this process."""

    most_bytes: int = 50_000_000
    most_seconds: float = 60.0
    requests_per_host: int = 0  # 0: any number
    allow_networks: tuple[str, ...] = ()
    directives: tuple[str, ...] = ("noai", "noimageai", "noindex", "noimageindex")
    agent_token: str | None = None
    ask_hosts: bool = False  # for robots.txt and tdmrep.json


class Guard:
    """Opens URLs within the limits."""

    def __init__(self, limits: Limits):
        self.limits = limits
        self.allowed = [ipaddress.ip_network(text) for text in limits.allow_networks]
        self.slots: dict[str, threading.Semaphore] = {}
        self.lock = threading.Lock()
        self.tls = ssl.create_default_context()
        self.consent = Consent(self._read, limits.agent_token) if limits.ask_hosts else None

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Makes every ``urllib.request.urlopen`` of this process go through the guard, within a ``with`` block."""
        before = urllib.request.urlopen
        urllib.request.urlopen = self.open
        try:
            yield
        finally:
            urllib.request.urlopen = before

    def open(self, request, data=None, timeout: float = 10.0) -> "Answer":
        """The answer to a request (or URL), which is to be closed. Raises ``Refused`` where there is none.

        A status that is no success is ``http_404`` and so on. ``data`` is not sent.
        """
        if isinstance(request, str):
            request = urllib.request.Request(request)
        return self._follow(request.full_url, dict(request.header_items()), timeout, self.consent)

    def _read(self, url: str, most: int) -> bytes:
        """At most the first ``most`` bytes of what a host says of itself, which is asked for without its consent."""
        with self._follow(url, {}, 10.0, None) as answer:
            return answer.first(most)

    def _follow(self, url: str, headers: dict[str, str], timeout: float, consent: Consent | None) -> "Answer":
        """Asks for a URL, and for where it leads. No slot is held while another host, or its consent, is waited for."""
        deadline = Deadline(self.limits.most_seconds)
        target = read_url(url)
        for _ in range(MOST_REDIRECTS + 1):
            if consent is not None:
                with deadline.paused(bounded=True):
                    allowed = consent.allows(target)
                if not allowed:
                    raise Refused("opted_out")
            answer = self._ask(target, headers, timeout, deadline)
            location = answer.headers.get("Location") if answer.status in REDIRECTS else None
            if location is None:
                return answer.taken()
            answer.close()
            target = read_location(location, target)
        raise Refused("too_many_redirects")

    def _ask(self, target: Target, headers: dict[str, str], timeout: float, deadline: Deadline) -> "Answer":
        """One exchange, in a slot of the host that the answer gives back."""
        slot = self._slot(target.host.removesuffix("."))
        if slot is not None:
            with deadline.paused():
                slot.acquire()
        try:
            check = partial(check_address, allowed=self.allowed)
            most = self.limits.most_bytes
            return Answer(Exchange(target, headers, check, timeout, deadline, self.tls, most), self.limits, slot)
        except BaseException:
            if slot is not None:
                slot.release()
            raise

    def _slot(self, host: str) -> threading.Semaphore | None:
        if not self.limits.requests_per_host:
            return None
        with self.lock:
            return self.slots.setdefault(host, threading.BoundedSemaphore(self.limits.requests_per_host))


class Answer:
    """An answer as img2dataset reads it: ``headers``, one ``read``, and a ``with`` block."""

    def __init__(self, exchange: Exchange, limits: Limits, slot: threading.Semaphore | None):
        self.exchange, self.limits, self.slot = exchange, limits, slot
        self.status, self.headers = exchange.response.status, exchange.response.headers

    def taken(self) -> "Answer":
        """The answer itself, if it is a success; else it is closed and ``Refused`` is raised, with its status."""
        if 200 <= self.status < 300:
            return self
        self.close()
        # Of the host's own words none get into ours.
        raise Refused(f"http_{self.status}", http.client.responses.get(self.status, ""), retry_after(self.headers))

    def read(self) -> bytes:
        """The whole body, decoded. Raises ``Refused`` where it is too long, takes too long, or opts out."""
        limits = self.limits
        if opted_out(self.headers, limits.directives, limits.agent_token):
            raise Refused("opted_out")
        if (self.exchange.response.length or 0) > limits.most_bytes:
            raise Refused("too_many_bytes")
        content = self._received(limits.most_bytes + 1)
        if len(content) <= limits.most_bytes and self.coding:
            content = decoded(content, self.coding, limits.most_bytes + 1)
        if len(content) > limits.most_bytes:
            raise Refused("too_many_bytes")
        return content

    def first(self, most: int) -> bytes:
        """At most the first ``most`` bytes of the body, decoded; of one that is cut short, what came."""
        content = self._received(most, whole=False)
        return decoded(content, self.coding, most) if self.coding else content[:most]

    @property
    def coding(self) -> str:
        """The body's coding; empty for none."""
        return self.headers.get("Content-Encoding", "").strip().lower()

    def _received(self, most: int, whole: bool = True) -> bytes:
        """The body as it comes, up to ``most`` bytes or a little more."""
        content = bytearray()
        try:
            for part in self.exchange.parts(CHUNK):
                content += part
                if len(content) >= most:
                    break
        except Refused as refusal:
            if whole or refusal.reason != "cut_short":
                raise
        return bytes(content)

    def close(self) -> None:
        """Ends the connection, whatever was read of the answer, and gives the slot back."""
        self.exchange.close()
        if self.slot is not None:
            self.slot.release()
            self.slot = None

    def __enter__(self) -> "Answer":
        return self

    def __exit__(self, *_problem) -> None:
        self.close()


def decoded(content: bytes, coding: str, most: int) -> bytes:
    """At most the first ``most`` bytes of a body in a coding (gzip, deflate, br, several), and no more in memory."""
    body = urllib3.HTTPResponse(io.BytesIO(content), {"content-encoding": coding}, preload_content=False)
    parts, size = [], 0
    try:
        while size < most and (part := body.read(min(CHUNK, most - size), decode_content=True)):
            parts.append(part)
            size += len(part)
    except urllib3.exceptions.HTTPError as error:
        raise Refused("bad_answer", str(error)[:100]) from None
    return b"".join(parts)


def retry_after(headers) -> int | None:
    """The seconds for which a host asks to be left alone (``Retry-After``, a number or a date), or None."""
    given = (headers.get("Retry-After") or "").strip()
    if given.isdecimal():
        return min(int(given), 1 << 30) if len(given) < 12 else 1 << 30
    try:
        seconds = parsedate_to_datetime(given).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0, min(int(seconds) + 1, 1 << 30))
