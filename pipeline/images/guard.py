"""What a URL may be, where a request may go, and how much an answer may be.

img2dataset asks ``urllib.request.urlopen`` for whatever URL it has. ``Guard.installed`` puts an opener of ours in its
place in this process: HTTP and HTTPS alone; every address of a host is looked at and the one that was looked at is
connected to, for redirects too; answers are limited in bytes and seconds, and refused where they ask not to be used.
"""

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
import urllib.request
import weakref
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from pipeline.images.addresses import Refused, check_host, check_url, embedded, is_public, quoted
from pipeline.images.consent import SAYINGS, Consent

CHUNK = 1 << 16

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


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
        self.allowed: list[Network] = [ipaddress.ip_network(text) for text in limits.allow_networks]
        self.slots: dict[str, threading.Semaphore] = defaultdict(
            lambda: threading.BoundedSemaphore(max(1, limits.requests_per_host))
        )
        self.watch = _Watch(limits.most_seconds)
        self.consent = Consent(lambda url: self._read(url), limits.agent_token) if limits.ask_hosts else None
        self.opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.UnknownHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
            _Redirects(self),
            _Http(self),
            _Https(self),
        ):
            self.opener.add_handler(handler)

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
        """The answer to a request (or URL). Raises ``Refused``, or what urllib does: an ``HTTPError`` for a status."""
        if isinstance(request, str):
            request = urllib.request.Request(request)
        url = request.full_url
        self.check(url)
        return self._open(request, data, timeout)

    def check(self, url: str) -> None:
        """Raises ``Refused`` for a URL that may not be asked for."""
        check_url(url)
        # A host is not asked what it says of the files in which it says it.
        if self.consent is not None and urlsplit(url).path not in SAYINGS and not self.consent.allows(url):
            raise Refused("opted_out")

    def _read(self, url: str) -> bytes:
        with self._open(urllib.request.Request(url), None, 10.0) as answer:
            return answer.read()

    def _open(self, request: urllib.request.Request, data, timeout: float) -> "Answer":
        url = request.full_url
        request.full_url = quoted(url)
        slot = self.slots[(urlsplit(url).hostname or "").lower()] if self.limits.requests_per_host else None
        if slot is not None:
            slot.acquire()
        try:
            started = time.monotonic()
            return Answer(self.opener.open(request, data, timeout), self.limits, started, slot)
        except BaseException:
            if slot is not None:
                slot.release()
            raise

    def connect(self, host: str, port: int, timeout) -> socket.socket:
        """A connection to an address of a host, after all of its addresses were looked at."""
        check_host(host)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        if not found:
            raise Refused("no_address")
        for entry in found:
            self.check_address(entry[4][0])
        problem: OSError | None = None
        for family, kind, protocol, _, address in found:
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(timeout)
                connection.connect(address)
                self.watch.add(connection)
                return connection
            except OSError as error:
                connection.close()
                problem = error
        raise problem

    def check_address(self, text: str) -> None:
        """Raises ``Refused`` for an address that is not public, unless its network is allowed."""
        address = ipaddress.ip_address(text.partition("%")[0])
        if any(address.version == network.version and address in network for network in self.allowed):
            return
        if not all(is_public(one) for one in [address, *embedded(address)]):
            raise Refused("refused_address")


class _Watch:
    """Ends connections that are too old: a timeout alone lets a server send a byte now and then for ever."""

    def __init__(self, seconds: float):
        self.seconds, self.connections, self.running = seconds, {}, False
        self.lock = threading.Lock()

    def add(self, connection: socket.socket) -> None:
        """Watches a connection until it is closed."""
        with self.lock:
            self.connections[weakref.ref(connection)] = time.monotonic() + self.seconds
            if not self.running:
                self.running = True
                threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(min(1.0, self.seconds / 4))
            now = time.monotonic()
            with self.lock:
                for known, end in list(self.connections.items()):
                    connection = known()
                    if connection is not None and connection.fileno() >= 0 and now < end:
                        continue
                    del self.connections[known]
                    if connection is not None and connection.fileno() >= 0:
                        with contextlib.suppress(OSError):
                            connection.shutdown(socket.SHUT_RDWR)


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = 5

    def __init__(self, guard: Guard):
        self.guard = guard

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        self.guard.check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Http(urllib.request.HTTPHandler):
    def __init__(self, guard: Guard):
        super().__init__()
        self.guard = guard

    def http_open(self, req):
        return self.do_open(self._connection, req)

    def _connection(self, host, timeout, **_options):
        return _Connection(self.guard, host, timeout=timeout)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, guard: Guard):
        super().__init__()
        self.guard, self.context = guard, ssl.create_default_context()

    def https_open(self, req):
        return self.do_open(self._connection, req)

    def _connection(self, host, timeout, **_options):
        return _SecureConnection(self.guard, host, timeout=timeout, context=self.context)


class _Connection(http.client.HTTPConnection):
    def __init__(self, guard: Guard, host, **options):
        super().__init__(host, **options)
        self.guard = guard

    def connect(self):
        self.sock = self.guard.connect(self.host, self.port, self.timeout)


class _SecureConnection(http.client.HTTPSConnection):
    def __init__(self, guard: Guard, host, **options):
        super().__init__(host, **options)
        self.guard, self.secure = guard, options["context"]

    def connect(self):
        plain = self.guard.connect(self.host, self.port, self.timeout)
        self.sock = self.secure.wrap_socket(plain, server_hostname=self.host)


class Answer:
    """An answer as img2dataset reads it: ``headers``, one ``read``, and a ``with`` block."""

    def __init__(self, response, limits: Limits, started: float, slot: threading.Semaphore | None):
        self.response, self.limits, self.started, self.slot = response, limits, started, slot
        self.headers = response.headers

    def read(self) -> bytes:
        """The whole body. Raises ``Refused`` where it is longer, or takes longer, than allowed, or opts out."""
        if opted_out(self.headers, self.limits):
            raise Refused("opted_out")
        declared = self.headers.get("Content-Length", "")
        if declared.isdigit() and int(declared) > self.limits.most_bytes:
            raise Refused("too_many_bytes")
        parts, size = [], 0
        while True:
            part = self.response.read1(CHUNK)
            if not part:
                break
            parts.append(part)
            size += len(part)
            if size > self.limits.most_bytes:
                raise Refused("too_many_bytes")
            if time.monotonic() - self.started > self.limits.most_seconds:
                raise Refused("too_slow")
        if time.monotonic() - self.started > self.limits.most_seconds:
            raise Refused("too_slow")
        if declared.isdigit() and size < int(declared):
            raise Refused("cut_short")
        return b"".join(parts)

    def __enter__(self) -> "Answer":
        return self

    def __exit__(self, *_problem) -> None:
        self.response.close()
        if self.slot is not None:
            self.slot.release()


def opted_out(headers, limits: Limits) -> bool:
    """Whether an answer asks not to be used: ``X-Robots-Tag`` directives, or the header ``tdm-reservation: 1``."""
    if (headers.get("tdm-reservation") or "").strip() == "1":
        return True
    for value in headers.get_all("X-Robots-Tag", []):
        agent, colon, rest = value.partition(":")
        ours = not colon or agent.strip().lower() == (limits.agent_token or "").lower()
        named = {directive.strip().lower() for directive in (rest if colon else value).split(",")}
        if ours and named & set(limits.directives):
            return True
    return False
