"""Languages identified after matching: ``matched`` has the rows of before, and every pair is still counted."""

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.compare import read_texts
from pipeline.errors import UsageError
from pipeline.recipe import load_recipe
from tests.e2e.conftest import run, stage, table
from tests.pool import rows

ENTRIES = "a photo of\ndog\nman\nin\nstock photo\nriver\nthe\nhund\n"


def captions(shared) -> list[str]:
    texts = [
        text for language in ("en", "de", "fr", "cs")
        for text in read_texts(shared / "data" / "captions" / f"multi30k-{language}.txt.zst")[:400]
    ]  # fmt: skip
    return [*texts, *(text.upper() for text in texts[::7]), "IMG_1.jpg", "12", "the", "", *texts[:50]]


@pytest.fixture(params=["pool", "captions"])
def texts(request):
    if request.param == "captions":
        return captions(request.getfixturevalue("shared"))
    return [row[1] for row in rows(400)]


@pytest.mark.parametrize("settings", [["language.keep=[en]", "language.threshold=0.4"], []], ids=["kept", "all"])
def test_matched_is_equal(work, tmp_path, texts, settings):
    (tmp_path / "entries").mkdir()
    (tmp_path / "entries" / "en.txt").write_text(ENTRIES)
    drawn = random.Random(1)
    urls = [f"https://x.test/{drawn.randrange(len(texts))}.jpg" for _ in texts]
    pq.write_table(pa.table({"url": urls, "text": pa.array(texts)}), tmp_path / "pool.parquet")

    def account(name, *more):
        summary = run(
            work / "recipe.yaml", tmp_path / name, "language.identify=fasttext", f"entries={tmp_path / 'entries'}",
            *settings, *more, inputs=[str(tmp_path / "pool.parquet")], stages=["ingest", "match"],
        )  # fmt: skip
        ingest, match = (stage(summary, step) for step in ("ingest", "match"))
        assert match["in"] == match["out"] + sum(match["dropped"].values()) == ingest["out"]
        return ingest, match

    (before, matched), (first, late) = account("before"), account("first", "language.match_first=true")
    assert table(tmp_path / "first", "matched").equals(table(tmp_path / "before", "matched"))
    assert 0 < matched["out"] == late["out"] < matched["in"]
    assert table(tmp_path / "first", "pairs")["language"].null_count == first["out"]
    assert first["out"] > before["out"] if settings else first["out"] == before["out"]
    assert ("language_not_kept" in late["dropped"]) == bool(settings)
    # Another threshold is another `matched`, of the same `pairs`.
    _, again = account("first", "language.match_first=true", "language.threshold=0.9")
    assert again["out"] < late["out"]


def test_texts_of_which_none_matches(work, tmp_path):
    """Then there is no row left whose language is to be identified."""
    (tmp_path / "entries").mkdir()
    (tmp_path / "entries" / "en.txt").write_text("axolotl\n")
    pq.write_table(
        pa.table({"url": ["http://x/1", "http://x/2"], "text": ["a dog", "a cat"]}), tmp_path / "pool.parquet"
    )
    summary = run(
        work / "recipe.yaml", tmp_path / "out", "language.identify=fasttext", "language.match_first=true",
        f"entries={tmp_path / 'entries'}", inputs=[str(tmp_path / "pool.parquet")], stages=["ingest", "match"],
    )  # fmt: skip
    match = stage(summary, "match")
    assert (match["in"], match["out"], match["dropped"]) == (2, 0, {"no_match": 2})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["language.identify=column"], "is for identify fasttext, found column"),
        (["language.page_language=prior"], "page_language must be ignore, found prior"),
        (["filter.texts_per_image=3"], "not with filter.texts_per_image"),
        (["filter.preset=align"], "not with filter.texts_per_image"),
        (["entries.de=de.txt"], "needs exactly one list, found 2"),
    ],
)
def test_what_it_does_not_go_with(settings, said):
    with pytest.raises(UsageError, match=said):
        load_recipe("metaclip-400m", ["language.match_first=true", *settings])


def test_a_folder_of_several_lists(work, tmp_path):
    with pytest.raises(UsageError, match="match_first: needs exactly one list, found 3"):
        run(work / "recipe.yaml", tmp_path / "out", "language.identify=fasttext", "language.match_first=true")
