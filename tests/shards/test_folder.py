"""The folder of shards is cleared, so it is apart from everything else, however it is written."""

import pytest

from pipeline.errors import UsageError
from pipeline.recipe import Recipe
from pipeline.shards.folder import check_apart, overlap


@pytest.fixture
def places(tmp_path):
    for name in ("out/shards", "out2", "tars", "root/deep", "columns", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "tars" / "00000.tar").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "out")
    (tmp_path / "up").symlink_to(tmp_path)
    (tmp_path / "deep").symlink_to(tmp_path / "out" / "shards")
    return tmp_path


def recipe(folder, places, **images):
    found = {"name": "x", "entries": {"en": "en.txt"}, "balance": {"t": 1}, "shards": {"folder": folder}}
    columns = {"filter": {"columns": [str(places / "columns")], "where": "score > 1"}}
    return Recipe.model_validate(found | columns | {"images": images})


@pytest.mark.parametrize(
    ("folder", "option"),
    [
        ("out", "--output"), ("out/", "--output"), ("out/shards", "--output"), ("out/shards/deeper/still", "--output"), ("out/../out/shards", "--output"),
        ("./out//shards/.", "--output"), ("link", "--output"), ("link/shards", "--output"), ("deep", "--output"), ("deep/more", "--output"),
        ("up/out", "--output"), (".", "--output"), ("..", "--output"), ("up", "--output"), ("source", "--input"), ("source/shards", "--input"),
        ("tars", "images.tars"), ("up/tars", "images.tars"), ("root", "images.root"), ("root/deep/x", "images.root"), ("columns", "filter.columns"),
        ("columns/x", "filter.columns"), ("elsewhere", None), ("elsewhere/out", None), ("outer", None), ("out2", None), ("tars2", None), ("not/there/yet", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["path", "url", "fsspec", "relative"])
def test_folders_apart(places, monkeypatch, form, folder, option):
    monkeypatch.chdir(places)
    written = {
        "path": f"{places}/{folder}",
        "url": f"file://{places}/{folder}",
        "fsspec": f"local://{places}/{folder}",
        "relative": folder,
    }[form]
    images = {"root": str(places / "root"), "prefix": "p://"} if option == "images.root" else {"tars": ["tars"]}
    found, output, source = recipe(written, places, **images), str(places / "out"), str(places / "source")
    if option is None:
        check_apart(found, output, source)
        return
    with pytest.raises(UsageError, match=f"^shards.folder: .*: overlaps {option} .*; give a folder apart from it$"):
        check_apart(found, output, source)


@pytest.mark.parametrize(
    ("first", "second", "want"),
    [
        ("memory://a/b", "memory://a/b/c", True), ("memory://a/b", "memory://a/bc", False), ("memory://a", "/a", False),
        ("memory:///a//b/", "memory://a/b", True), ("s3a://bucket/x?region=x", "s3://bucket/x/y?region=x", True), ("s3://bucket/out?region=x&endpoint_override=s3.x.test", "s3://bucket/out/shards?region=y", True), ("s3://bucket/x?region=x", "s3://other/x?region=x", False),
        ("s3://bucket?region=x", "s3://bucket/x?region=x", True), ("s3://bucket/x?region=x", "memory://bucket/x", False),
    ],
)  # fmt: skip
def test_stores_apart(first, second, want):
    assert overlap(first, second) is want
    assert overlap(second, first) is want
