"""URLs of images, absolute and as the WHATWG's URL standard writes them, for columns of links.

Most absolute ones are plain: of characters that the standard leaves alone. Those need no parser; all others go through
``ada_url``, each distinct one once. ``tests/extract/test_urls.py`` holds the two against each other.
"""

import re

import ada_url
import pyarrow as pa
import pyarrow.compute as pc

BAD_URL, NO_URL, OTHER_SCHEME = "bad_url", "no_url", "other_scheme"
HTTP = ("http", "https")
SCHEMES = {"data": "data_url", "javascript": "javascript_url", "blob": "blob_url"}
_SCHEME, _EMPTY = re.compile(r"[\x00-\x20]*([A-Za-z][A-Za-z0-9+.-]*):"), re.compile(r"[\x00-\x20]*(#|$)")
Parsed = tuple[str | None, str | None, bool]

_LABEL = "[a-z0-9]+(?:-[a-z0-9]+)*"
# A host whose last label starts with a letter is no IPv4 address; two hyphens together may be Punycode.
_HOST = rf"(?:{_LABEL}\.)+[a-z](?:-?[a-z0-9])*"
# What the standard leaves alone in a path but for segments that begin with a dot (%2e is one), and in a query.
_SEGMENT = "[A-Za-z0-9_~!$&'()*+,;=:@-][A-Za-z0-9._~!$&'()*+,;=:@%-]*"
_QUERY = r"(?:\?[A-Za-z0-9._~!$&()*+,;=:@/?%\[\]|-]*)?"
PLAIN = rf"^https?://{_HOST}(?:/|(?:/{_SEGMENT})+/?){_QUERY}$"


def absolute_urls(sources: pa.Array, bases: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
    """The URLs of links, without fragments; why one is none (null where it is one); and whether it was relative.

    ``sources``: as pages name them. ``bases``: the URLs of their pages, or what these name as their base.
    """
    plain = pc.fill_null(pc.match_substring_regex(sources, PLAIN), False)
    urls = pc.if_else(plain, sources, None)
    nothing = pa.nulls(len(sources), pa.string())
    if plain.false_count == 0:
        return urls, nothing, pa.repeat(False, len(sources))
    rows = pc.invert(plain)
    others, why, relative = _others(sources.filter(rows), bases.filter(rows))
    found = (pc.replace_with_mask(nothing if of is why else urls, rows, of) for of in (others, why))
    return *found, pc.replace_with_mask(pa.repeat(False, len(sources)), rows, relative)


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
