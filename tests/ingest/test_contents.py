"""A file that was read before is known by its place and by its content."""

import os
import re

import pytest

from pipeline import storage
from pipeline.errors import UsageError
from pipeline.ingest.contents import SAMPLE_BYTES, SAMPLES, Known, as_table, known_files, refuse_known, sampled
from pipeline.tables import write_arrow

LARGE = 3 * SAMPLES * SAMPLE_BYTES


def known(file) -> Known:
    [(path, size, modified)] = storage.list_files(str(file))
    return Known(path, size, modified, sampled(path))


@pytest.mark.parametrize("size", [0, 10, SAMPLES * SAMPLE_BYTES, SAMPLES * SAMPLE_BYTES + 1, LARGE])
@pytest.mark.parametrize("old", ["there", "gone"])
def test_the_same_content_under_another_name(tmp_path, size, old):
    content = os.urandom(size)
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "b").write_bytes(content)
    before, new = known(tmp_path / "a"), storage.list_files(str(tmp_path / "b"))
    if old == "gone":
        (tmp_path / "a").unlink()
    if size == 0:  # has nothing that could be twice
        refuse_known(new, [before])
        return
    with pytest.raises(UsageError, match=re.escape(f"--append {tmp_path}/b: was added before, as {tmp_path}/a")):
        refuse_known(new, [before])


@pytest.mark.parametrize("changed", [0, LARGE // 2, LARGE - 1])
def test_a_byte_that_differs_makes_another_file(tmp_path, changed):
    content = bytearray(os.urandom(LARGE))
    (tmp_path / "a").write_bytes(content)
    content[changed] ^= 1
    (tmp_path / "b").write_bytes(content)
    refuse_known(storage.list_files(str(tmp_path / "b")), [known(tmp_path / "a")])


def test_a_byte_that_no_sample_has(tmp_path):
    """The whole files are compared where the old one is there; where it is not, they count as the same."""
    content = bytearray(LARGE)
    (tmp_path / "a").write_bytes(content)
    content[SAMPLE_BYTES + 10] = 1
    (tmp_path / "b").write_bytes(content)
    before, new = known(tmp_path / "a"), storage.list_files(str(tmp_path / "b"))
    assert before.sampled == sampled(str(tmp_path / "b"))
    refuse_known(new, [before])
    (tmp_path / "a").unlink()
    with pytest.raises(UsageError, match="was added before"):
        refuse_known(new, [before])


@pytest.mark.parametrize(
    ("content", "why"), [(b"one", "was added before$"), (b"three", "has changed since it was added")]
)
def test_the_same_place(tmp_path, content, why):
    file = tmp_path / "a"
    file.write_bytes(b"one")
    before = known(file)
    if content != b"one":
        file.write_bytes(content)
    with pytest.raises(UsageError, match=why):
        refuse_known(storage.list_files(str(file)), [before])


def test_the_table_has_what_was_put_into_it(tmp_path):
    files = [Known("/a", 1, 2, "x"), Known("s3://b/c", 3, 0, None)]
    write_arrow(as_table(files), str(tmp_path), "pairs/_inputs")
    assert known_files(storage.join(str(tmp_path), ".staging", "pairs")) == files
