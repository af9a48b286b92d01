import json

import pytest

from tests.extract.files import URL, extracted, image, metadata, packed, record, sources


def test_a_page_gives_its_images_with_their_texts():
    links = [
        image("/a.jpg", "a cat"),
        image("b.jpg", "a dog", title="the dog"),
        image("c.jpg", **{"data-image-title": "a fox"}),
        {"path": "A@/href", "url": "x.html", "text": "no image"},
        image("d.jpg"),
    ]
    head = {"Metas": [{"name": "HTML@/lang", "content": "en-GB"}]}
    pairs, found = extracted(packed(metadata(links, head)), "wat")
    assert [(p["url"], p["text"], p["text_source"]) for p in pairs] == [
        ("https://www.example.org/a.jpg", "a cat", "alt"),
        ("https://www.example.org/blog/post/b.jpg", "a dog", "alt"),
        ("https://www.example.org/blog/post/b.jpg", "the dog", "title"),
        ("https://www.example.org/blog/post/c.jpg", "a fox", "data-image-title"),
    ]
    assert {(p["page_url"], p["page_language"]) for p in pairs} == {(URL, "en-GB")}
    assert found.dropped == {"no_text": 1}
    assert found.relative == 4
    assert [p["text_source"] for p in extracted(packed(metadata(links)), "wat", text_sources=["title"])[0]] == ["title"]


def test_a_base_is_what_links_are_resolved_against():
    link = [image("a.jpg", "x")]
    for base, url in (
        ("/other/", "https://www.example.org/other/a.jpg"),
        ("https://b.example.org/x/y", "https://b.example.org/x/a.jpg"),
        (" ../up/ ", "https://www.example.org/blog/up/a.jpg"),
        ("http://[", "https://www.example.org/blog/post/a.jpg"),
    ):
        assert sources(metadata(link, {"Base": base}), "wat") == [(url, "x")]


@pytest.mark.parametrize(
    ("head", "headers", "reason"),
    [
        ({"Metas": [{"name": "ROBOTS", "content": "index, noai"}]}, {}, "opted_out_noai"),
        ({"Metas": [{"name": "robots", "content": "NoImageAI"}]}, {}, "opted_out_noimageai"),
        ({"Metas": [{"name": "robots", "content": "none"}]}, {}, "opted_out_noindex"),
        ({}, {"x-robots-tag": "noimageindex"}, "opted_out_noimageindex"),
        ({}, {"X-Robots-Tag": ["all", "noindex"]}, "opted_out_noindex"),
        ({}, {"TDM-Reservation": "1"}, "opted_out_tdm"),
        ({"Metas": [{"name": "tdm-reservation", "content": "1"}]}, {}, "opted_out_tdm"),
        ({"Metas": [{"name": "googlebot", "content": "noindex"}]}, {}, None),
        ({}, {"X-Robots-Tag": "googlebot: noindex", "TDM-Reservation": "0"}, None),
    ],
)
def test_opt_outs(head, headers, reason):
    content = metadata([image("a.jpg", "x")], head, headers)
    _, found = extracted(content, "wat")
    assert found.dropped == ({reason: 1} if reason else {})
    assert found.pages == {"opted_out" if reason else "read": 1}
    assert extracted(content, "wat", opt_outs=False)[1].pairs == 1


def test_a_page_without_a_url_does_not_take_that_of_the_page_before():
    link = [image("a.jpg", "x")]
    content = packed(
        metadata(link),
        metadata(link, url=None, record_url=None),
        metadata(link, url="http://a.example.org/\x01\n", record_url=None),
        metadata(link, url="dns:example.org", record_url=None),
    )
    pairs, found = extracted(content, "wat")
    assert [p["page_url"] for p in pairs] == [URL]
    assert found.pages == {"read": 1, "no_page_url": 3}
    assert extracted(metadata(link, url=None, record_url=URL), "wat")[0][0]["page_url"] == URL


ODD = [None, 1, 1.5, True, "text", [], ["x"], {}, {"x": 1}]


@pytest.mark.parametrize(
    "where", ["link", "url", "alt", "Links", "Metas", "meta", "content", "Head", "Headers", "Base", "tag"]
)
def test_odd_types_anywhere_cost_no_other_page(where):
    good = metadata([image("good.jpg", "good")])
    for odd in ODD:
        links, head, headers = (
            [image("a.jpg", "x")],
            {"Metas": [{"name": "robots", "content": "all"}]},
            {"Via": ["a", "b"]},
        )
        if where == "link":
            links.append(odd)
        elif where in ("url", "alt"):
            links[0][where] = odd
        elif where == "Links":
            links = {"Links": odd, "path": "IMG@/src"}
        elif where == "Metas":
            head["Metas"] = odd
        elif where == "meta":
            head["Metas"] = [odd]
        elif where == "content":
            head["Metas"][0]["content"] = odd
        elif where == "Head":
            head = odd
        elif where == "Headers":
            headers = odd
        elif where == "Base":
            head["Base"] = odd
        else:
            headers["X-Robots-Tag"] = odd
        pairs, found = extracted(packed(metadata(links, head, headers), good), "wat")
        assert pairs[-1]["text"] == "good"
        assert found.pages.total() == 2


def test_records_of_other_shapes_are_counted():
    image_json = metadata([image("a.jpg", "x")])
    content = packed(
        record("warcinfo", b"software: x\r\n", None),
        record("metadata", b'{"Envelope": {"Payload-Metadata": {}}}'),
        record("metadata", b'{"IMG@/src": '),
        record("metadata", b'[1, 2, "IMG@/src"]'),
        metadata([{"path": "A@/href", "url": "x"}]),
        image_json,
    )
    pairs, found = extracted(content, "wat")
    assert len(pairs) == 1
    assert found.records == 6
    assert found.pages == {"not_html": 1, "bad_json": 1, "without_images": 1, "read": 2}


def test_half_of_a_surrogate_pair_costs_its_sign_alone():
    content = json.dumps({"Envelope": {"Payload-Metadata": {"HTTP-Response-Metadata": {"HTML-Metadata": {"Links": [
        image("a.jpg", "XX cat"), image("b.jpg", "\U0001f408")]}}}}})  # fmt: skip
    content = content.replace("XX", "\\ud83d")
    assert [text for _, text in sources(record("metadata", content.encode()), "wat")] == ["? cat", "\U0001f408"]


def test_bytes_that_are_not_utf8_cost_their_sign_alone():
    content = metadata([image("a.jpg", "XX cat")]).replace(b"XX", b"\xff\xfe")
    assert [text for _, text in sources(content, "wat")] == ["\ufffd\ufffd cat"]
