"""Names of members that are no text."""

import io
import tarfile

import pytest

from pipeline.tars.index import samples_of


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", [b"\xffa.jpg", b"long/" * 40 + b"\xe9.jpg"], ids=["short", "long"])
def test_a_name_that_is_not_utf_8_is_refused_and_counted(tmp_path, kind, name):
    with tarfile.open(tmp_path / "a.tar", "w", format=kind) as tar:
        for of in (name.decode("utf-8", "surrogateescape"), "größe.jpg"):
            try:
                member = tarfile.TarInfo(of)
                member.size = 3
                tar.addfile(member, io.BytesIO(b"abc"))
            except ValueError:  # too long for ustar
                pytest.skip("no such name in this format")
    found, refused = samples_of(str(tmp_path / "a.tar"))
    assert found["source_uid"].to_pylist() == ["größe"]
    assert refused == {"unsafe_name": 1}
