"""The files that a pattern stands for."""

import os

import pytest

from pipeline import storage
from pipeline.errors import UsageError
from tests.hosted import Hosted, open_hosted


@pytest.fixture(autouse=True)
def hosted():
    open_hosted()


def test_nothing_is_listed_that_a_pattern_cannot_reach():
    for name in ("other/a/x.tar", "in/a/x.tar", "in/b/deep/x.tar", "in/c/x.txt"):
        storage.write_bytes(f"hosted://h/{name}", b"x")
    Hosted.listed.clear()
    assert [path for path, _, _ in storage.list_files("hosted://h/in/*/x.tar")] == ["hosted://h/in/a/x.tar"]
    assert [path for path, _, _ in storage.list_files("hosted://h/in/b/**/*.tar")] == ["hosted://h/in/b/deep/x.tar"]
    assert Hosted.listed
    assert not [path for path in Hosted.listed if path.strip("/") == "" or "other" in path or "deep" in path]


FILES = ["a.parquet", "b/c.parquet", "b/d/e.parquet", "b/d/f.txt", "[2024] pool/g[1].parquet", "2 pool/g1.parquet",
         "_h/i.parquet", ".j.parquet", "b/_k/l.parquet", "b/**/m.parquet"]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "want"),
    [
        ("", [0, 1, 2, 3, 4, 5, 9]),
        ("*", [0, 1, 2, 3, 4, 5, 9]),
        ("*/", [0, 1, 2, 3, 4, 5, 9]),
        ("*.parquet", [0]),
        ("*/*.parquet", [1, 4, 5]),
        ("**/*.parquet", [0, 1, 2, 4, 5, 9]),
        ("**/d/**/*", [2, 3]),
        ("**/**/e.*", [2]),
        ("*/**/e.*", [2]),
        ("**/b/*.parquet", [1]),
        ("**", [0, 1, 2, 3, 4, 5, 9]),
        ("b/d/**", [2, 3]),
        ("b/**/d", [2, 3]),
        ("b/?/*", [2, 3]),
        ("[!b]*/*", [4, 5]),
        ("[2024] pool", [4]),
        ("[2024] pool/g[1].parquet", [4]),
        ("[2024] pool/*", [4]),
        ("[12] pool/g[1].parquet", [5]),
        ("**/g[1].parquet", [4, 5]),
        ("* pool/g[1].parquet", [4, 5]),
        ("_h", [6]),
        ("_*/*.parquet", [6]),
        (".*.parquet", [7]),
        ("b/_k/*", [8]),
        ("{a,b}.parquet", []),
        ("none/*", []),
        ("a.parquet/*", []),
        ("**/none", []),
    ],
)
@pytest.mark.parametrize("scheme", ["", "file://", "hosted://host"])
def test_patterns(tmp_path, monkeypatch, scheme, pattern, want):
    base = f"{scheme}{tmp_path}"
    for file in FILES:
        storage.make_folder(storage.join(base, file.rpartition("/")[0]))
        storage.write_bytes(storage.join(base, file), b"x")
    root = storage.absolute(base)
    expected = sorted(f"{root}/{FILES[number]}" for number in want)
    assert [path for path, _, _ in storage.list_files(f"{base}/{pattern}")] == expected
    if not scheme and pattern:
        monkeypatch.chdir(tmp_path)
        assert [path for path, _, _ in storage.list_files(pattern)] == expected


def test_two_stars_beside_other_characters(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"")
    with pytest.raises(UsageError, match=r"found '\*\*\.parquet'; \*\* stands alone between two slashes"):
        storage.list_files(f"{tmp_path}/**.parquet")
    (tmp_path / "**.parquet").write_bytes(b"")
    assert [path for path, _, _ in storage.list_files(f"{tmp_path}/**.parquet")] == [f"{tmp_path}/**.parquet"]


def test_links(tmp_path):
    (tmp_path / "in/sub").mkdir(parents=True)
    (tmp_path / "else").mkdir()
    (tmp_path / "in/sub/a.tar").write_bytes(b"a")
    (tmp_path / "else/b.tar").write_bytes(b"bb")
    for link, target in (("loop", "../.."), ("self", "."), ("folder", "../../else"), ("file.tar", "a.tar")):
        (tmp_path / "in/sub" / link).symlink_to(target)
    (tmp_path / "in/gone.tar").symlink_to("nowhere")
    os.mkfifo(tmp_path / "in/pipe.tar")
    found = {path.removeprefix(f"{tmp_path}/in/"): size for path, size, _ in storage.list_files(f"{tmp_path}/in")}
    # Through the loop the folder beside is reached too, and not a second time the one it began in.
    assert found == {
        "gone.tar": 0, "sub/a.tar": 1, "sub/file.tar": 1, "sub/folder/b.tar": 2, "sub/loop/else/b.tar": 2,
    }  # fmt: skip
    assert [size for _, size, _ in storage.list_files(f"{tmp_path}/in/**/*.tar")] == [
        found[name] for name in sorted(found)
    ]
    assert storage.list_files(f"{tmp_path}/in/*/file.tar")[0][0] == f"{tmp_path}/in/sub/file.tar"


def test_names_that_are_not_utf8_are_named(tmp_path):
    with open(os.fsencode(tmp_path) + b"/\xff.tar", "wb"):
        pass
    with pytest.raises(UsageError, match=r"\\udcff\.tar': has bytes that are not UTF-8"):
        storage.list_files(str(tmp_path))
