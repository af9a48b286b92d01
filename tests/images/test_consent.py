"""What hosts say of robots and of text and data mining is followed, and asked for once."""

import json

import pytest

from pipeline.images.addresses import Refused
from pipeline.images.consent import reserved
from pipeline.images.guard import Guard, Limits

from .site import Handler, Site, jpeg


class Said(Site):
    """A site with a robots.txt and a tdmrep.json."""

    def __init__(self, robots=None, reservations=None, status=200):
        self.said = {"/robots.txt": robots, "/.well-known/tdmrep.json": reservations}
        self.status = status
        super().__init__()
        self.RequestHandlerClass = Speaking


class Speaking(Handler):
    def do_GET(self):
        said = self.server.said.get(self.path)
        if said is None:
            return super().do_GET()
        self.server.asked[self.path] += 1
        return self._answer(said.encode(), self.server.status)


def allowed(site, path, agent=None):
    guard = Guard(Limits(allow_networks=("127.0.0.0/8",), ask_hosts=True, agent_token=agent))
    try:
        with guard.open(f"{site.url}{path}", timeout=2) as answer:
            return answer.read() == jpeg(1)
    except Refused as refusal:
        return {"opted_out": False}[refusal.reason]


def test_robots():
    with Said("User-agent: *\nDisallow: /good/\nAllow: /\n\nUser-agent: ours\nDisallow:\n") as site:
        assert not allowed(site, "/good/1.jpg")
        assert allowed(site, "/good/1.jpg", "ours")
        assert site.asked["/good/1.jpg"] == 1
        site.shutdown()


@pytest.mark.parametrize(("status", "want"), [(403, False), (401, False), (404, True), (500, True)])
def test_a_robots_txt_that_is_not_there(status, want):
    with Said("no", status=status) as site:
        assert allowed(site, "/good/1.jpg") is want
        site.shutdown()


def test_reservations():
    rules = [{"location": "/good/2*", "tdm-reservation": 0}, {"location": "/good/", "tdm-reservation": 1}]
    with Said(reservations=json.dumps(rules)) as site:
        assert not allowed(site, "/good/1.jpg")
        assert site.asked["/good/1.jpg"] == 0
        site.shutdown()
    with Said(reservations="{not json") as site:
        assert allowed(site, "/good/1.jpg")
        site.shutdown()


def test_hosts_are_asked_once():
    guard = Guard(Limits(allow_networks=("127.0.0.0/8",), ask_hosts=True))
    with Said("User-agent: *\nAllow: /\n") as site:
        for number in range(5):
            guard.open(f"{site.url}/good/{number}.jpg", timeout=2).read()
        assert site.asked["/robots.txt"] == 1
        assert site.asked["/.well-known/tdmrep.json"] == 1
        site.shutdown()


def test_where_a_redirect_leads_is_asked_too():
    with Said("User-agent: *\nDisallow: /\n") as closed, Site() as site:
        assert not allowed(site, f"/to?url={closed.url}/good/1.jpg")
        assert closed.asked["/good/1.jpg"] == 0
        closed.shutdown()
        site.shutdown()


def test_locations():
    rules = [{"location": "/a/*.jpg$", "tdm-reservation": 1}, {"location": "/b", "tdm-reservation": "1"}, {"x": 1}]
    assert reserved("/a/b/c.jpg", rules)
    assert not reserved("/a/b/c.jpg?x", rules)
    assert reserved("/b/anything", rules)
    assert not reserved("/c", [{"location": "/c", "tdm-reservation": 0}, {"location": "/", "tdm-reservation": 1}])
    assert not reserved("/d", [])
