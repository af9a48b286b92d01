"""What can be taken out, and the one form in which its value is hashed: of a URL, a host, an id, a SHA-256, a text."""

import hashlib

import ada_url
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

URL, HOST, IMAGE_ID, PAIR_ID, SHA256, TEXT = KINDS = ("url", "host", "image_id", "pair_id", "sha256", "text")
# The kinds that a pair itself tells of.
OF_PAIRS = (URL, HOST, IMAGE_ID, PAIR_ID, TEXT)
REMOVED = "removed"  # the reason for which a row or an image is dropped
_HOST = r"^[A-Za-z][A-Za-z0-9+.\-]*:[/\\]+(?:[^/?#\\]*@)?(?P<host>\[[^\]/?#\\]*\]|[^/?#\\:]*)"
_PLAIN = r"^[a-z0-9_\-]+(\.[a-z0-9_\-]+)*\.?$"
_NUMBER_LAST = r"(^|\.)(0x[0-9a-f]*|[0-9]+)\.?$"  # an IPv4 address, which has many spellings
_FIRST_LABEL = r"^[^.]*\."
DIGITS = 24  # of an image_id


def hosts(urls: pa.Array) -> pa.Array:
    """The host of each URL as browsers have it: lower case, ASCII, without the dot at its end; '' where it has none."""
    found = pc.struct_field(pc.extract_regex(pc.fill_null(urls, ""), _HOST), "host")
    lower = pc.ascii_lower(pc.fill_null(found, ""))
    plain = pc.and_(pc.match_substring_regex(lower, _PLAIN), pc.invert(pc.match_substring_regex(lower, _NUMBER_LAST)))
    odd = np.flatnonzero(~plain.to_numpy(zero_copy_only=False))
    lower = pc.ascii_rtrim(lower, ".")
    if not len(odd):
        return lower
    read = pa.array([_read_host(url) for url in urls.take(pa.array(odd)).to_pylist()], pa.string())
    mask = np.zeros(len(urls), bool)
    mask[odd] = True
    return pc.replace_with_mask(lower.cast(pa.string()), pa.array(mask), read)


def _read_host(url: str | None) -> str:
    try:
        return ada_url.URL(url or "").hostname.rstrip(".")
    except ValueError:
        return ""


def without_first_label(names: pa.Array) -> pa.Array:
    """The hosts above: ``b.org`` of ``a.b.org``; '' above the last one."""
    above = pc.replace_substring_regex(names, _FIRST_LABEL, "", max_replacements=1)
    return pc.if_else(pc.equal(above, names), "", above)


def image_ids(urls: pa.Array) -> pa.Array:
    """The image_id of each URL."""
    return pa.array([hashlib.sha224(url.encode()).hexdigest()[:DIGITS] for url in urls.to_pylist()], pa.string())
