"""One request and its answer over HTTP/1.1, within limits of time, and a word for whatever goes wrong.

``http.client`` does the talking. Every read of its socket waits for the rest of the time at most, over HTTP and HTTPS
alike: a time-out of each read alone lets a server send a byte now and then for ever.
"""

import contextlib
import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable, Iterator

from pipeline.images.addresses import Refused, Target

SHORTEST_TRY = 2.0  # seconds for an address of a host that has many
HEAD_BYTES = 256 << 10  # of an answer, interim ones included


class Deadline:
    """The time that an answer may take in all, redirects included; the time in ``paused`` does not count."""

    def __init__(self, seconds: float):
        self.end = time.monotonic() + seconds
        self.most_paused = seconds

    def left(self) -> float:
        """The seconds that are left. Raises ``Refused`` where there are none."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise Refused("too_slow")
        return left

    @contextlib.contextmanager
    def paused(self, bounded: bool = False) -> Iterator[None]:
        """Stops the clock within a ``with`` block: for waits that are not the host's doing.

        ``bounded``: those that may be; together they are as long as the limit itself at most.
        """
        started = time.monotonic()
        yield
        spent = time.monotonic() - started
        if bounded:
            spent = min(spent, self.most_paused)
            self.most_paused -= spent
        self.end += spent


class Exchange:
    """A request for a URL that was sent, and the head of its answer in ``response``. To be closed."""

    def __init__(
        self,
        target: Target,
        headers: dict[str, str],
        check: Callable[[str], None],
        timeout: float,
        deadline: Deadline,
        tls: ssl.SSLContext,
        most_bytes: int,
    ):
        """``check`` raises for an address that may not be connected to; ``timeout``: seconds without an answer.

        ``most_bytes`` are of the body; as they come in chunks they are a quarter more at most. Raises ``Refused`` where
        no answer comes.
        """
        with named_errors():
            plain = _connect(target, check, timeout, deadline)
            self.channel = _Channel(plain, timeout, deadline)
            try:
                if target.scheme == "https":
                    self.channel.secure(tls, target.host)
                connection = http.client.HTTPConnection(target.host, target.port)
                connection.sock = self.channel
                connection.request("GET", target.path, headers=headers | {"Host": target.netloc, "Connection": "close"})
                self.response = connection.getresponse()
                self.channel.allow(most_bytes + most_bytes // 4 + HEAD_BYTES, "too_many_bytes")
            except BaseException:
                self.close()
                raise

    def parts(self, size: int) -> Iterator[bytes]:
        """The body as it comes, in parts of at most ``size`` bytes. Raises ``Refused`` where it cannot be read on."""
        declared, seen = self.response.length, 0
        with named_errors():
            while part := self.response.read1(size):
                seen += len(part)
                yield part
        if declared is not None and seen < declared:
            raise Refused("cut_short", f"{seen:,} of {declared:,} bytes")

    def close(self) -> None:
        """Ends the connection; what was not read of the answer is not read."""
        self.channel.end()


class _Channel:
    """A connection as ``http.client`` uses it: it sends, and reads through a file that watches the clock."""

    def __init__(self, connection: socket.socket, timeout: float, deadline: Deadline):
        self.connection, self.timeout, self.deadline = connection, timeout, deadline
        self.allow(HEAD_BYTES, "bad_answer")

    def allow(self, size: int, word: str) -> None:
        """Lets so many bytes more be read; what is beyond is refused with the word."""
        self.left, self.word = size, word

    def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Goes on in TLS, with a server that has a certificate for the host."""
        with self.waiting():
            self.connection = context.wrap_socket(self.connection, server_hostname=host.removesuffix("."))

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Lets one call on the connection, within a ``with`` block, wait as long as is left."""
        self.connection.settimeout(min(self.timeout, self.deadline.left()))
        try:
            yield
        except TimeoutError:
            self.deadline.left()  # Which of the two limits it was.
            raise

    def sendall(self, content: bytes) -> None:
        """Sends all of it."""
        with self.waiting():
            self.connection.sendall(content)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What answers are read from."""
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Nothing: ``http.client`` closes what it sends by when an answer begins, and reads on."""

    def end(self) -> None:
        """Closes the connection."""
        with contextlib.suppress(OSError):
            self.connection.close()


class _Reader(io.RawIOBase):
    def __init__(self, channel: _Channel):
        self.channel = channel

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        channel = self.channel
        with channel.waiting():
            size = channel.connection.recv_into(buffer)
        channel.left -= size
        if channel.left < 0:
            raise Refused(channel.word, "more bytes than an answer may have")
        return size


def _connect(target: Target, check: Callable[[str], None], timeout: float, deadline: Deadline) -> socket.socket:
    """A connection to the first address of a host that answers, after all of them were looked at.

    All addresses together get ``timeout`` seconds: each its share of what is left, and not less than two.
    """
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys((family, kind, protocol, address) for family, kind, protocol, _, address in found))
    for *_, address in addresses:
        check(address[0])
    problem: OSError = TimeoutError("no address answers")
    end = time.monotonic() + timeout
    for number, (family, kind, protocol, address) in enumerate(addresses):
        left = min(end - time.monotonic(), deadline.left())
        if left <= 0:
            break
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(min(left, max(SHORTEST_TRY, left / (len(addresses) - number))))
            connection.connect(address)
            return connection
        except OSError as error:
            connection.close()
            problem = error
    raise problem


@contextlib.contextmanager
def named_errors() -> Iterator[None]:
    """Turns every error of a request within a ``with`` block into ``Refused`` with a word of its own."""
    try:
        yield
    except Refused:
        raise
    except Exception as error:
        word = next((word for kinds, word in _WORDS if isinstance(error, kinds)), None)
        if word is None:
            raise
        raise Refused(word, _detail(error)) from error


def _detail(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


# The first that fits. Of SSL, what is no certificate and no lost connection is a server that speaks no TLS of ours.
_WORDS: list[tuple[type[Exception] | tuple[type[Exception], ...], str]] = [
    (ssl.SSLCertVerificationError, "certificate"),
    ((ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError, ConnectionError), "connection"),
    (ssl.SSLError, "tls"),
    (TimeoutError, "timeout"),
    (socket.gaierror, "dns"),
    (http.client.IncompleteRead, "cut_short"),
    (http.client.HTTPException, "bad_answer"),
    (UnicodeError, "bad_url"),
    (OSError, "connection"),
    ((ValueError, OverflowError), "bad_answer"),
]
