"""What is extracted from a site is what a browser shows: headless Chromium over pages in ten languages and six charsets.

The pages are served on loopback, captured with warcio, and opened in the browser, which scrolls so that lazy images
load and tells each image's ``currentSrc``, ``alt`` and ``baseURI``.
"""

import html
import http.client
import http.server
import json
import re
import shutil
import subprocess
import threading
from urllib.parse import urljoin, urlsplit

import pytest

from tests.extract.files import extracted

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TEXTS = {
    "en": ("utf-8", "a cat & a dog"),
    "de": ("iso-8859-1", "Käse und Brötchen"),
    "fr": ("windows-1252", "l’été à la plage"),
    "ru": ("windows-1251", "кошка на окне"),
    "uk": ("koi8-u", "кіт на вікні"),
    "ja": ("shift_jis", "窓辺の猫"),
    "ko": ("euc-kr", "창가의 고양이"),
    "zh": ("gb18030", "窗边的猫"),
    "ar": ("utf-8", "قطة على النافذة"),
    "hi": ("utf-8", "खिड़की पर बिल्ली"),
}
BASES = [
    "",
    "<base href=/other/>",
    "<base href='../up/'><base href=/second/>",
    "<base target=_top><base href=//127.0.0.1:{port}/b/c>",
]
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACw="
PAGE = """<!doctype html><html lang={language}><head>{meta}{base}<title>{text}</title></head><body>
<img src="http://127.0.0.1:{port}/plain/a.png" alt="{text} 1">
<img src="relative.png" alt="{text} 2"><img src="/rooted/b.png?x=1&amp;y=2#part" alt="{text} 3">
<img src="../over/./c.png" alt=" {text}
   4 "><img src="//127.0.0.1:{port}/protocol.png" alt="{text} 5">
<img src="HTTP://127.0.0.1:{port}/Capitals.PNG" alt="{text} 6"><img src=" with space, and comma.png " alt="{text} 7">
<img src="/pfad/ä/窓/é.png" alt="{text} 8"><img src="back\\slash.png" alt="&quot;{text}&quot;&nbsp;9 &#128008;">
<img src="no-text.png"><img src="empty.png" alt=""><img src="{pixel}" alt="{text} data">
<img class=lazy src="{pixel}" data-src="lazy/a.png" alt="{text} 10">
<noscript><img src="lazy/a.png" alt="{text} 10"></noscript>
<img class=lazy src="/img/spacer.gif" data-srcset="lazy/s.png 100w, lazy/m,m.png 400w, lazy/l.png 800w" alt="{text} 11">
<img class=lazy src="{pixel}" data-original="lazy/o.png" alt="{text} 12">
<noscript><img src="lazy/other-size.png" alt="{text} 12"></noscript>
<img srcset="{pixel} 1x, two.png 2x" alt="{text} 13">
<picture><source srcset="p.webp 200w, p-large.webp 900w" type=image/webp><source srcset=p.jxl type=image/jxl><img alt="{text} 14"></picture>
<template><img src=template.png alt="{text} template"></template><!-- <img src=comment.png alt="{text} comment"> -->
<script>var text = "<img src=script.png alt='{text} script'>";</script>
<textarea><img src=area.png alt="{text} area"></textarea>
<table><tr><img src=fostered.png alt="{text} 15"><td></table><svg><img src=svg.png alt="{text} 16"></svg>
<div style="height: 3000px"></div><img loading=lazy src="far/down.png" alt="{text} 17">
<p><b><img src=unclosed.png alt="{text} 18"
<img src=swallowed.png alt="{text} 19">
<img src=twice.png alt="{text} 20" src=second.png alt=second title="a title">
<script>
for (const image of document.querySelectorAll("img.lazy")) {{
  image.src = image.dataset.src || image.dataset.original || image.src;
  if (image.dataset.srcset) image.srcset = image.dataset.srcset;
}}
addEventListener("load", async () => {{
  for (let at = 0; at <= document.body.scrollHeight; at += 300) {{
    scrollTo(0, at);
    await new Promise(done => setTimeout(done, 50));
  }}
  await new Promise(done => setTimeout(done, 500));
  const seen = [...document.querySelectorAll("img")].map(image => [image.currentSrc, image.getAttribute("alt"), image.baseURI]);
  document.documentElement.innerHTML = "<body><pre id=seen></pre></body>";
  document.getElementById("seen").textContent = JSON.stringify(seen);
}});
</script></body></html>
"""


@pytest.fixture(scope="module")
def site():
    """The site's address and its pages by path: (content, content type)."""
    pages = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            content, kind = pages.get(self.path, (b"", "image/png" if "." in self.path else "text/plain"))
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_port
    for number, (language, (charset, text)) in enumerate(TEXTS.items()):
        by_header = number % 2 == 0
        meta = "" if by_header else f"<meta charset={charset}>" if number % 4 == 1 else (
            f'<meta http-equiv="Content-Type" content="text/html; charset={charset}">'
        )  # fmt: skip
        base = BASES[number % len(BASES)].format(port=port)
        page = PAGE.format(language=language, meta=meta, base=base, text=html.escape(text), port=port, pixel=PIXEL)
        kind = f"text/html; charset={charset}" if by_header else "text/html"
        pages[f"/{language}/blog/post.html"] = (page.encode(charset, "xmlcharrefreplace"), kind)
    yield f"http://127.0.0.1:{port}", pages
    server.shutdown()


def captured(address, pages, file):
    """The pages as a WARC file, captured while they are asked for."""
    capture = pytest.importorskip("warcio.capture_http").capture_http
    with capture(str(file)):
        for path in pages:
            connection = http.client.HTTPConnection(urlsplit(address).netloc)
            connection.request("GET", path)
            connection.getresponse().read()
            connection.close()
    return file


def shown(url, folder):
    """What the browser says of the images of a page: (currentSrc, alt, baseURI)."""
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--force-device-scale-factor=3", "--dump-dom",
               "--window-size=800,600", "--virtual-time-budget=20000", f"--user-data-dir={folder}", url]  # fmt: skip
    told = subprocess.run(command, capture_output=True, timeout=120, check=True).stdout.decode()
    return json.loads(html.unescape(re.search(r"<pre id=\"seen\">(.*?)</pre>", told, re.DOTALL)[1]))


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium is here")
def test_pairs_are_what_a_browser_shows(site, tmp_path):
    address, pages = site
    pairs, found = extracted(captured(address, pages, tmp_path / "site.warc.gz").read_bytes())
    assert found.pages == {"read": len(pages)}
    for path in pages:
        url = address + path
        seen = shown(url, tmp_path / "profile")
        wanted = {
            (source.partition("#")[0], " ".join(alt.split()))
            for source, alt, _ in seen
            if alt and alt.strip() and source.startswith("http")
        }
        ours = {
            (pair["url"], pair["text"]) for pair in pairs if pair["page_url"] == url and pair["text_source"] == "alt"
        }
        assert ours == wanted, path
        assert len(ours) >= 18
        bases = {base for _, _, base in seen}
        assert {urljoin(base, "relative.png") for base in bases} <= {one for one, _ in ours}
    titles = {(pair["text_source"], pair["text"]) for pair in pairs if pair["text_source"] != "alt"}
    assert titles == {("title", "a title")}
