"""DataComp subset files."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UsageError
from pipeline.shards.subset import uids, write_subset

RECIPE = "name: x\nentries: {en: en.txt}\nbalance: {t: 1}\n"


def write(folder, values, name="curated", more=""):
    (folder / name).mkdir()
    pq.write_table(pa.table({"source_uid": pa.array(values, pa.string())}), folder / name / "part-00000.parquet")
    (folder / "recipe.yaml").write_text(RECIPE + more)


@pytest.mark.parametrize(
    ("more", "want"),
    [("", 1), ("filter: {min_side: 5}", 2), ("rebalance: {t: 1}", 3), ("filter: {min_words: 1}\nrebalance: {t: 1}", 3)],
)
def test_the_pairs_are_those_that_shards_are_of(tmp_path, more, want):
    for number, name in enumerate(("curated", "filtered", "final"), 1):
        write(tmp_path, [f"{i:032x}" for i in range(number)], name, more)
    assert write_subset(str(tmp_path), tmp_path / "subset.npy") == want


def test_a_subset_is_what_datacomp_reads(tmp_path):
    rng = np.random.default_rng(0)
    values = [rng.bytes(16).hex() for _ in range(500)]
    write(tmp_path, values)
    assert write_subset(str(tmp_path), tmp_path / "subset.npy") == 500
    found = np.load(tmp_path / "subset.npy")
    want = np.array([(int(uid[:16], 16), int(uid[16:32], 16)) for uid in values], np.dtype("u8,u8"))
    want.sort()
    assert found.dtype == want.dtype
    assert (found == want).all()


@pytest.mark.parametrize("wrong", [None, "abc", "g" * 32, "0" * 31, "", "0" * 30 + "  ", "0x" + "0" * 30])
def test_what_is_no_uid(wrong):
    with pytest.raises(UsageError, match="source_uid: found"):
        uids(pa.array(["0" * 32, wrong]))


def test_uids_of_other_lengths_that_fit_together():
    with pytest.raises(UsageError, match=f"source_uid: found '{'0' * 30}'"):
        uids(pa.array(["0" * 30, "0" * 34]))


def test_what_is_no_finished_output(tmp_path):
    with pytest.raises(UsageError, match=r"no recipe.yaml there"):
        write_subset(str(tmp_path), tmp_path / "subset.npy")
    write(tmp_path, [], more="rebalance: {t: 1}")
    with pytest.raises(UsageError, match="no finished final there"):
        write_subset(str(tmp_path), tmp_path / "subset.npy")
