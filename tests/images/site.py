"""A site on 127.0.0.1, over HTTP or HTTPS, with good images and every bad answer."""

import datetime
import functools
import gzip
import http.server
import io
import ipaddress
import ssl
import tempfile
import threading
import time
import zlib
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from PIL import Image

BIG = 1 << 20


def jpeg(number: int, size: tuple[int, int] = (64, 48)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (number * 37 % 256, number * 91 % 256, number * 13 % 256)).save(out, "JPEG")
    return out.getvalue()


@functools.cache
def certificate() -> str:
    """The path of a certificate for 127.0.0.1 and localhost, and its key, that signs itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "site of the tests")])
    now = datetime.datetime.now(datetime.UTC)
    hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    file = Path(tempfile.mkdtemp(prefix="metaclip-test-")) / "site.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return str(file)


class Site(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, host: str = "127.0.0.1", secure: bool = False):
        super().__init__((host, 0), Handler)
        self.asked = Counter()
        self.flaky = Counter()
        self.times = {}
        self.secure = None
        if secure:
            self.secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.secure.load_cert_chain(certificate())
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def finish_request(self, request, client_address):
        # In the thread of the request, so that a handshake that hangs holds nobody else.
        if self.secure is None:
            self.RequestHandlerClass(request, client_address, self)
            return
        with self.secure.wrap_socket(request, server_side=True) as channel:
            self.RequestHandlerClass(channel, client_address, self)

    @property
    def url(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.server_address[0]}:{self.server_port}"

    def handle_error(self, *_arguments):
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_arguments):
        pass

    def do_GET(self):
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.server.asked[self.path] += 1
        self.server.times.setdefault(self.path, []).append(time.monotonic())
        kind, _, rest = parts.path.strip("/").partition("/")
        getattr(self, f"_{kind}", self._missing)(rest, query)

    def _answer(self, content: bytes, status: int = 200, headers: dict | None = None):
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _good(self, rest, query):
        self._answer(jpeg(int(rest.split(".")[0])))

    def _missing(self, rest, query):
        self._answer(b"no", 404)

    def _status(self, rest, query):
        self._answer(b"no", int(rest))

    def _flaky(self, rest, query):
        self.server.flaky[rest] += 1
        if self.server.flaky[rest] < 2:
            self._answer(b"later", 503)
        else:
            self._answer(jpeg(int(rest)))

    def _text(self, rest, query):
        self._answer(b"<html>not an image</html>")

    def _cut(self, rest, query):
        content = jpeg(1)
        self._answer(content[:100], headers={"Content-Length": str(len(content))})
        self.close_connection = True

    def _huge(self, rest, query):
        self.send_response(200)
        if rest == "declared":
            self.send_header("Content-Length", str(100 * BIG))
        self.end_headers()
        for _ in range(100):
            self.wfile.write(b"\0" * BIG)

    def _slow(self, rest, query):
        self.send_response(200)
        self.end_headers()
        for _ in range(200):
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.1)

    def _slowheaders(self, rest, query):
        self.wfile.write(b"HTTP/1.0 200 OK\r\n")
        for number in range(200):
            self.wfile.write(b"X-%d: y\r\n" % number)
            self.wfile.flush()
            time.sleep(0.1)

    def _hang(self, rest, query):
        time.sleep(20)

    def _to(self, rest, query):
        self._answer(b"", 302, {"Location": query["url"]})

    def _loop(self, rest, query):
        self._answer(b"", 302, {"Location": self.path})

    def _noai(self, rest, query):
        self._answer(jpeg(2), headers={"X-Robots-Tag": "noai"})

    def _reserved(self, rest, query):
        self._answer(jpeg(2), headers={"tdm-reservation": "1"})

    def _robots(self, rest, query):
        self._answer(jpeg(2), headers={"X-Robots-Tag": query["said"]})

    def _coded(self, rest, query):
        """An image, or a bomb, in a coding."""
        content = jpeg(3) if query.get("of") != "bomb" else bytes(40 * BIG)
        coded = {"gzip": gzip.compress, "deflate": zlib.compress, "br": _brotli, "x-odd": bytes}[rest]
        self._answer(b"garbage" if query.get("of") == "garbage" else coded(content), headers={"Content-Encoding": rest})

    def _later(self, rest, query):
        """Too many requests at first, with a rest to be kept."""
        self.server.flaky[rest] += 1
        if self.server.flaky[rest] < 2:
            self._answer(b"later", 429, {"Retry-After": query["after"]})
        else:
            self._answer(jpeg(int(rest)))

    def _bighead(self, rest, query):
        """A redirect or an error with a body without end."""
        self.send_response(int(rest))
        if "url" in query:
            self.send_header("Location", query["url"])
        self.end_headers()
        for _ in range(400):
            self.wfile.write(bytes(BIG))
            self.server.asked["bytes"] += BIG

    def _garbage(self, rest, query):
        self.wfile.write(b"\x16\x03garbage\r\n\r\nmore")

    def _badchunk(self, rest, query):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx")

    def _cutchunk(self, rest, query):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nshort")

    def _location(self, rest, query):
        """A redirect whose header is the bytes that are asked for in hex."""
        self.wfile.write(b"HTTP/1.0 302 Found\r\nLocation: " + bytes.fromhex(rest) + b"\r\n\r\n")


def _brotli(content: bytes) -> bytes:
    import brotli

    return brotli.compress(content, quality=3)
