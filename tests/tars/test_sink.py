"""Files written past the page cache are those of ordinary writes, whatever the sizes, and where it is not had."""

import errno
import os

import pyarrow.fs as pafs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tars import sink
from pipeline.tars.sink import ALIGNMENT, BLOCK, DirectFile, open_sink

SIZES = st.sampled_from([0, 1, 511, ALIGNMENT, ALIGNMENT + 1, BLOCK - 1, BLOCK, BLOCK + 7, 2 * BLOCK + ALIGNMENT])


@settings(deadline=None, max_examples=25)
@given(st.lists(SIZES, max_size=5))
def test_the_bytes_are_all_there(tmp_path_factory, sizes):
    path = tmp_path_factory.mktemp("sink") / "file"
    parts = [os.urandom(size) for size in sizes]
    with open_sink(pafs.LocalFileSystem(), str(path)) as file:
        for part in parts:
            file.write(part)
    assert path.read_bytes() == b"".join(parts)


def test_it_goes_on_where_the_file_system_refuses_a_write(tmp_path, monkeypatch):
    write, refused = os.write, []

    def refuse(fd, content):
        if not refused:
            refused.append(len(content))
            raise OSError(errno.EINVAL, "not here")
        return write(fd, content)

    monkeypatch.setattr(os, "write", refuse)
    content = os.urandom(BLOCK + 100)
    with open_sink(pafs.LocalFileSystem(), str(tmp_path / "file")) as file:
        file.write(content)
    monkeypatch.undo()
    assert refused == [BLOCK] or sink.O_DIRECT == 0
    assert (tmp_path / "file").read_bytes() == content


def test_another_error_is_raised(tmp_path, monkeypatch):
    if not isinstance(open_sink(pafs.LocalFileSystem(), str(tmp_path / "file")), DirectFile):
        pytest.skip("no O_DIRECT here")

    def full(_fd, _content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with (
        pytest.raises(OSError, match="No space left"),
        open_sink(pafs.LocalFileSystem(), str(tmp_path / "file")) as file,
    ):
        for _ in range(3):
            file.write(bytes(BLOCK))


def test_ordinary_writes_where_there_is_no_direct_one(tmp_path, monkeypatch):
    monkeypatch.setattr(sink, "O_DIRECT", 0)
    with open_sink(pafs.LocalFileSystem(), str(tmp_path / "file")) as file:
        assert not isinstance(file, DirectFile)
        file.write(b"abc")
    assert (tmp_path / "file").read_bytes() == b"abc"
