"""Files that are added to a finished output give, byte for byte, what one run over all of them gives."""

import json
from pathlib import Path

import pytest

from pipeline.append import append
from tests.e2e.conftest import digests, run
from tests.pool import rows

GOLDEN = json.loads((Path(__file__).resolve().parent / "golden.json").read_text())["configurations"]
NAMES = [name for name in GOLDEN if name != "shuffled"]
QUICK = ("default",)


def write_rows(file: Path, found: list[tuple[str, str, str]]) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    urls, texts, languages = (list(column) for column in zip(*found, strict=True))
    pq.write_table(pa.table({"url": urls, "text": texts, "language": languages}), file)
    return str(file)


def three(folder: Path) -> list[str]:
    """The tests' pool in three files, of which the later ones repeat some of the first."""
    found = rows(1500)
    folder.mkdir()
    parts = found[:900], found[880:1300], found[1300:] + found[:50]
    return [write_rows(folder / f"{name}.parquet", part) for name, part in zip("abc", parts, strict=True)]


def told(summary):
    return [{key: line[key] for key in ("stage", "in", "out", "dropped")} for line in summary["stages"]]


def tables_of(output: Path) -> list[str]:
    return sorted(
        name for name in ("curated", "entry_counts", "thresholds", "filtered", "final", "shards")
        if (output / name).exists()
    )  # fmt: skip


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NAMES])
def test_added_files_give_what_one_run_gives(work, tmp_path, spark, name, capsys):
    overrides, parts = GOLDEN[name]["overrides"], three(tmp_path / "parts")
    output, whole = tmp_path / "output", tmp_path / "whole"
    want = run(work / "recipe.yaml", whole, *overrides, inputs=parts)
    run(work / "recipe.yaml", output, *overrides, inputs=parts[:1])
    append(str(output), parts[1:2])
    got = append(str(output), parts[2:])
    assert "cannot be added to" not in capsys.readouterr().out
    assert told(got) == told(want)
    names = tables_of(whole)
    assert digests(output, *names) == digests(whole, *names)
    assert (output / "recipe.yaml").read_text() == (whole / "recipe.yaml").read_text()
    again = run(work / "recipe.yaml", output, *overrides, inputs=parts)
    assert all(line["skipped"] for line in again["stages"])
