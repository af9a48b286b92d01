"""A crawl file is read by a process of its own: what a page does to it costs that page alone."""

import sys
import time

import pytest

from pipeline.errors import PipelineError
from pipeline.extract import watch
from pipeline.extract.found import Found
from pipeline.extract.options import Extract
from pipeline.extract.repeats import Repeats
from pipeline.extract.watch import extract_watched
from tests.extract.files import image, metadata, packed, page

# The scan leaves it to the parser.
PARSED = "\0"
# A page that takes the parser half a minute: its time grows with the square of the number of attributes.
ATTRIBUTES = " ".join(f"a{n}=1" for n in range(100_000))
SLOW = page(f"{PARSED}<img {ATTRIBUTES} src=slow.jpg alt=slow>")
GOOD = [page(f"{PARSED}<img src={n}.jpg alt='image {n}'>", url=f"https://a.example.org/{n}/") for n in range(4)]


def read(path, kind="warc", **options):
    found, repeats, texts = Found(), Repeats(), []
    for rows, counted in extract_watched(str(path), kind, Extract(**options)):
        texts += repeats.fresh(rows, counted).column("text").to_pylist()
        found.add(counted)
    assert found.links == len(texts) + found.dropped.total()
    return texts, found


def test_a_file_is_read_as_without(tmp_path):
    (tmp_path / "a.warc.gz").write_bytes(packed(*GOOD))
    texts, found = read(tmp_path / "a.warc.gz")
    assert texts == [f"image {n}" for n in range(4)]
    assert (found.records, found.pages, found.damage) == (4, {"read": 4}, None)


def test_pages_that_take_too_long_are_passed_by_and_counted(tmp_path):
    (tmp_path / "a.warc.gz").write_bytes(packed(*GOOD[:2], SLOW, GOOD[2], SLOW, GOOD[3]))
    started = time.monotonic()
    texts, found = read(tmp_path / "a.warc.gz", most_seconds=1.0)
    assert texts == [f"image {n}" for n in range(4)]
    assert found.pages == {"read": 4, "too_slow": 2}
    assert found.records == 6
    assert time.monotonic() - started < 25


def test_a_page_of_many_attributes_that_is_scanned_takes_no_time(tmp_path):
    (tmp_path / "a.warc.gz").write_bytes(page(f"<img {ATTRIBUTES} src=slow.jpg alt=slow>"))
    assert read(tmp_path / "a.warc.gz", most_seconds=1.0)[0] == ["slow"]


def test_a_page_that_ends_the_process_is_passed_by_and_counted(tmp_path, monkeypatch):
    crash = tmp_path / "sitecustomize.py"
    crash.write_text(
        "import sys\n"
        "if sys.argv[0] == '-m':\n"
        "    import os, signal\n"
        "    import pipeline.extract.pages as pages\n"
        "    def parsed(text, old=pages.ParsedPage):\n"
        "        if '1.jpg' in text: os.kill(os.getpid(), signal.SIGSEGV)\n"
        "        return old(text)\n"
        "    pages.ParsedPage = parsed\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "a.warc").write_bytes(b"".join(GOOD))
    texts, found = read(tmp_path / "a.warc")
    assert texts == ["image 0", "image 2", "image 3"]
    assert found.pages == {"read": 3, "crashed": 1}


def test_metadata_that_ends_the_process_costs_its_page_alone(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if sys.argv[0] == '-m':\n"
        "    import os, signal\n"
        "    import pipeline.extract.wat as wat\n"
        "    def page(record, content, *more, old=wat._page):\n"
        "        if b'/1/' in content: os.kill(os.getpid(), signal.SIGSEGV)\n"
        "        return old(record, content, *more)\n"
        "    wat._page = page\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    pages = [metadata([image(f"{n}.jpg", f"image {n}")], url=f"https://a.example.org/{n}/") for n in range(4)]
    (tmp_path / "a.wat.gz").write_bytes(packed(*pages))
    texts, found = read(tmp_path / "a.wat.gz", "wat")
    assert texts == ["image 0", "image 2", "image 3"]
    assert found.pages == {"read": 3, "crashed": 1}


def test_a_file_of_bad_pages_is_left_after_a_number_of_them(tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "MOST_ENDED", 2)
    (tmp_path / "a.warc.gz").write_bytes(packed(GOOD[0], SLOW, SLOW, SLOW, GOOD[1]))
    texts, found = read(tmp_path / "a.warc.gz", most_seconds=0.5)
    assert texts == ["image 0"]
    assert found.pages == {"read": 1, "too_slow": 2}
    assert found.damage == "2 pages could not be read; the rest of the file was left"


def test_a_file_that_is_not_there_is_damaged():
    texts, found = read("/nowhere/a.warc.gz")
    assert texts == []
    assert found.damage.startswith("cannot be read: ")


def test_a_process_that_fails_otherwise_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(PipelineError, match=r"^/nowhere/a.warc.gz: the process that reads it ended with 1$"):
        read("/nowhere/a.warc.gz")
