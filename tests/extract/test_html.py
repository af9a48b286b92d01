import pytest

from pipeline.extract.links import dimension
from tests.extract.files import URL, answer, extracted, packed, page, record, sources

PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACw="
HERE = "https://www.example.org/blog/post/"


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ("<img src=a.jpg alt='a cat'>", [("a.jpg", "a cat")]),
        ("<IMG SRC=a.jpg ALT='a &amp; b &#x1F408;'>", [("a.jpg", "a & b 🐈")]),
        ("<image src=a.jpg alt=x>", [("a.jpg", "x")]),
        ("<img src=a.jpg alt='one\n  two\u00a0three'>", [("a.jpg", "one two three")]),
        ("<img src=a.jpg alt='' title='t'>", [("a.jpg", "t")]),
        ("<img src=a.jpg alt=x src=b.jpg alt=y>", [("a.jpg", "x")]),
        ("<img src='a b,c.jpg' alt=x>", [("a%20b,c.jpg", "x")]),
        # lazy: the attribute wins over a placeholder, and over nothing else
        (f"<img src='{PIXEL}' data-src=a.jpg alt=x>", [("a.jpg", "x")]),
        ("<img data-original=a.jpg alt=x>", [("a.jpg", "x")]),
        ("<img src='/img/spacer.gif?1' data-lazy-src=a.jpg alt=x>", [("a.jpg", "x")]),
        ("<img src='' data-src=a.jpg alt=x>", [("a.jpg", "x")]),
        ("<img src=real.jpg data-src=a.jpg srcset='b.jpg 2x' alt=x>", [("real.jpg", "x")]),
        (f"<img src='{PIXEL}' data-srcset='a.jpg 100w, b,1.jpg 300w, c.jpg 200w' alt=x>", [("b,1.jpg", "x")]),
        (f"<img src='{PIXEL}' srcset='{PIXEL} 1x, a.jpg 2x' alt=x>", [("a.jpg", "x")]),
        (f"<img src='{PIXEL}' alt=x>", []),
        ("<picture><source srcset='a.webp 400w' type=image/webp><source srcset='a.jxl 800w' type=image/jxl>"
         "<source data-srcset='a.avif 500w'><img srcset='a.jpg 300w' alt=x></picture>", [("a.avif", "x")]),
        ("<picture><source srcset='a.webp 400w'><img src=a.jpg alt=x></picture>", [("a.jpg", "x")]),
        # what a reader without scripts sees is the lazy image beside it
        (f"<img src='{PIXEL}' data-src=a.jpg alt=x><noscript><img src=a-small.jpg alt=x></noscript>", [("a.jpg", "x")]),
        (f"<noscript><img src=a-small.jpg></noscript><img src='{PIXEL}' data-src=a.jpg alt=x>", [("a.jpg", "x")]),
        (f"<img src='{PIXEL}' data-odd=a.jpg alt=x><noscript><img src=a.jpg alt=x></noscript>", [("a.jpg", "x")]),
        (f"<img src='{PIXEL}' data-src=a.jpg alt=x><noscript><img src=b.jpg alt=y></noscript>", [("a.jpg", "x"), ("b.jpg", "y")]),
        (f"<img src='{PIXEL}' data-src=a.jpg alt='&#120; '><noscript><img src=b.jpg alt=x></noscript>", [("a.jpg", "x")]),
        (f"<img src='{PIXEL}' data-src=a.jpg><noscript><img src=a-small.jpg alt=x></noscript>", [("a-small.jpg", "x")]),
        ("<img src=a.jpg alt=x><noscript><img src=b.jpg alt=x></noscript>", [("a.jpg", "x"), ("b.jpg", "x")]),
        # what is no element of the page
        ("<template><img src=a.jpg alt=x></template>", []),
        ("<!-- <img src=a.jpg alt=x> --><script>'<img src=a.jpg alt=x>'</script><style><img src=a alt=x></style>", []),
        ("<textarea><img src=a.jpg alt=x></textarea><title><img src=a.jpg alt=x></title>", []),
        ("<img src=a.jpg alt='cut", []),
        ("<p><table><img src=a.jpg alt=x><tr></table><svg><img src=b.jpg alt=y>", [("a.jpg", "x"), ("b.jpg", "y")]),
        ("<img src=a.jpg width=1 height=1 alt=x><img src=b.jpg width=1 height='100%' alt=y>", [("b.jpg", "y")]),
    ],
)  # fmt: skip
def test_images_of_a_page(html, found):
    assert sources(page(f"<!doctype html><body>{html}")) == [(HERE + url, text) for url, text in found]


@pytest.mark.parametrize(
    ("base", "url"),
    [("<base href=/img/>", "https://www.example.org/img/a.jpg"), ("<base href=/x/><base href=/y/>", "https://www.example.org/x/a.jpg"),
     ("<base target=_top><base href=//b.example.org/>", "https://b.example.org/a.jpg"), ("<base href='http://['>", HERE + "a.jpg"), ("<base href='http://a b/'>", HERE + "a.jpg"),
     ("<base href=data:,x>", HERE + "a.jpg"), ("<base href=JavaScript:x>", HERE + "a.jpg"), ("<base href='\n/img/ '>", "https://www.example.org/img/a.jpg")],
)  # fmt: skip
def test_base(base, url):
    assert sources(page(f"<head>{base}</head><img src=a.jpg alt=x>")) == [(url, "x")]


@pytest.mark.parametrize(
    ("html", "head", "language"),
    [
        ("<html lang=pt-BR>", "", "pt-BR"),
        ("<html><meta http-equiv=Content-Language content=de>", "", "de"),
        ("<html lang=''>", "Content-Language: fr", "fr"),
        ("<html>", "", None),
    ],
)
def test_the_language_of_a_page(html, head, language):
    assert extracted(page(html + "<img src=a.jpg alt=x>", head=head))[0][0]["page_language"] == language


@pytest.mark.parametrize(
    ("html", "head", "reason"),
    [
        ("<meta name=robots content='noindex,nofollow'>", "", "opted_out_noindex"),
        ("<META NAME=Robots CONTENT=NOAI>", "", "opted_out_noai"),
        ("<meta name=googlebot content=noindex>", "", None),
        ("<meta name=tdm-reservation content=1>", "", "opted_out_tdm"),
        ("", "X-Robots-Tag: noimageai", "opted_out_noimageai"),
        ("", "X-Robots-Tag: otherbot: noindex, nofollow", None),
        ("", "tdm-reservation: 1", "opted_out_tdm"),
        ("", "X-Robots-Tag: noimageindex, max-snippet: 5", "opted_out_noimageindex"),
    ],
)
def test_opt_outs(html, head, reason):
    content = page(html + "<img src=a.jpg alt=x>", head=head)
    assert extracted(content)[1].dropped == ({reason: 1} if reason else {})
    assert extracted(content, opt_outs=False)[1].dropped == {}


def test_captions_and_open_graph_are_asked_for():
    html = (
        "<meta property=og:image content=/og.jpg><meta property=og:title content='a page'>"
        "<figure><a><img src=a.jpg alt=x></a><figcaption>in <b>the</b> garden</figcaption></figure>"
    )
    assert sources(page(html)) == [(HERE + "a.jpg", "x")]
    pairs, _ = extracted(page(html), text_sources=["alt", "figcaption", "og"])
    assert [(p["url"], p["text"], p["text_source"]) for p in pairs] == [
        (HERE + "a.jpg", "x", "alt"),
        (HERE + "a.jpg", "in the garden", "figcaption"),
        ("https://www.example.org/og.jpg", "a page", "og"),
    ]
    alone = (
        "<meta name=og:image content=/o.jpg><meta name=twitter:image:alt content='a cat'><meta name=og:title content=t>"
    )
    assert sources(page(alone), text_sources=["og"]) == [("https://www.example.org/o.jpg", "a cat")]


@pytest.mark.parametrize(
    ("value", "number"),
    [("1", 1), (" 20px", 20), ("3.7", 3), ("+5", 5), ("100%", None), ("5 %", None), ("auto", None), ("", None), (None, None), ("-1", None), ("99999999999", 999999999)],
)  # fmt: skip
def test_dimensions(value, number):
    assert dimension(value) == number


def test_answers_that_are_no_page_are_counted():
    content = packed(
        record("warcinfo", b"x", None),
        page("<img src=a.jpg alt=x>"),
        page("<img src=a.jpg alt=x>", kind="application/json"),
        page("<img src=a.jpg alt=x>", status="404 Not Found"),
        page("<img src=a.jpg alt=x>", url=None),
        page("no image"),
        page("<html><img src=b.jpg alt=x>", kind=""),
        page("{}", kind=""),
        record("response", b"<img src=a.jpg alt=x>"),
        record("response", b""),
        record("request", answer("x")),
        page(b"\x00\x01", head="Content-Encoding: br"),
    )
    pairs, found = extracted(content)
    assert [pair["page_url"] for pair in pairs] == [URL, URL]
    assert found.pages == {
        "read": 2,
        "not_html": 4,
        "no_success": 1,
        "no_page_url": 1,
        "without_images": 1,
        "bad_coding": 1,
    }
    assert found.records == 12


def test_a_page_of_100_000_images():
    html = "".join(f"<img src=/i/{n}.jpg alt='image {n}'>" for n in range(100_000))
    pairs, _ = extracted(page(html))
    assert [pair["text"] for pair in pairs[:2]] == ["image 0", "image 1"]
    assert len(pairs) == 100_000


@pytest.mark.parametrize("tag", ["b", "p><a href=x", "table><tr><td", "svg", "font", "li", "noscript", "template"])
def test_deep_nesting_is_read(tag):
    _, found = extracted(packed(page(f"<{tag}>" * 30_000 + "<img src=a.jpg alt=x>"), page("<img src=b.jpg alt=y>")))
    assert found.pages["read"] >= 1


def test_pages_of_the_shared_crawl_agree_with_their_metadata(shared):
    for language in ("en", "de"):
        of_pages, of_metadata = (
            extracted((shared / "data" / "crawl" / f"gimp-help-{language}.{kind}.gz").read_bytes(), kind)[0]
            for kind in ("warc", "wat")
        )
        named = [
            {(p["url"], p["text"], p["text_source"], p["page_url"]) for p in pairs} for pairs in (of_pages, of_metadata)
        ]
        assert named[0] == named[1]
        assert len(named[0]) > 1700
