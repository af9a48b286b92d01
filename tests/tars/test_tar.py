"""Tars that are written here, read by ``tarfile``, and their headers byte for byte."""

import io
import tarfile

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tars.tar import TarWriter

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126, blacklist_characters="/"), min_size=1, max_size=100)
FILES = st.lists(st.tuples(NAMES, st.binary(max_size=2000)), max_size=8)


@settings(deadline=None, max_examples=100)
@given(FILES)
def test_a_tar_is_that_of_tarfile(files):
    sink = pa.BufferOutputStream()
    tar = TarWriter(sink)
    places = [tar.add(name, content) for name, content in files]
    tar.end()
    expected = io.BytesIO()
    with tarfile.open(fileobj=expected, mode="w", format=tarfile.USTAR_FORMAT) as reference:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            reference.addfile(member, io.BytesIO(content))
    found = sink.getvalue().to_pybytes()
    assert found == expected.getvalue()
    assert [found[at : at + size] for at, size in places] == [content for _, content in files]
