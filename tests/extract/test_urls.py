import re

import ada_url
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.extract.urls import PLAIN, absolute_urls

BASE = "https://www.example.org/blog/post/page.html"


def one(source, base=BASE):
    url, why, relative = (
        column[0].as_py() for column in absolute_urls(pa.array([source], pa.string()), pa.array([base]))
    )
    assert (url is None) != (why is None)
    return (url or why), relative


@pytest.mark.parametrize(
    ("source", "url", "relative"),
    [
        ("https://cdn.example.org/a/b.jpg?x=1&y=2", "https://cdn.example.org/a/b.jpg?x=1&y=2", False),
        ("https://cdn.example.org/a/b.jpg#top", "https://cdn.example.org/a/b.jpg", False),
        ("HTTP://CDN.Example.ORG/A.jpg", "http://cdn.example.org/A.jpg", False),
        ("https://cdn.example.org:443/a.jpg", "https://cdn.example.org/a.jpg", False),
        (" https://cdn.example.org/a b,c.jpg\n", "https://cdn.example.org/a%20b,c.jpg", False),
        ("https://cdn.example.org/ä/ö.jpg", "https://cdn.example.org/%C3%A4/%C3%B6.jpg", False),
        ("https://bücher.example/a.jpg", "https://xn--bcher-kva.example/a.jpg", False),
        ("https://cdn.example.org/a/../b/./%2e%2e/c.jpg", "https://cdn.example.org/c.jpg", False),
        ("img/1.jpg", "https://www.example.org/blog/post/img/1.jpg", True),
        ("/img/1.jpg", "https://www.example.org/img/1.jpg", True),
        ("../1.jpg", "https://www.example.org/blog/1.jpg", True),
        ("//cdn.example.org/1.jpg", "https://cdn.example.org/1.jpg", True),
        ("?id=1", "https://www.example.org/blog/post/page.html?id=1", True),
        ("\\img\\1.jpg", "https://www.example.org/img/1.jpg", True),
        ("data:image/png;base64,AAAA", "data_url", False),
        ("DATA:", "data_url", False),
        ("da\nta:image/png", "data_url", False),
        ("javascript:void(0)", "javascript_url", False),
        ("blob:https://www.example.org/1", "blob_url", False),
        ("ed2k://|file|a.jpg|1|", "other_scheme", False),
        ("ftp://example.org/a.jpg", "other_scheme", False),
        ("file:///a.jpg", "other_scheme", False),
        ("", "no_url", False),
        ("  ", "no_url", False),
        ("#top", "no_url", False),
        (None, "no_url", False),
        ("http://[::1", "bad_url", False),
        ("https://exa mple.org/a.jpg", "bad_url", False),
        ("http://256.1.1.1/a.jpg", "bad_url", False),
    ],
)  # fmt: skip
def test_a_link_is_absolute_or_has_a_reason(source, url, relative):
    assert one(source) == (url, relative)


PIECES = st.sampled_from(
    ["http", "https", "HTTP", ":", "//", "/", "example.org", "a-b.org", "xn--a.org", "a--b.org", "1.2.3.4", "0x7f.1", "com.1",
     "..", ".", "%2e", "%", "?", "#", "'", '"', "|", "[", "]", "{", "}", "^", "`", "\\", " ", "ä", "@", ":80", "a", "B", "_", "~",
     "-", ";", "=", ",", "&", "\t", "\n", "\u200d"]
)  # fmt: skip


@settings(max_examples=2000, deadline=None)
@given(st.lists(PIECES, max_size=9).map("".join))
@example("https://a.org/%2E%2e/b")
@example("https://a.org/a'b?c'd")
def test_what_is_taken_for_plain_is_what_the_parser_makes_of_it(url):
    if re.fullmatch(PLAIN[1:-1], url):
        assert ada_url.normalize_url(url) == url


@settings(max_examples=1000, deadline=None)
@given(st.lists(PIECES, max_size=9).map("".join), st.sampled_from([BASE, "http://a.org", "http://a.org/x/?q/r"]))
def test_a_column_gives_what_the_parser_gives(url, base):
    found, _ = one(url, base)
    try:
        expected = ada_url.join_url(base, url)
    except ValueError:
        expected = "bad_url"
    if found not in ("no_url",) and not found.endswith(("_url", "_scheme")):
        assert found == expected.partition("#")[0]
