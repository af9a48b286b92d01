"""The text of a page's bytes: by its byte order mark, header, meta element, or by what the bytes look like.

Names of charsets mean what the WHATWG's Encoding standard says (``latin1`` is windows-1252), as browsers read them.
"""

import codecs
import re
from functools import lru_cache

import numpy as np
import pyarrow as pa
from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

BOMS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
# What the standard means by a name is more than the Python codec of that name reads.
_WIDER = {
    "shift_jis": "cp932", "euc_kr": "cp949", "gbk": "gb18030", "big5": "big5hkscs", "iso8859-11": "cp874",
    "x-mac-cyrillic": "mac_cyrillic",
}  # fmt: skip
_IN_HEADER = re.compile(r"charset\s*=\s*[\"']?\s*([^\s;\"']+)", re.IGNORECASE)
# A browser looks for a meta element in the first 1,024 bytes; some pages have it a little later.
_META_BYTES, _LOOKED_AT = 4096, 1 << 16
_ODD = re.compile(rb"[\x80-\xff]")
_COMMENT = re.compile(rb"<!--.*?(?:-->|$)", re.DOTALL)
_META = re.compile(rb"<meta\b[^>]*?\bcharset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]+)", re.IGNORECASE | re.DOTALL)


def utf8_page(body: bytes, content_type: str | None) -> bytes:
    """The page in UTF-8; what is no character in its charset becomes U+FFFD, but in UTF-8, which stays as it is."""
    for mark, charset in BOMS.items():
        if body.startswith(mark):
            return _recoded(body[len(mark) :], charset)
    charset = _known(found[1]) if (found := _IN_HEADER.search(content_type or "")) else None
    charset = charset or _of_meta(body[:_META_BYTES])
    if charset is None:
        if is_utf8(body, np.array([0, len(body)])):
            return body
        start = max(0, _ODD.search(body).start() - _META_BYTES)
        charset = _known(detect_encoding(body[start : start + _LOOKED_AT]) or "") or "cp1252"
    return _recoded(body, charset)


def _recoded(body: bytes, charset: str) -> bytes:
    return body if charset == "utf-8" else body.decode(charset, "replace").encode("utf-8", "replace")


def is_utf8(data: bytes, ends: np.ndarray) -> bool:
    """Whether strings that lie one after the other are UTF-8. ``ends``: 0, and the place behind each."""
    strings = pa.LargeStringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends.astype(np.int64)), pa.py_buffer(data))
    try:
        strings.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _of_meta(start: bytes) -> str | None:
    """The charset of a meta element. One that says UTF-16, which it could not be read in, means UTF-8."""
    found = _META.search(_COMMENT.sub(b"", start))
    charset = _known(found[1].decode("ascii")) if found else None
    return "utf-8" if charset and charset.startswith("utf-16") else charset


@lru_cache(1024)
def _known(label: str) -> str | None:
    """The codec for a label, or None for one that nobody knows."""
    charset = map_encoding_to_html5(label.strip(), fallback_utf8=False)
    if not charset:
        return None
    charset = _WIDER.get(charset.lower(), charset)
    try:
        name = codecs.lookup(charset).name
        return _WIDER.get(name, name)
    except LookupError:
        return None
