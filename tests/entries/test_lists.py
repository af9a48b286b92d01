import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.entries.lists import list_names, load_list, load_lists
from pipeline.errors import UsageError
from pipeline.recipe import Recipe
from pipeline.recipe_file import validated

LINES = "cat\n\ndog \ncat\r\n lead\nüber\n   \n"


@pytest.mark.parametrize("suffix", [".txt", ".txt.gz", ".txt.zst"])
def test_text_lists_keep_first_occurrences(tmp_path, suffix):
    file = tmp_path / f"en{suffix}"
    content = LINES.encode()
    file.write_bytes(
        {".txt": content, ".txt.gz": gzip.compress(content), ".txt.zst": zstandard.compress(content)}[suffix]
    )
    found = load_list("en", file)
    assert found.entries.to_pylist() == ["cat", "dog ", " lead", "über"]
    assert (found.blank, found.repeated) == (2, 1)


def test_json_and_parquet_lists(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(["x", "y", "x"]))
    pq.write_table(pa.table({"entry": ["x", None, "y"], "score": [1, 2, 3]}), tmp_path / "b.parquet")
    assert load_list("a", tmp_path / "a.json").entries.to_pylist() == ["x", "y"]
    assert load_list("b", tmp_path / "b.parquet").entries.to_pylist() == ["x", "y"]
    assert load_list("b", tmp_path / "b.parquet").blank == 1


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", b'{"a": 1}', "array of strings"),
        ("a.json", b"[", "not JSON"),
        ("a.txt", b"ok\n\xff\n", "line 2 is not UTF-8"),
        ("a.txt", b"\n\n", "holds no entry"),
        ("a.parquet", b"PAR1", "not Parquet"),
        ("a.txt.gz", gzip.compress(b"cat\n" * 100, mtime=0)[:-9], "end"),
        ("a.txt.zst", b"no zstd", "a.txt.zst"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=said) as error:
        load_list("en", tmp_path / name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1999, 7, None], pa.int32()),
        pa.array([1999, 7, None], pa.uint64()),
        pa.array(["1999", "7", None]).dictionary_encode(),
        pa.array(["1999", "7", None], pa.large_string()),
        pa.array(["1999", "7", None], pa.string_view()),
        pa.array([b"1999", b"7", None]),
    ],
)
def test_parquet_entries_that_are_texts_or_integers(tmp_path, column):
    pq.write_table(pa.table({"entry": column}), tmp_path / "a.PARQUET")
    found = load_list("a", tmp_path / "a.PARQUET")
    assert (found.entries.to_pylist(), found.blank) == (["1999", "7"], 1)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"entry": [1.5]}, "column entry is double; strings, or integers, are allowed"),
        ({"entry": [True]}, "column entry is bool"),
        ({"entry": [["a"]]}, "column entry is list"),
        ({"entry": [b"\xff"]}, "column entry holds bytes that are not UTF-8"),
        ({"entry_id": [1, 0, 1], "entry": ["a", "b", "c"]}, "entry_id are not 0 to 2, each once"),
        ({"entry_id": [1, 2], "entry": ["a", "b"]}, "entry_id are not 0 to 1, each once"),
        ({"entry_id": [0, None], "entry": ["a", "b"]}, "entry_id are not 0 to 1, each once"),
        ({"entry_id": ["0"], "entry": ["a"]}, "entry_id is string; integers are allowed"),
        ({"entry_id": [1, 0], "entry": [" ", "b"]}, "entry_id 1 has no entry"),
        ({"entry_id": [1, 0], "entry": [None, "b"]}, "entry_id 1 has no entry"),
        ({"entry_id": [2, 0, 1], "entry": ["b", "b", "c"]}, "'b' has the ids 0 and 2"),
    ],
)
def test_parquet_lists_that_are_refused(tmp_path, columns, said):
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(UsageError, match=f"a.parquet: .*{said}") as error:
        load_list("a", tmp_path / "a.parquet")
    assert "\n" not in str(error.value)


def test_the_ids_of_a_parquet_list_hold(tmp_path):
    for kind in (pa.int32(), pa.uint64()):
        table = pa.table({"entry": ["c", "a", "b"], "entry_id": pa.array([2, 0, 1], kind)})
        pq.write_table(table, tmp_path / "a.parquet")
        assert load_list("a", tmp_path / "a.parquet").entries.to_pylist() == ["a", "b", "c"]


def recipe(entries):
    return validated(Recipe, {"name": "x", "entries": entries, "balance": {"t": 1}}, "x")


def test_a_folder_of_lists(tmp_path):
    (tmp_path / "en.txt").write_text("cat\n")
    (tmp_path / "no.txt").write_text("katt\n")
    (tmp_path / "README.md").write_text("not a list")
    assert list(load_lists(recipe(str(tmp_path)))) == ["en", "no"]
    (tmp_path / "en.json").write_text('["cat"]')
    with pytest.raises(UsageError, match="two lists en"):
        load_lists(recipe(str(tmp_path)))


@pytest.mark.parametrize("names", [("EN", "en"), ("zh-CN", "zh_cn")])
def test_two_lists_of_one_language(tmp_path, names):
    for name in names:
        (tmp_path / f"{name}.txt").write_text("cat\n")
    with pytest.raises(UsageError, match=f"two lists of one language, {names[0]} and {names[1]}"):
        load_lists(recipe(str(tmp_path)))


def test_endings_in_capitals(tmp_path):
    (tmp_path / "EN.TXT.GZ").write_bytes(gzip.compress(b"cat\n"))
    (tmp_path / "de.Txt.Zst").write_bytes(zstandard.compress(b"katze\n"))
    (tmp_path / "fr.JSON").write_text('["chat"]')
    (tmp_path / "it.TXT").write_text("gatto\n")
    found = load_lists(recipe(str(tmp_path)))
    assert {name: part.entries.to_pylist() for name, part in found.items()} == {
        "EN": ["cat"], "de": ["katze"], "fr": ["chat"], "it": ["gatto"],
    }  # fmt: skip
    assert list_names(recipe(str(tmp_path))) == list(found)
    assert list_names(recipe(str(tmp_path / "none"))) == []


def test_a_missing_list_says_how_to_give_one(tmp_path):
    with pytest.raises(UsageError, match=r"--set entries.en=FILE"):
        load_lists(recipe({"en": str(tmp_path / "none.txt")}))
    with pytest.raises(UsageError, match="no entry list in"):
        load_lists(recipe(str(tmp_path)))
