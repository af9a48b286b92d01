"""URLs of images, absolute and as the WHATWG's URL standard writes them, for columns of links.

Most absolute ones are plain: of characters that the standard leaves alone. Those need no parser; all others go through
``ada_url``, each distinct one once. ``tests/extract/test_urls.py`` holds the two against each other.
"""

import re

import ada_url
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.extract.links import MOST_URL

BAD_URL, NO_URL, OTHER_SCHEME = "bad_url", "no_url", "other_scheme"
HTTP = ("http", "https")
SCHEMES = {"data": "data_url", "javascript": "javascript_url", "blob": "blob_url"}
_SCHEME, _EMPTY = re.compile(r"[\x00-\x20]*([A-Za-z][A-Za-z0-9+.-]*):"), re.compile(r"[\x00-\x20]*(#|$)")
Parsed = tuple[str | None, str | None, bool]

_LABEL = "[a-z0-9]+(?:-[a-z0-9]+)*"
# A host whose last label starts with a letter is no IPv4 address; two hyphens together may be Punycode.
_HOST = rf"(?:{_LABEL}\.)+[a-z](?:-?[a-z0-9])*"
# What the standard leaves alone in a path but for segments that begin with a dot (%2e is one), and in a query.
_SIGNS = "[A-Za-z0-9._~!$&'()*+,;=:@%-]*"
_SEGMENT = "[A-Za-z0-9_~!$&'()*+,;=:@-]" + _SIGNS
_PATH = rf"(?:/|(?:/{_SEGMENT})+/?)"
_QUERY = r"(?:\?[A-Za-z0-9._~!$&()*+,;=:@/?%\[\]|-]*)?"
PLAIN = rf"^https?://{_HOST}{_PATH}{_QUERY}$"
# Relative ones: what comes behind the scheme of a base, behind its host, or behind its last folder.
BEHIND = {
    "scheme": rf"^//{_HOST}{_PATH}{_QUERY}$",
    "origin": rf"^{_PATH}{_QUERY}$",
    "folder": rf"^{_SEGMENT.replace(':', '')}(?:/{_SEGMENT})*/?{_QUERY}$".replace(_SIGNS, _SIGNS.replace(":", ""), 1),
}
BASE = rf"^(?P<folder>(?P<origin>(?P<scheme>https?:)//{_HOST})(?:/(?:{_SEGMENT}/)*)?)(?:{_SEGMENT})?{_QUERY}$"


def absolute_urls(sources: pa.Array, bases: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
    """The URLs of links, without fragments; why one is none (null where it is one); and whether it was relative.

    ``sources``: as pages name them. ``bases``: the URLs of their pages, or what these name as their base.
    """
    plain, before = _plain(sources, bases)
    urls = pc.if_else(plain, pc.binary_join_element_wise(before, sources, ""), None)
    relative = pc.and_(plain, pc.not_equal(before, ""))
    nothing = pa.nulls(len(sources), pa.string())
    if plain.false_count == 0:
        return urls, nothing, relative
    rows = pc.invert(plain)
    others, why, of_others = _others(sources.filter(rows), bases.filter(rows))
    masked = ((urls, others), (nothing, why), (relative, of_others))
    return tuple(pc.replace_with_mask(all_rows, rows, some) for all_rows, some in masked)


def _plain(sources: pa.Array, bases: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Whether links are plain, and what stands before them then: nothing, or a part of their base.

    Sites repeat their images and pages have many, so each distinct one is looked at once.
    """
    sources, bases = sources.dictionary_encode(), bases.dictionary_encode()
    parts = pc.extract_regex(bases.dictionary, BASE)
    ends = pc.struct_field(parts, "folder")
    folders = pc.if_else(pc.ends_with(ends, "/"), ends, pc.binary_join_element_wise(ends, "/", ""))
    plain = pc.match_substring_regex(sources.dictionary, PLAIN).take(sources.indices)
    before = pc.if_else(plain, "", pa.scalar(None, pa.string()))
    for name, pattern in BEHIND.items():
        fits = pc.match_substring_regex(sources.dictionary, pattern).take(sources.indices)
        if pc.any(fits).as_py():
            part = folders if name == "folder" else pc.struct_field(parts, name)
            before = pc.if_else(fits, part.take(bases.indices), before)
    return pc.is_valid(before), before


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
