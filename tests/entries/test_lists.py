import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.entries.lists import load_list, load_lists
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
        ("a.txt.gz", gzip.compress(b"cat\n" * 100)[:-9], "end"),
        ("a.txt.zst", b"no zstd", "a.txt.zst"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=said) as error:
        load_list("en", tmp_path / name)
    assert "\n" not in str(error.value)


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


def test_a_missing_list_says_how_to_give_one(tmp_path):
    with pytest.raises(UsageError, match=r"--set entries.en=FILE"):
        load_lists(recipe({"en": str(tmp_path / "none.txt")}))
    with pytest.raises(UsageError, match="no entry list in"):
        load_lists(recipe(str(tmp_path)))
