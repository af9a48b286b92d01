"""What hosts say of robots and of text and data mining is followed, and asked for once, however it is said."""

import http.client
import json
import random
import re
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("ada_url")

from pipeline.images.addresses import Refused
from pipeline.images.consent import RESERVATION_RULES, fits, opted_out, read_reservations, reserved
from pipeline.images.guard import Guard, Limits

from .site import Handler, Site, certificate, jpeg

TDMREP = "/.well-known/tdmrep.json"


class Said(Site):
    """A site with a robots.txt and a tdmrep.json: their content, or a whole answer where it begins with HTTP."""

    def __init__(self, robots=None, reservations=None, status=200, secure=False):
        self.said = {"/robots.txt": robots, TDMREP: reservations}
        self.status = status
        super().__init__(secure=secure)
        self.RequestHandlerClass = Speaking


class Speaking(Handler):
    def do_GET(self):
        said = self.server.said.get(self.path)
        if said is None:
            return super().do_GET()
        self.server.asked[self.path] += 1
        said = said.encode() if isinstance(said, str) else said
        if said.startswith((b"HTTP/", b"GARBAGE")):
            self.wfile.write(said)
            return None
        return self._answer(said, self.server.status)


def outcome(site, path="/good/1.jpg", agent=None, guard=None):
    limits = Limits(allow_networks=("127.0.0.0/8",), ask_hosts=True, agent_token=agent, most_seconds=3)
    guard = guard or Guard(limits)
    if site.secure:
        guard.tls.load_verify_locations(certificate())
    try:
        with guard.open(f"{site.url}{path}", timeout=2) as answer:
            return "success" if answer.read() == jpeg(1) else "another answer"
    except Refused as refusal:
        return refusal.reason


YES, NO = "success", "opted_out"


@pytest.mark.parametrize(
    ("robots", "agent", "want"),
    [
        ("User-agent: *\nDisallow: /good/\nAllow: /\n\nUser-agent: ours\nDisallow:\n", None, NO),
        ("User-agent: *\nDisallow: /good/\nAllow: /\n\nUser-agent: ours\nDisallow:\n", "ours", YES),
        (b"\xef\xbb\xbfUser-agent: *\r\nDisallow: /", None, NO),
        ("user-agent : *\rdisallow : /good", None, NO),
        ("User-agent: *\nDisallow: /*.jpg$", None, NO),
        ("User-agent: *\nDisallow: /*.jpg?$", None, YES),
        ("User-agent: *\nDisallow: /g*1", None, NO),
        ("User-agent: *\nDisallow: /good/2", None, YES),
        ("User-agent: *\nDisallow: /good\nAllow: /good/1", None, YES),
        ("User-agent: *\nAllow: /good/1\nDisallow: /good/1.jpg", None, NO),
        ("User-agent: *\nDisallow: /good/1.jpg\nAllow: /good/1.jpg", None, YES),
        ("User-agent: theirs\nUser-agent: ours\nDisallow: /\n\nUser-agent: *\nAllow: /", "ours", NO),
        ("User-agent: theirs\nUser-agent: ours\nDisallow: /\n\nUser-agent: *\nAllow: /", None, YES),
        ("User-agent: ours\nAllow: /a\n\nUser-agent: ours\nDisallow: /good", "ours", NO),
        ("User-agent: theirs\nDisallow: /", "ours", YES),
        ("User-agent: *\nDisallow: /%67ood/", None, NO),
        ("User-agent: *\nDisallow:\n", None, YES),
        ("", None, YES),
        ("<html><body>Disallow: / is not for us</body></html>", None, YES),
        (bytes(range(256)) * 50, None, YES),
        ("User-agent: *\nDisallow: /\n" + "# filler\n" * 400_000, None, NO),
        ("# filler\n" * 400_000 + "User-agent: *\nDisallow: /\n", None, YES),
    ],
)  # fmt: skip
def test_robots(robots, agent, want):
    with Said(robots) as site:
        assert outcome(site, agent=agent) == want
        assert site.asked["/good/1.jpg"] == (want == YES)
        site.shutdown()


@pytest.mark.parametrize(
    ("said", "want"),
    [
        *((f"HTTP/1.0 {status} No\r\n\r\nUser-agent: *\nDisallow: /", YES) for status in (400, 401, 403, 404, 410, 451, 304)),
        *((f"HTTP/1.0 {status} No\r\n\r\n", "robots_unreachable") for status in (429, 500, 502, 503)),
        ("GARBAGE\r\n\r\n", YES), ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\ncut", YES),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", YES),
        ("HTTP/1.0 200 OK\r\nContent-Length: 99\r\n\r\nUser-agent: *\nDisallow: /", NO),
        ("HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\nnot packed", YES),
        ("HTTP/1.0 302 Found\r\nLocation: /\r\n\r\n", YES), ("HTTP/1.0 301 Moved\r\nLocation: /404.html\r\n\r\n", YES),
        ("HTTP/1.0 302 Found\r\nLocation: /robots.txt\r\n\r\n", YES), ("HTTP/1.0 302 Found\r\n\r\n", YES),
        ("HTTP/1.0 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n", YES), ("HTTP/1.0 302 Found\r\nLocation: http://10.0.0.1/\r\n\r\n", YES),
        ("HTTP/1.0 308 Moved\r\nLocation: /status/500\r\n\r\n", "robots_unreachable"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("file", ["robots", "reservations"])
def test_one_decision_a_host_whatever_it_answers(file, said, want):
    """A robots.txt that the host fails to give forbids all for now (RFC 9309), and what of it can be read holds.

    A tdmrep.json says nothing in either case.
    """
    with Said(**{file: said}) as site:
        guard = Guard(Limits(allow_networks=("127.0.0.0/8",), ask_hosts=True, requests_per_host=1, most_seconds=3))
        words = {outcome(site, f"/good/1.jpg?{i}", guard=guard) for i in range(4)}
        assert words == {want if file == "robots" else YES}
        loop = 0 if "Location: /robots.txt" not in said else 5 if file == "robots" else 1
        assert site.asked["/robots.txt"] == 1 + loop
        site.shutdown()


def test_a_host_that_is_lost_keeps_the_reason():
    with Said(secure=True) as site:
        with pytest.raises(Refused, match="^certificate"):
            Guard(Limits(allow_networks=("127.0.0.0/8",), ask_hosts=True)).open(f"{site.url}/good/1.jpg", timeout=2)
        site.shutdown()
    with Said("HTTP/1.0 503 Busy\r\nRetry-After: 7\r\n\r\n") as site:
        with pytest.raises(Refused) as refusal:
            Guard(Limits(allow_networks=("127.0.0.0/8",), ask_hosts=True)).open(f"{site.url}/good/1.jpg", timeout=2)
        assert (refusal.value.reason, refusal.value.retry_after) == ("robots_unreachable", 7)
        site.shutdown()
    with pytest.raises(Refused, match="^dns"):
        Guard(Limits(ask_hosts=True)).open("http://nobody.invalid/1.jpg", timeout=2)


def test_hosts_that_are_slow_to_say_hold_nobody_long():
    """Each of a chain of redirects leads to another origin with a tdmrep.json that drips."""
    sites = [Said("", f"HTTP/1.0 302 Found\r\nLocation: /slow/{i}\r\n\r\n") for i in range(5)]
    url = f"{sites[0].url}/good/1.jpg"
    for site in sites[1:]:
        url = f"{site.url}/to?url={url}"
    started = time.monotonic()
    limits = Limits(allow_networks=("127.0.0.0/8",), ask_hosts=True, most_seconds=0.5)
    with pytest.raises(Refused, match="too_slow"):
        Guard(limits).open(url, timeout=2)
    assert time.monotonic() - started < 3
    for site in sites:
        site.shutdown()
        site.server_close()


@pytest.mark.parametrize("secure", [False, True])
def test_many_threads_ask_a_host_once_and_none_hangs(secure):
    moved = "HTTP/1.0 302 Found\r\nLocation: /404.html\r\n\r\n"
    with Said(moved, moved, secure=secure) as site:
        guard = Guard(Limits(allow_networks=("127.0.0.0/8",), ask_hosts=True, requests_per_host=2, most_seconds=5))
        words = []
        threads = [
            threading.Thread(target=lambda i=i: words.append(outcome(site, f"/good/1.jpg?{i}", guard=guard)))
            for i in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert words == [YES] * 16
        assert site.asked["/robots.txt"] == site.asked[TDMREP] == 1
        site.shutdown()


def test_where_a_redirect_leads_is_asked_too():
    with Said("User-agent: *\nDisallow: /\n") as closed, Site() as site:
        assert outcome(site, f"/to?url={closed.url}/good/1.jpg") == NO
        assert closed.asked["/good/1.jpg"] == 0
        closed.shutdown()
        site.shutdown()


def test_a_robots_txt_that_leads_to_another_host_holds():
    with Said("User-agent: *\nDisallow: /\n") as other:
        with Said(f"HTTP/1.0 301 Moved\r\nLocation: {other.url}/robots.txt\r\n\r\n") as site:
            assert outcome(site) == NO
            site.shutdown()
        other.shutdown()


@pytest.mark.parametrize(
    ("content", "want"),
    [
        (json.dumps([{"location": "/good/2*", "tdm-reservation": 0}, {"location": "/good/", "tdm-reservation": 1}]), NO),
        (json.dumps([{"location": "/good/1*", "tdm-reservation": 0}, {"location": "/", "tdm-reservation": 1}]), YES),
        (b"\xef\xbb\xbf" + json.dumps([{"location": "/", "tdm-reservation": "1"}]).encode(), NO),
        (json.dumps([{"tdm-reservation": 0}, {"location": 7}, "x", {"location": "/", "tdm-reservation": 1}]), NO),
        (json.dumps([{"location": "/" + "*" * 25 + "!", "tdm-reservation": 1}] * 900), YES),
        (json.dumps([{"location": f"/{i}", "tdm-reservation": 0} for i in range(RESERVATION_RULES + 1)]), NO),
        (json.dumps([{"location": "/x" * 600_000, "tdm-reservation": 1}]), NO),
        ("<!doctype html>" + "x" * (2 << 20), YES), ("[" * 100_000, YES), ("{not json", YES), (b"\xff\xfe\x00", YES), ("{}", YES), ("", YES),
    ],
)  # fmt: skip
def test_reservations(content, want):
    started = time.monotonic()
    with Said(reservations=content) as site:
        assert outcome(site) == want
        assert site.asked["/good/1.jpg"] == (want == YES)
        site.shutdown()
    assert time.monotonic() - started < 4


def test_locations():
    rules = read_reservations(
        b'[{"location": "/a/*.jpg$", "tdm-reservation": 1}, {"location": "/b", "tdm-reservation": "1"}, {"x": 1}]'
    )
    assert reserved("/a/b/c.jpg", rules)
    assert not reserved("/a/b/c.jpg?x", rules)
    assert reserved("/b/anything", rules)
    assert not reserved("/c", [("/c", False), ("/", True)])
    assert not reserved("/d", [])
    for path, location in (
        ("/gr%C3%B6%C3%9Fe/a.jpg", "/größe/"),
        ("/a%7Eb/x", "/a~b/"),
        ("/a~b/x", "/a%7eb"),
        ("/%61", "/a$"),
        ("/a|b", "/a%7C*$"),
    ):
        assert reserved(path, read_reservations(json.dumps([{"location": location, "tdm-reservation": 1}]).encode()))


@given(st.text("ab/", max_size=12), st.text("ab/*$", max_size=8))
def test_locations_fit_as_the_pattern_says(path, location):
    pattern = "".join(".*" if c == "*" else re.escape(c) for c in location.removesuffix("$"))
    want = re.match(pattern + (r"\Z" if location.endswith("$") else ""), path, re.DOTALL)
    assert fits(path, location) == (want is not None)


def test_a_hostile_location_is_looked_at_in_linear_time():
    path = "/" + "".join(random.Random(0).choices("ab", k=100_000))
    started = time.monotonic()
    for location in ("/" + "*" * 100_000 + "!", "/" + "a*" * 50_000 + "!", "/" + "*a" * 50_000 + "!$"):
        assert not fits(path, location)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("values", "agent", "want"),
    [
        (["noai"], None, True), (["NOINDEX , nofollow"], None, True), (["noindex, max-image-preview:large"], None, True),
        (["max-image-preview:large, noindex"], None, True), (["max-image-preview: large"], None, False),
        (["noai, noimageai, unavailable_after: Wed, 21 Oct 2099 07:28:00 GMT"], None, True),
        (["unavailable_after: Wed, 21 Oct 2099 07:28:00 GMT, noimageai"], None, True), (["none"], None, True), (["all"], None, False),
        (["nofollow"], None, False), (["index", "noimageindex"], None, True), (["theirs: noai"], None, False), (["theirs: noai"], "ours", False),
        (["ours: noai"], "Ours", True), (["OURS : max-snippet: 5, none"], "ours", True), (["theirs: noai", "ours: nofollow, noindex"], "ours", True),
        (["theirs: noai, max-snippet:1"], "ours", False), (["noarchive: noai"], None, False), (["max-snippet:-1,noai"], "ours", True),
        ([""], None, False), ([":"], None, False), ([":noai"], None, True), (["noai:"], None, True), ([], None, False),
        (["theirs: noindex, ours: noai"], "ours", True), (["theirs: noindex, ours: noai"], None, False), (["*: noai"], None, True), (["*: noai"], "ours", True),
        (["noarchive, theirs: noai"], None, True), (["theirs: nofollow", "noai"], None, True),
    ],
)  # fmt: skip
def test_directives(values, agent, want):
    headers = http.client.HTTPMessage()
    for value in values:
        headers["X-Robots-Tag"] = value
    assert opted_out(headers, Limits().directives, agent) is want


def test_directives_of_an_answer():
    with Site() as site:
        for said in ("noindex, max-image-preview:large", "noai, noimageai, unavailable_after: x", "none"):
            assert outcome(site, f"/robots/x?said={said.replace(' ', '%20')}") == NO
        site.shutdown()
