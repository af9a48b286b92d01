"""The body of an answer: its codings and its charset."""

import gzip
import zlib

import brotli
import pytest
import zstandard

from pipeline.extract.charset import utf8_page
from pipeline.extract.coding import BadCoding, TooLarge, decoded
from tests.extract.files import extracted, page

BODY = ("<html><img src=a.jpg alt='a cat'>" + " ".join(map(str, range(3000)))).encode()


def raw_deflate(body):
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(body) + stream.flush()


PACKED = {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress,
          "zstd": zstandard.compress}  # fmt: skip


def chunked(body, size=7):
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x;ext=1\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@pytest.mark.parametrize("name", PACKED)
def test_codings(name):
    packed = PACKED[name](BODY)
    assert decoded(packed, "", name.upper(), 1 << 20) == BODY
    assert decoded(chunked(packed), "chunked", name, 1 << 20) == BODY
    assert decoded(gzip.compress(packed), "", f"{name}, gzip", 1 << 20) == BODY
    assert decoded(BODY, "chunked", name, 1 << 20) == BODY, "the crawler undid it and kept the header"
    with pytest.raises(TooLarge):
        decoded(packed, "", name, 1000)
    with pytest.raises(BadCoding):
        decoded(b"\x00\x01\x02 no page at all", "", name, 1 << 20)
    cut = decoded(packed[: len(packed) * 2 // 3], "", name, 1 << 20)
    assert BODY.startswith(cut)


def test_deflate_without_its_wrapper_and_gzip_called_deflate():
    assert decoded(raw_deflate(BODY), "", "deflate", 1 << 20) == BODY
    assert decoded(gzip.compress(BODY), "", "deflate", 1 << 20) == BODY


def test_a_bomb_is_stopped():
    bomb = gzip.compress(bytes(200 << 20))
    with pytest.raises(TooLarge):
        decoded(bomb, "", "gzip", 1 << 20)
    assert extracted(page(bomb, head="Content-Encoding: gzip"))[1].pages == {"too_large": 1}


@pytest.mark.parametrize("coding", ["", "identity", "made-up"])
def test_a_plain_body(coding):
    assert decoded(BODY, "", coding, 1 << 20) == BODY


TEXT = "Привет, мир: кошка на окне смотрит на птиц в саду и ждёт хозяина домой"


@pytest.mark.parametrize(
    ("body", "header"),
    [
        (TEXT.encode("cp1251"), "text/html; charset=windows-1251"),
        (TEXT.encode("cp1251"), "text/html; charset='CP1251'"),
        (b"<meta charset=windows-1251>" + TEXT.encode("cp1251"), "text/html"),
        (b'<meta http-equiv="Content-Type" content="text/html; charset=windows-1251">' + TEXT.encode("cp1251"), None),
        (b"<!-- <meta charset=utf-8> --><meta charset=windows-1251>" + TEXT.encode("cp1251"), None),
        (TEXT.encode("koi8-r"), "text/html; charset=koi8-r"),
        (TEXT.encode(), "text/html"),
        (TEXT.encode(), "text/html; charset=nobody-knows"),
        (b"<meta charset=utf-16>" + TEXT.encode(), None),
        (b"\xef\xbb\xbf" + TEXT.encode(), "text/html; charset=windows-1251"),
        (TEXT.encode("utf-16"), "text/html; charset=utf-8"),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), None),
        (TEXT.encode("cp1251"), None),
    ],
)
def test_charsets(body, header):
    assert utf8_page(body, header).decode("utf-8", "replace").endswith(TEXT)


@pytest.mark.parametrize(
    ("label", "codec", "text"),
    [("shift_jis", "cp932", "①～髙"), ("euc-kr", "cp949", "똠방각하"), ("gb2312", "gb18030", "镕喆€"),
     ("gbk", "gb18030", "𠀀"), ("big5", "big5hkscs", "嘅咗"), ("tis-620", "cp874", "แมว…"), ("x-mac-cyrillic", "mac_cyrillic", "кошка")],
)  # fmt: skip
def test_names_mean_what_browsers_read_by_them(label, codec, text):
    assert utf8_page(text.encode(codec), f"text/html; charset={label}").decode("utf-8", "replace") == text


def test_what_is_looked_at_begins_with_the_first_character_that_tells():
    body = b"<p>" + b"plain words " * 20_000 + TEXT.encode() + b" \xff" + TEXT.encode()
    assert utf8_page(body, "text/html").decode("utf-8", "replace").endswith(f"{TEXT} \ufffd{TEXT}")
    assert utf8_page(b"plain " * 20_000 + TEXT.encode("cp1251"), None).decode("utf-8", "replace").endswith(TEXT)


def test_latin_1_is_windows_1252_and_bad_bytes_cost_themselves_alone():
    assert utf8_page("„Käse“".encode("cp1252"), "text/html; charset=iso-8859-1").decode("utf-8", "replace") == "„Käse“"
    assert utf8_page(b"a\xffb", "text/html; charset=utf-8").decode("utf-8", "replace") == "a\ufffdb"


@pytest.mark.parametrize(
    ("charset", "text"),
    [("shift_jis", "窓辺の猫の写真"), ("euc-kr", "창가의 고양이 사진"), ("gb18030", "窗边的猫"), ("big5", "窗邊的貓")],
)
def test_a_charset_by_meta_alone_reaches_the_text(charset, text):
    body = f"<meta charset={charset}><img src=a.jpg alt='{text}'>".encode(charset)
    assert extracted(page(body, kind="text/html"))[0][0]["text"] == text
