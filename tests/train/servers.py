"""A web server on this machine that gives files by ranges, and goes wrong as it is told."""

import http.server
import threading
import zlib
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace


@contextmanager
def served(folder: Path, ranges: bool = True, cut: int | None = None, failures: dict[int, int] | None = None):
    """Serves a folder. ``cut``: a connection ends after so many bytes of a body. ``failures``: status, and how often.

    What is given has ``url``, ``requests`` (path and range of each), and ``connections``, their number.
    """
    facts = SimpleNamespace(requests=[], connections=0, failures=dict(failures or {}), cut=cut, ranges=ranges)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self):
            facts.connections += 1
            super().setup()

        def do_GET(self):
            path, asked = self.path.partition("?")[0], self.headers.get("Range")
            facts.requests.append((self.path, asked, self.headers.get("Authorization")))
            file = folder / path.lstrip("/")
            if (status := next((s for s, left in facts.failures.items() if left), None)) is not None:
                facts.failures[status] -= 1
                return self.answer(status, b"")
            if not file.is_file():
                return self.answer(404, b"")
            content = file.read_bytes()
            tag = {"ETag": f'"{zlib.crc32(content)}"'}
            if asked is None or not facts.ranges:
                return self.answer(200, content, **tag)
            start, _, end = asked.removeprefix("bytes=").partition("-")
            start, end = int(start), min(int(end or len(content)), len(content) - 1)
            if start >= len(content):
                return self.answer(416, b"", **{"Content-Range": f"bytes */{len(content)}"})
            tag["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            return self.answer(206, content[start : end + 1], **tag)

        def answer(self, status, content, **headers):
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if facts.cut is not None and len(content) > facts.cut:
                self.wfile.write(content[: facts.cut])
                self.close_connection = True
            else:
                self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    facts.url, facts.host = f"http://127.0.0.1:{server.server_port}", f"127.0.0.1:{server.server_port}"
    try:
        yield facts
    finally:
        server.shutdown()
        server.server_close()
