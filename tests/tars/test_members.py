"""Members by headers against ``tarfile``, on tars of every format and on damaged ones."""

import contextlib
import io
import tarfile

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.tars.members import FOLDER, OTHER, REGULAR, members
from pipeline.tars.window import AHEAD_LOCAL, Window

NAMES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=180)
KINDS = [
    tarfile.REGTYPE,
    tarfile.AREGTYPE,
    tarfile.DIRTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.FIFOTYPE,
    tarfile.CHRTYPE,
]


def reference(content):
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
        return [
            (
                m.name,
                FOLDER if m.isdir() else REGULAR if m.isreg() and not m.issparse() else OTHER,
                m.offset_data,
                m.size,
            )
            for m in tar
        ]


def ours(content, ahead=AHEAD_LOCAL):
    return list(members(Window(pa.PythonFile(io.BytesIO(content), mode="r"), ahead)))


def write(entries, kind, mtime=0):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as tar:
        for name, member_type, size in entries:
            member = tarfile.TarInfo(name)
            member.type, member.mtime = member_type, mtime
            member.size = size if member_type in (tarfile.REGTYPE, tarfile.AREGTYPE) else 0
            member.linkname = "x" if member_type in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            try:
                tar.addfile(member, io.BytesIO(bytes(size)))
            except ValueError:  # a name that the format cannot hold
                continue
    return out.getvalue()


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(NAMES, st.sampled_from(KINDS), st.integers(0, 2000)), max_size=6),
    st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.sampled_from([0, 1.5]),
    st.sampled_from([1, 1100, AHEAD_LOCAL]),
)
@example([("/", tarfile.AREGTYPE, 1), ("0", tarfile.REGTYPE, 0)], tarfile.USTAR_FORMAT, 0, 1)
@example([("\x80/", tarfile.REGTYPE, 3)], tarfile.PAX_FORMAT, 0, 1)
@example([("/", tarfile.REGTYPE, 3), ("a/", tarfile.AREGTYPE, 0)], tarfile.USTAR_FORMAT, 0, 1)
def test_members_are_those_of_tarfile(entries, kind, mtime, ahead):
    content = write(entries, kind, mtime)
    assert [
        (name.rstrip("/") if kind == FOLDER else name, kind, at, size) for name, kind, at, size in ours(content, ahead)
    ] == reference(content)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_damage_ends_in_an_error_of_tarfile_or_what_is_before_it(data):
    content = write([(f"{i}.jpg", tarfile.REGTYPE, 700) for i in range(4)], tarfile.PAX_FORMAT, 1.5)
    content = bytearray(content[: data.draw(st.integers(0, len(content)))])
    for _ in range(data.draw(st.integers(0, 3))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(tarfile.TarError, OSError, EOFError, ValueError):
        ours(bytes(content))


def test_a_pax_record_that_is_longer_than_its_header():
    content = write([("a.jpg", tarfile.REGTYPE, 700)], tarfile.PAX_FORMAT, 1.5).replace(b"13 mtime=", b"93 mtime=")
    with pytest.raises(tarfile.ReadError):
        ours(content)


def test_a_size_below_nothing_does_not_send_the_reader_back():
    content = write([("a.jpg", tarfile.REGTYPE, 700)], tarfile.PAX_FORMAT, 1.5)
    with pytest.raises(tarfile.ReadError):
        ours(content.replace(b"13 mtime=1.5\n", b"13 size=-512\n"))
    header = bytearray(write([("a.jpg", tarfile.REGTYPE, 700)], tarfile.USTAR_FORMAT))
    header[124:136] = b"-00000002000"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    with pytest.raises(tarfile.ReadError):
        ours(bytes(header))


@pytest.mark.parametrize("content", [b"", bytes(512), bytes(1024), bytes(10240)])
def test_empty_tars(content):
    assert ours(content) == []


def test_a_name_in_front_of_a_prefix_and_an_old_folder():
    content = write([("a" * 90 + "/" + "b" * 90 + ".jpg", tarfile.REGTYPE, 5)], tarfile.USTAR_FORMAT)
    assert ours(content) == reference(content)


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("name", ["b.jpg", "d" * 120 + ".jpg"])
def test_a_tar_that_is_cut_between_two_members_is_damaged(kind, name):
    """tarfile takes it for whole; every writer ends a tar with empty blocks."""
    content = write([("a.jpg", tarfile.REGTYPE, 700), (name[-99:], tarfile.REGTYPE, 9)], kind)
    whole = ours(content)
    at = whole[-1][2] + 512
    assert ours(content[: at + 512]) == whole
    with pytest.raises(tarfile.ReadError, match="ends without|ends in what"):
        ours(content[:at])
