"""Search by image and by text, and its page."""

import shutil
import subprocess

import pytest
from PIL import Image

from pipeline.train import search

from .conftest import drawn, invoke


def test_search_finds_an_image_by_itself(model, shard_set, tmp_path):
    invoke(search.app, "index", "--model", model, "--shards", shard_set, "--index", tmp_path / "index")
    (tmp_path / "asked.png").write_bytes(drawn("green", "cross"))
    page = tmp_path / "page.html"
    invoke(
        search.app,
        "query",
        "--index",
        tmp_path / "index",
        "--image",
        tmp_path / "asked.png",
        "--top",
        5,
        "--output",
        page,
    )
    text = page.read_text()
    first = text[text.index("<li>") : text.index("</li>")]
    assert "a green cross" in first
    assert "1.000" in first
    assert text.count("<img") == 6
    invoke(search.app, "query", "--index", tmp_path / "index", "--text", "a <b> cross", "--output", page)
    assert "a &lt;b&gt; cross" in page.read_text()


def test_search_page_in_a_browser(model, shard_set, tmp_path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium here")
    invoke(search.app, "index", "--model", model, "--shards", shard_set, "--index", tmp_path / "index")
    invoke(
        search.app, "query", "--index", tmp_path / "index", "--text", "a red cross", "--output", tmp_path / "page.html"
    )
    shot = tmp_path / "page.png"
    subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}",
         f"--screenshot={shot}", "--window-size=1000,700", (tmp_path / "page.html").as_uri()],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    with Image.open(shot) as image:
        colours = {colour for _, colour in image.convert("RGB").resize((250, 175)).getcolors(1 << 16)}
    assert len(colours) > 100  # thumbnails, not a blank page
