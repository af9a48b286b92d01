"""Every limit and every fault of an answer, over HTTP and HTTPS alike: a word for each, and nobody waits for ever."""

import contextlib
import gzip
import http.client
import socket
import ssl
import threading
import time

import pytest

pytest.importorskip("ada_url")

from pipeline.images.addresses import Refused
from pipeline.images.exchange import named_errors
from pipeline.images.guard import Guard, Limits, retry_after

from .site import BIG, Site, certificate, jpeg

LOCAL = Limits(allow_networks=("127.0.0.0/8",), most_bytes=1_000_000, most_seconds=2.0)


def guard(limits=LOCAL) -> Guard:
    found = Guard(limits)
    found.tls.load_verify_locations(certificate())
    return found


@pytest.fixture(scope="module", params=[False, True], ids=["http", "https"])
def site(request):
    with Site(secure=request.param) as found:
        yield found
        found.shutdown()


def outcome(url: str, limits=LOCAL, timeout=1.0) -> str:
    """The word that a request ends in; ``success`` for the image of number 3."""
    try:
        with guard(limits).open(url, timeout=timeout) as answer:
            return "success" if answer.read() == jpeg(3) else "another answer"
    except Refused as refusal:
        return str(refusal.reason)


@pytest.mark.parametrize(
    ("path", "want"),
    [
        ("good/3.jpg", "success"), ("to?url=/good/3.jpg", "success"), ("huge/declared", "too_many_bytes"), ("huge/silent", "too_many_bytes"),
        ("slow/x", "too_slow"), ("slowheaders/x", "too_slow"), ("hang/x", "timeout"), ("noai/x", "opted_out"), ("reserved/x", "opted_out"),
        ("cut/x", "cut_short"), ("cutchunk/x", "cut_short"), ("badchunk/x", "cut_short"), ("garbage/x", "bad_answer"), ("status/404", "http_404"),
        ("status/500", "http_500"), ("status/304", "http_304"), ("loop/x", "too_many_redirects"), ("to?url=file:///etc/passwd", "refused_scheme"),
        ("to?url=data:,x", "refused_scheme"), ("to?url=http://a..b/", "bad_url"), ("to?url=http://10.0.0.1/", "refused_address"),
        ("to?url=http://xn--nobody.invalid/", "dns"), ("location/" + "http://ünknown.invalid/".encode().hex(), "dns"),
        ("coded/gzip", "success"), ("coded/deflate", "success"), ("coded/br", "success"), ("coded/x-odd", "success"), ("coded/gzip?of=bomb", "too_many_bytes"),
        ("coded/br?of=bomb", "too_many_bytes"), ("coded/deflate?of=bomb", "too_many_bytes"), ("coded/br?of=garbage", "bad_answer"),
        ("coded/gzip?of=garbage", "bad_answer"),
    ],
)  # fmt: skip
def test_every_answer_has_a_word(site, path, want):
    started = time.monotonic()
    assert outcome(f"{site.url}/{path}") == want
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("path", ["bighead/302?url=/good/3.jpg", "bighead/404", "bighead/500", "bighead/302"])
def test_bodies_of_redirects_and_errors_are_not_read(site, path):
    before = site.asked["bytes"]
    assert outcome(f"{site.url}/{path}") == ("success" if "url" in path else f"http_{path[8:11]}")
    time.sleep(0.1)
    assert site.asked["bytes"] - before <= 32 * BIG  # what fits into the buffers of a connection


@pytest.mark.parametrize(
    ("status", "want"), [("503 x; retry after 3000000000 s", ("http_503", None)), ("429 y\r\nRetry-After: " + "9" * 30, ("http_429", 1 << 30))]
)  # fmt: skip
def test_no_word_of_a_host_gets_into_ours(status, want):
    server = Raw(
        lambda connection: connection.recv(65536) and connection.sendall(f"HTTP/1.1 {status}\r\n\r\n".encode())
    )
    with pytest.raises(Refused) as refusal:
        guard().open(server.url, timeout=2)
    assert (refusal.value.reason, refusal.value.retry_after) == want
    assert "3000000000" not in str(refusal.value)


@pytest.mark.parametrize(
    ("head", "more", "want"),
    [
        ("", b"1;" + b"x" * 60_000 + b"\r\na\r\n", "too_many_bytes"), ("", b"2\r\nab\r\n" * 9_000, "too_many_bytes"),
        ("", b"0\r\n" + b"a: b\r\n" * 20_000, "too_many_bytes"), ("X: " + "y" * 60_000 + "\r\n", b"", "bad_answer"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("secure", [False, True])
def test_bytes_that_are_no_body_are_limited_too(head, more, want, secure):
    """Chunk extensions, tiny chunks, trailers, and headers, on and on and fast."""

    def serve(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head.encode() * 90 + b"Transfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(more or b"x")

    started = time.monotonic()
    limits = Limits(allow_networks=("127.0.0.0/8",), most_bytes=2_000_000, most_seconds=20)
    assert outcome(Raw(serve, secure).url, limits) == want
    assert time.monotonic() - started < 10


def test_packed_bytes_are_limited_too():
    content = gzip.compress(jpeg(3)) + bytes(2_000_000)
    head = b"HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
    server = Raw(lambda connection: connection.recv(65536) and connection.sendall(head + content))
    assert outcome(server.url) == "too_many_bytes"


def test_time_is_for_all_redirects_together(site):
    limits = Limits(allow_networks=("127.0.0.0/8",), most_seconds=1.0)
    started = time.monotonic()
    assert outcome(f"{site.url}/to?url=/to?url=/slow/x", limits) == "too_slow"
    assert time.monotonic() - started < 2


class Raw:
    """A server of bare sockets, each given to a function in a thread of its own."""

    def __init__(self, serve, secure=False):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"{'https' if secure else 'http'}://127.0.0.1:{self.socket.getsockname()[1]}/x"
        self.serve, self.context = serve, None
        if secure:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate())
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection):
        with contextlib.suppress(OSError):
            if self.context is not None:
                connection = self.context.wrap_socket(connection, server_side=True)
            with connection:
                self.serve(connection)


def drip(connection):
    """Reads the client's hello and goes on with a record of TLS that never ends."""
    connection.recv(65536)
    connection.sendall(b"\x16\x03\x03\x40\x00")
    for _ in range(100):
        connection.sendall(b"\x02")
        time.sleep(0.1)


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@pytest.mark.parametrize(
    ("serve", "want"),
    [
        (lambda connection: connection.recv(65536) and None, "connection"), (reset, "connection"),
        (lambda connection: connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n"), "tls"),
        (lambda connection: time.sleep(4), "timeout"),
    ],
)  # fmt: skip
def test_handshakes_that_fail(serve, want):
    assert outcome(Raw(serve).url.replace("http:", "https:")) == want


def test_a_handshake_that_drips_ends():
    for limits, want in ((LOCAL, "timeout"), (Limits(allow_networks=("127.0.0.0/8",), most_seconds=0.7), "too_slow")):
        started = time.monotonic()
        assert outcome(Raw(drip).url.replace("http:", "https:"), limits) == want
        assert time.monotonic() - started < 3


def test_answers_that_end_at_once():
    for serve in (reset, lambda connection: connection.recv(65536) and None):
        assert outcome(Raw(serve).url) == "connection"


@pytest.mark.parametrize("secure", [False, True])
def test_a_head_without_end(secure):
    """Interim answers and header lines on and on, fast: not a byte is late, and yet it ends."""

    def serve(connection, line):
        connection.recv(65536)
        while True:
            connection.sendall(line * 1000)
            time.sleep(0.01)

    for line in (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"x" * 70_000):
        server = Raw(lambda connection, line=line: serve(connection, line), secure)
        assert outcome(server.url) == "bad_answer"


def test_a_certificate_of_nobody():
    with Site(secure=True) as site:
        with pytest.raises(Refused, match="^certificate: SSLCertVerificationError"):
            Guard(LOCAL).open(f"{site.url}/good/3.jpg", timeout=2)
        assert outcome(f"https://localhost:{site.server_port}/good/3.jpg") == "success"
        site.shutdown()


def test_a_host_of_dead_addresses_has_one_time_limit(monkeypatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{n}", 9)) for n in range(1, 41)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: found)
    tried = []

    def connect(self, address):
        tried.append(address)
        time.sleep(self.gettimeout())
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket.socket, "connect", connect)
    started = time.monotonic()
    assert outcome("http://many.test/x", timeout=1.0) == "timeout"
    assert time.monotonic() - started < 2
    tried.clear()
    assert outcome("http://many.test/x", Limits(allow_networks=("127.0.0.0/8",), most_seconds=0.5), 9.0) == "too_slow"
    assert len(tried) < 5


def test_the_second_address_is_asked_where_the_first_is_dead(monkeypatch):
    with Site() as site:
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, site.server_port)) for ip in ("127.0.0.9", "127.0.0.1")
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: found)
        assert outcome(f"http://two.test:{site.server_port}/good/3.jpg") == "success"
        site.shutdown()


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (ssl.SSLCertVerificationError("x"), "certificate"), (ssl.SSLEOFError("x"), "connection"), (ssl.SSLZeroReturnError("x"), "connection"),
        (ssl.SSLError("x"), "tls"), (ConnectionResetError("x"), "connection"), (TimeoutError("x"), "timeout"), (socket.gaierror(-2, "x"), "dns"),
        (http.client.RemoteDisconnected("x"), "connection"), (http.client.BadStatusLine("x"), "bad_answer"),
        (http.client.LineTooLong("x"), "bad_answer"), (http.client.IncompleteRead(b""), "cut_short"), (http.client.HTTPException("x"), "bad_answer"),
        (UnicodeEncodeError("idna", "x", 0, 1, "x"), "bad_url"), (OSError(101, "Network is unreachable"), "connection"),
        (ValueError("x"), "bad_answer"),
    ],
)  # fmt: skip
def test_errors_have_words(error, word):
    with pytest.raises(Refused) as refusal, named_errors():
        raise error
    assert refusal.value.reason == word
    assert str(refusal.value).startswith(f"{word}: ")


@pytest.mark.parametrize(
    ("given", "want"),
    [("0", 0), ("120", 120), (" 7 ", 7), ("9" * 40, 1 << 30), ("", None), ("soon", None), ("-1", None), ("1.5", None), ("١", 1),
     ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("Thu, 01 Jan 2099 00:00:00 GMT", 1 << 30), ("Thu, 99 Jan 2099", None)],
)  # fmt: skip
def test_rest_that_hosts_ask_for(given, want):
    headers = http.client.HTTPMessage()
    headers["Retry-After"] = given
    assert retry_after(headers) == want
    assert retry_after(http.client.HTTPMessage()) is None


def test_a_host_gets_so_many_requests_at_a_time_and_redirects_to_itself_do_not_hang():
    """An image that leads from HTTP to HTTPS on its host, one request a host at a time, several threads."""
    limits = Limits(allow_networks=("127.0.0.0/8",), requests_per_host=1, ask_hosts=True)
    with Site() as plain, Site(secure=True) as secure:
        url = f"{plain.url}/to?url={secure.url}/good/3.jpg"
        shared, words = guard(limits), []

        def ask():
            with shared.open(url, timeout=5) as answer:
                words.append(answer.read() == jpeg(3))

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert words == [True] * 6
        plain.shutdown()
        secure.shutdown()
