import ada_url
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.extract.plain import ODD, WHOLE, plain_urls
from pipeline.extract.urls import absolute_urls

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
    found, kinds = plain_urls(pa.array([url]), pa.array([BASE]).dictionary_encode())
    if kinds[0] == WHOLE:
        assert found[0].as_py() == url == ada_url.normalize_url(url)
    elif kinds[0] != ODD:
        assert found[0].as_py() == ada_url.join_url(BASE, url)


# What stands behind the host of a base decides what its links are behind: a port, a name that goes on, another path.
BASES = ["http://a.org", "http://a.org/x/?q/r", "http://a.org?q", "http://a.org:8080", "http://a.orgX", "http://a.org@b.org",
         "http://a.org_b", "http://a.org/x//y", "http://a.org/./x", "http://a.org/x/.y", "http://a.org/#x", "HTTP://a.org/",
         "http://a.org/x y/z", "http://a.org/%2e/x", "http://a.org/x/%2E./y"]  # fmt: skip


@settings(max_examples=1000, deadline=None)
@given(st.lists(PIECES, max_size=9).map("".join), st.sampled_from([BASE, *BASES]) | st.lists(PIECES, max_size=5).map(
    lambda pieces: "http://a.org" + "".join(pieces)))  # fmt: skip
def test_a_column_gives_what_the_parser_gives(url, base):
    found, _ = one(url, base)
    if not ada_url.check_url(base):
        return
    try:
        expected = ada_url.join_url(base, url)
    except ValueError:
        expected = "bad_url"
    if found not in ("no_url",) and not found.endswith(("_url", "_scheme")):
        assert found == expected.partition("#")[0]


@pytest.mark.parametrize("base", BASES)
def test_a_base_of_any_form_is_where_the_parser_has_it(base):
    for url in ("a.jpg", "/a.jpg", "//b.org/a.jpg", "?q=1"):
        assert one(url, base) == (ada_url.join_url(base, url).partition("#")[0], True)


def test_links_of_many_pages_are_each_behind_their_own():
    bases = [BASE, "http://a.org", "http://a.org/x?y", "http://a.org:8080"] * 3
    sources = ["a.jpg", "/a.jpg", "http://c.org/a.jpg"] * 4
    urls, _, _ = absolute_urls(pa.array(sources), pa.array(bases))
    assert urls.to_pylist() == [ada_url.join_url(*pair) for pair in zip(bases, sources, strict=True)]
