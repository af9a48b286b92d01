"""A site on 127.0.0.1 with good pictures and every bad answer."""

import http.server
import io
import threading
import time
from collections import Counter
from urllib.parse import parse_qs, urlsplit

from PIL import Image

BIG = 1 << 20


def jpeg(number: int, size: tuple[int, int] = (64, 48)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (number * 37 % 256, number * 91 % 256, number * 13 % 256)).save(out, "JPEG")
    return out.getvalue()


class Site(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, host: str = "127.0.0.1"):
        super().__init__((host, 0), Handler)
        self.asked = Counter()
        self.flaky = Counter()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]}:{self.server_port}"

    def handle_error(self, *_arguments):
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_arguments):
        pass

    def do_GET(self):
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.server.asked[self.path] += 1
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
        self._answer(b"<html>not a picture</html>")

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
