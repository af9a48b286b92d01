"""URLs of images, absolute and as the WHATWG's URL standard writes them, for columns of links.

Most are plain (``plain.py``) and need no parser; all others go through ``ada_url``, each distinct one once.
``tests/extract/test_urls.py`` holds the two against each other.
"""

import re

import ada_url
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.extract.links import MOST_URL
from pipeline.extract.plain import ODD, WHOLE, plain_urls

BAD_URL, NO_URL, OTHER_SCHEME = "bad_url", "no_url", "other_scheme"
HTTP = ("http", "https")
SCHEMES = {"data": "data_url", "javascript": "javascript_url", "blob": "blob_url"}
_SCHEME, _EMPTY = re.compile(r"[\x00-\x20]*([A-Za-z][A-Za-z0-9+.-]*):"), re.compile(r"[\x00-\x20]*(#|$)")
Parsed = tuple[str | None, str | None, bool]


def absolute_urls(sources: pa.Array, bases: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
    """The URLs of links, without fragments; why one is none (null where it is one); and whether it was relative.

    ``sources``: as pages name them. ``bases``: the URLs of their pages, or what these name as their base.
    """
    bases = bases.dictionary_encode()
    urls, kinds = plain_urls(sources, bases)
    relative, nothing = pa.array(kinds > WHOLE), pa.nulls(len(sources), pa.string())
    if not (rows := kinds == ODD).any():
        return urls, nothing, relative
    rows = pa.array(rows)
    others, why, of_others = _others(sources.filter(rows), bases.filter(rows))
    masked = ((urls, others), (nothing, why), (relative, of_others))
    return tuple(pc.replace_with_mask(all_rows, rows, some) for all_rows, some in masked)


def _others(sources: pa.Array, bases: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
    """The same of those that are not plain, each distinct one looked at once."""
    known: dict[tuple[str | None, str], Parsed] = {}
    found = []
    for pair in zip(sources.to_pylist(), bases.to_pylist(), strict=True):
        if (parsed := known.get(pair)) is None:
            parsed = known[pair] = parse(*pair)
        found.append(parsed)
    urls, why, relative = zip(*found, strict=True)
    return pa.array(urls, pa.string()), pa.array(why, pa.string()), pa.array(relative, pa.bool_())


def parse(source: str | None, base: str) -> Parsed:
    """One URL, or why it is none, and whether it was relative."""
    scheme = _SCHEME.match(source or "")
    if scheme and (name := scheme[1].lower()) not in HTTP:
        return None, SCHEMES.get(name, OTHER_SCHEME), False
    if not source or _EMPTY.match(source):
        return None, NO_URL, False
    try:
        url = ada_url.join_url(base, source)
    except ValueError:
        return None, BAD_URL, scheme is None
    if (name := url.partition(":")[0]) in HTTP:
        return url.partition("#")[0], None, scheme is None
    return None, SCHEMES.get(name, OTHER_SCHEME), False


def base_url(url: str, named: str) -> str:
    """What links of a page are resolved against that names a base: its own URL where that is none, or no place."""
    try:
        base = ada_url.join_url(url, named)
    except ValueError:
        return url
    return url if base.startswith(("data:", "javascript:")) or len(base) > MOST_URL else base
