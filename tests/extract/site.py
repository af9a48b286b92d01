"""A site of ten languages and nine charsets with images of every kind, served on the loopback, captured to WARC."""

import gzip
import io
import socket
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import brotli
import zstandard
from PIL import Image
from warcio.statusandheaders import StatusAndHeadersParser
from warcio.warcwriter import WARCWriter

PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
# Language, text, codec, charset of the header, before the page's own markup, content coding, base.
LANGUAGES = {
    "en": ("a cat & its “hat”", "utf-8", "utf-8", "", "", ""),
    "de": ("schöne Käsebrötchen – „frisch“", "cp1252", "iso-8859-1", "", "gzip", "<base href='/bilder/'>"),
    "fr": ("été à la manœuvre: 5 €", "iso-8859-15", "iso-8859-15", "", "deflate", "<base href='../x/'><base href=/y/>"),
    "ru": ("кошка на окне", "cp1251", None, "<meta charset=windows-1251>", "br", ""),
    "uk": ("кішка на вікні її", "koi8-u", None, "<meta http-equiv=content-type content='text/html; charset=koi8-u'>",
           "chunked", "<base target=_top><base href='//127.0.0.1:{port}/odd path/'>"),
    "pl": ("źdźbło żółtej trawy", "iso-8859-2", "latin2", "", "zstd", "<base href='javascript:void(0)'>"),
    "ja": ("窓辺の猫①～", "cp932", "shift_jis", "", "gzip chunked", "<base href='data:text/html,x'>"),
    "ko": ("창가의 고양이 똠방", "cp949", "euc-kr", "", "", "<base href=' /그림/ '>"),
    "zh": ("窗边的猫镕", "gb18030", None, "<meta charset=gb2312>", "", ""),
    "ar": ("قطة على النافذة", "utf-8-sig", "windows-1256", "", "", ""),
}  # fmt: skip
CASES = (
    "<img src=a.jpg alt='{text} {n}'>",
    "<img src='/img/a b,c.jpg?x=1&amp;y=2' alt='{text}\n &lt;{n}&gt; &eacute;'>",
    "<img src='../up.jpg' loading=lazy alt='{text} {n}'>",
    "<img src=HTTP://127.0.0.1:{port}/CAPITALS.jpg alt='{text} {n}'>",
    "<img src='//127.0.0.1:{port}/protocol.jpg' alt='{text} {n}'>",
    "<img src='/b/{text}.jpg' alt='{text} {n}'>",
    "<img class=lazy src='{pixel}' data-src=lazy.jpg alt='{text} {n}'><noscript><img src=lazy.jpg alt='{text} {n}'></noscript>",
    "<img class=lazy data-original='/img/original.jpg' alt='{text} {n}'>",
    "<img class=lazy src=/img/spacer.gif data-lazy-src=lazy-src.jpg alt='{text} {n}'>",
    "<img class=lazy src='{pixel}' data-srcset='s.jpg 100w, l,1.jpg 3000w, m.jpg 800w' sizes=3000px alt='{text} {n}'>",
    "<img src='{pixel}' srcset='{pixel} 0.5x, /img/dense.jpg 1x' alt='{text} {n}'>",
    "<picture><source srcset='p.jpg 3000w, q.jpg 20w' sizes=3000px type=image/jpeg><img src='{pixel}' alt='{text} {n}'></picture>",
    "<picture><source srcset='no.jxl' type=image/jxl><source srcset='yes.webp' type=image/webp><img alt='{text} {n}'></picture>",
    "<image src=old-name.jpg alt='{text} {n}'>",
    "<table><img src=fostered.jpg alt='{text} {n}'><tr><td>x</table>",
    "<svg><desc><img src=in-svg.jpg alt='{text} {n}'></desc><image href=no.jpg /></svg>",
    "<template><img src=no.jpg alt='{text} {n}'></template><!-- <img src=no.jpg alt='{text} {n}'> -->",
    "<script>'<img src=no.jpg alt=x>'</script><textarea><img src=no.jpg alt=x></textarea>",
    "<img src=fragment.jpg#part alt='{text} {n}'>",
    "<img src=first.jpg src=second.jpg alt='{text} {n}' alt=no>",
    "<figure><img src=figure.jpg alt='{text} {n}'><figcaption>no</figcaption></figure>",
    "<img src=none.jpg><img src=empty.jpg alt=''><img src='{pixel}' alt='{text} {n}'>",
)
SCRIPT = """
const names = {src: 'src', original: 'src', lazySrc: 'src', srcset: 'srcset'};
const show = () => document.querySelectorAll('img.lazy').forEach(image => {
  const place = image.getBoundingClientRect();
  if (place.bottom < 0 || place.top > innerHeight) return;
  for (const [from, to] of Object.entries(names)) if (image.dataset[from]) image[to] = image.dataset[from];
  image.classList.remove('lazy');
});
const wait = time => new Promise(done => setTimeout(done, time));
(async () => {
  for (const image of document.images) { image.scrollIntoView(); show(); await wait(50); }
  for (let n = 0; n < 100 && ![...document.images].every(image => image.complete); n++) await wait(50);
  await wait(500);
  const images = [...document.images].map(image => [image.currentSrc, image.alt]);
  document.documentElement.setAttribute('data-result',
    encodeURIComponent(JSON.stringify({base: document.baseURI, images})).replaceAll("'", '%27'));
})();
"""


def body(language: str, port: int) -> bytes:
    """A page before its content coding."""
    text, codec, _, meta, _, base = LANGUAGES[language]
    images = "<p style='height:700px'>".join(
        CASES[n].format(text=text, n=n, pixel=PIXEL, port=port) for n in range(len(CASES))
    )
    html = f"<!doctype html><html lang={language}><head>{meta}{base.format(port=port)}</head><body>{images}"
    return (html + f"<script src='http://127.0.0.1:{port}/site.js'></script>").encode(codec)


class Handler(BaseHTTPRequestHandler):
    """Pages at ``/blog/<language>/page.html``, the script, and one image wherever else."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        language = self.path.split("/")[2] if self.path.startswith("/blog/") and self.path.endswith(".html") else None
        if language:
            _, _, charset, _, coding, _ = LANGUAGES[language]
            kind = "text/html" + (f"; charset={charset}" if charset else "")
            return self.answer(body(language, self.server.server_address[1]), kind, coding)
        if self.path == "/site.js":
            return self.answer(SCRIPT.encode(), "text/javascript", "")
        image = io.BytesIO()
        Image.new("RGB", (8, 8), "red").save(image, "PNG")
        return self.answer(image.getvalue(), "image/png", "")

    def answer(self, content: bytes, kind: str, coding: str) -> None:
        """Sends an answer."""
        packed, chunked = coding.removesuffix("chunked").strip(), coding.endswith("chunked")
        pack = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": zstandard.compress}
        content = pack[packed](content) if packed else content
        self.send_response(200)
        self.send_header("Content-Type", kind)
        if packed:
            self.send_header("Content-Encoding", packed)
        self.send_header("Transfer-Encoding", "chunked") if chunked else self.send_header(
            "Content-Length", len(content)
        )
        self.end_headers()
        if chunked:
            half = len(content) // 2
            parts = (content[:half], content[half:], b"")
            content = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
        self.wfile.write(content)

    def log_message(self, *_):
        """Says nothing."""


def served() -> ThreadingHTTPServer:
    """The site, at a port of its own, until ``shutdown``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def url_of(language: str, port: int) -> str:
    """Where a page is."""
    return f"http://127.0.0.1:{port}/blog/{language}/page.html"


def captured(port: int) -> bytes:
    """The site as a WARC file, answers as they came."""
    file = io.BytesIO()
    writer = WARCWriter(file, gzip=True)
    for language in LANGUAGES:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            ask = f"GET /blog/{language}/page.html HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
            connection.sendall(ask.encode())
            stream = io.BytesIO(b"".join(iter(lambda: connection.recv(1 << 16), b"")))
        headers = StatusAndHeadersParser(["HTTP/1.0", "HTTP/1.1"]).parse(stream)
        payload = io.BytesIO(stream.read())
        url = url_of(language, port)
        writer.write_record(writer.create_warc_record(url, "response", payload=payload, http_headers=headers))
    return file.getvalue()
