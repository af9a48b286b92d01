"""What is read of a site against what headless Chromium says of it, scrolled so that its lazy images load.

Chromium chooses of a srcset by the screen, and we the largest: sizes here are such that the screen wants the largest.
A ``<base>`` that is no URL is not here: Chromium resolves nothing against it, the standard takes the page's URL
(``test_html.py``).
"""

import io
import json
import re
import shutil
import subprocess
from collections import Counter
from urllib.parse import unquote, urldefrag

import pytest

from pipeline.extract.options import Extract
from pipeline.extract.records import Records
from pipeline.extract.warc import Answers
from tests.extract.files import extracted
from tests.extract.site import LANGUAGES, captured, served, url_of

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,800", "--virtual-time-budget=20000")


@pytest.fixture(scope="module")
def port():
    server = served()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def crawl(port):
    return captured(port)


def of_browser(url: str, folder) -> dict:
    """Base and images of a page, as Chromium has them."""
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder}", "--dump-dom", url]
    page = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    return json.loads(unquote(re.search(r'data-result="([^"]*)"', page)[1]))


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_is_read_as_chromium_does(language, port, crawl, tmp_path):
    url, browser = url_of(language, port), of_browser(url_of(language, port), tmp_path)
    pairs = [pair for pair in extracted(crawl, text_sources=["alt"])[0] if pair["page_url"] == url]
    seen = [(urldefrag(source)[0], " ".join(alt.split())) for source, alt in browser["images"] if alt.strip()]
    assert [(pair["url"], pair["text"]) for pair in pairs] == [one for one in seen if not one[0].startswith("data:")]
    assert len(pairs) >= 18


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("language", ["de", "fr", "uk", "pl", "ja", "ko"])
def test_the_base_is_chromiums(language, port, crawl, tmp_path):
    url, answers, pages = url_of(language, port), Answers(Extract(), lambda number: None), Counter()
    for number, record, content in Records(io.BytesIO(crawl), 1 << 20):
        if record.headers.get("WARC-Target-URI") == url:
            answers.add(number, record, content, pages)
    assert set(answers.batch(pages)["base"].to_pylist()) == {of_browser(url, tmp_path)["base"]}


def test_a_site_in_ten_languages_is_read_whole(crawl):
    pairs, found = extracted(crawl)
    assert found.pages == {"read": len(LANGUAGES)}
    for language, (text, *_) in LANGUAGES.items():
        of_page = [pair["text"] for pair in pairs if pair["page_language"] == language]
        assert len(of_page) >= 18, language
        assert all(one.startswith(text) for one in of_page), language
