"""Nothing but public HTTP is reached, whatever the URL, and answers are as long and as slow as they may be."""

import socket
import urllib.error
import urllib.request
from urllib.parse import quote

import pytest

pytest.importorskip("ada_url")

from pipeline.images.addresses import Refused, Target, read_location, read_url
from pipeline.images.guard import Guard, Limits

from .site import Site, jpeg

LOCAL = Limits(allow_networks=("127.0.0.0/8",), most_bytes=1_000_000, most_seconds=2.0)


@pytest.fixture(scope="module")
def site():
    with Site() as found:
        yield found
        found.shutdown()


@pytest.fixture
def canary():
    """A server that nobody may ask."""
    with Site() as found:
        yield found
        found.shutdown()


def local_forms():
    """Ways to write 127.0.0.1 and other addresses that are not public."""
    hosts = [
        "127.0.0.1", "127.1", "127.0.1", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "2130706433", "017700000001", "0", "0.0.0.0",
        "0x0", "127.0.0.1.", "localhost", "LOCALHOST", "localhost.", "127.255.255.254", "%31%32%37.0.0.1", "127。0。0。1",
        "１２７.0.0.1", "①②⑦.0.0.1", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]",
        "[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1]", "[fc00::1]",
        "[fd00::1]", "[ff02::1]", "[2001:0:7f00:1::]", "[64:ff9b:1::1]", "[fec0::1]", "10.0.0.1", "10.255.255.255",
        "192.0.0.8", "192.88.99.1", "168.63.129.16", "[3fff::1]", "[2a00::5efe:7f00:1]", "[2a00::200:5efe:7f00:1]", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255", "169.254.169.254", "169.254.0.1", "100.64.0.1",
        "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
        "255.255.255.255", "0xa.0.0.1", "012.0.0.1", "167772161", "0xac.0x10.0.1", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376",
    ]  # fmt: skip
    return hosts


def hostile_urls(port):
    for host in local_forms():
        for template in ("http://{h}:{p}/x", "https://{h}:{p}/x", "HTTP://{h}:{p}/"):
            yield template.format(h=host, p=port)
    yield from (
        f"http://user:pass@127.0.0.1:{port}/", f"http://example.com@127.0.0.1:{port}/", f"http://127.0.0.1:{port}\\@example.com/",
        f"http://127.0.0.1\t:{port}/", f"http:///127.0.0.1:{port}/", "http://", "http:", "", "x", f"//127.0.0.1:{port}/",
        "file:///etc/passwd", "FILE:///etc/passwd", "file://localhost/etc/passwd", "ftp://127.0.0.1/", f"gopher://127.0.0.1:{port}/_",
        "data:image/png;base64,AAAA", "javascript:1", "jar:http://x!/", "netdoc:///etc/passwd", "unix:///var/run/docker.sock",
        "dict://127.0.0.1:11211/", "ldap://127.0.0.1/", "http://[::1", "http://[x]/", f"http://127.0.0.1:{port}x/", "http://127.0.0.1:0/",
        "http://127.0.0.1:99999/", "s3://bucket/key", "local_file:///etc/passwd", "url:file:///etc/passwd", "http+unix://x/",
    )  # fmt: skip


def test_no_hostile_url_reaches_anything(canary):
    guard, urls = Guard(Limits(most_seconds=3.0)), list(hostile_urls(canary.server_port))
    assert len(urls) > 200
    for url in urls:
        with pytest.raises((Refused, urllib.error.URLError, ValueError, OSError)):
            guard.open(url, timeout=2).read()
    assert not canary.asked


def test_no_redirect_reaches_anything_hostile(canary):
    # The site that sends on is allowed, at an address of its own; where it sends to is not.
    guard = Guard(Limits(allow_networks=("127.0.0.2/32",), most_seconds=3.0))
    with Site("127.0.0.2") as site:
        assert guard.open(f"{site.url}/good/1.jpg", timeout=2).read() == jpeg(1)
        for target in hostile_urls(canary.server_port):
            if target in ("", "x"):
                continue  # these stay on the site
            with pytest.raises((Refused, urllib.error.URLError, ValueError, OSError)):
                guard.open(f"{site.url}/to?url={quote(target, safe='')}", timeout=2).read()
        assert sum(site.asked.values()) > 200
        site.shutdown()
    assert not canary.asked


def test_a_name_that_changes_is_connected_to_as_it_was_checked(canary, monkeypatch):
    """DNS rebinding: a resolver that gives a public address first and then a local one gains nothing."""
    answers = iter(["93.184.216.34", "127.0.0.1", "127.0.0.1"])
    tried = []

    def resolve(host, port, *_arguments, **_options):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    def connect(self, address):
        tried.append(address)
        raise ConnectionRefusedError("the test lets nothing out")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(urllib.error.URLError):
        Guard(Limits()).open(f"http://rebind.test:{canary.server_port}/", timeout=2)
    assert tried == [("93.184.216.34", canary.server_port)]
    with pytest.raises(urllib.error.URLError, match="refused_address"):
        Guard(Limits()).open(f"http://rebind.test:{canary.server_port}/", timeout=2)
    assert len(tried) == 1


def test_a_name_with_one_local_address_is_refused(monkeypatch):
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 80)) for ip in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_o: both)
    with pytest.raises(urllib.error.URLError, match="refused_address"):
        Guard(Limits()).open("http://two.test/", timeout=2)


def test_public_urls_pass():
    for url in (
        "http://example.com/a.jpg",
        "https://example.com:8443/ü?x=1#y",
        "http://93.184.216.34/",
        "http://[2606:4700::1111]/",
    ):
        read_url(url)


@pytest.mark.parametrize(
    ("url", "want"),
    [
        ("http://münchen.example/ä?ö#ü", ("http://xn--mnchen-3ya.example", "/%C3%A4?%C3%B6")),
        ("https://日本語.テスト:8443/", ("https://xn--wgv71a119e.xn--zckzah:8443", "/")),
        ("http://BÜCHER.example.", ("http://xn--bcher-kva.example.", "/")),
        ("http://faß.de/", ("http://xn--fa-hia.de", "/")),
        ("http://💩.la/x", ("http://xn--ls8h.la", "/x")),
        ("  http://a.example/b c  \n", ("http://a.example", "/b%20c")),
        ("//host.example/x", ("https://host.example", "/x")),
        ("HTTP://A.Example:80/", ("http://a.example", "/")),
        ("http://my_host.example/", ("http://my_host.example", "/")),
        ("http://a.example/[1]|{2}?q=a b\"", ("http://a.example", "/[1]|%7B2%7D?q=a%20b%22")),
        ("http://a.example/../b/./c%20d%zz", ("http://a.example", "/b/c%20d%zz")),
        ("http://[2606:4700::1111]:81/", ("http://[2606:4700::1111]:81", "/")),
        *((url, "bad_url") for url in (
            "http://a..b/", "http://.a.example/", "http://a b/", "http://a%2fb/", "http://" + "a" * 64 + ".example/",
            "http://" + "a." * 127 + "example/", "http://a,b/", "http://a!b.example/", "http://\u200d/", "x", "", "/x", "http://", "http:///",
            "not a url", "http://a:b/", "http://u@a.example/", "http://xn--\u00fc/", "http://\ud800/", "://x", "http://*.example/")),
        *((url, "refused_scheme") for url in ("file:///etc/passwd", "ftp://a.example/", "data:,x", "s3://a/b", "javascript:1")),
    ],
)  # fmt: skip
def test_urls_are_read_as_browsers_read_them(url, want):
    if isinstance(want, str):
        with pytest.raises(Refused) as refusal:
            read_url(url)
        assert refusal.value.reason == want
    else:
        found = read_url(url)
        assert (found.origin, found.path) == want


def test_redirects_are_read_whatever_their_letters_come_as():
    base = Target("http://a.example/b/c", "http", "a.example", 80, "/b/c")
    for sent, want in (
        ("http://münchen.example/ü".encode(), "http://xn--mnchen-3ya.example/%C3%BC"),
        ("/ü".encode("latin-1"), "http://a.example/%FC"), (b" d e ", "http://a.example/b/d%20e"),
        (b"//x.example", "http://x.example/"), (b"?q", "http://a.example/b/c?q"), (b"%41", "http://a.example/b/%41"),
    ):  # fmt: skip
        assert read_location(sent.decode("latin-1"), base).url == want


def test_spaces_and_letters_in_a_path_are_quoted(site):
    assert Guard(LOCAL).open(f"{site.url}/good/7.jpg?name=ein Hund ü", timeout=2).read() == jpeg(7)
    assert "/good/7.jpg?name=ein%20Hund%20%C3%BC" in site.asked


def test_an_allowed_network_is_let_through(site):
    assert Guard(LOCAL).open(f"{site.url}/good/3.jpg", timeout=2).read() == jpeg(3)
    assert Guard(LOCAL).open(f"{site.url}/to?url=/good/3.jpg", timeout=2).read() == jpeg(3)


def test_installed_it_serves_urlopen(site):
    request = urllib.request.Request(f"{site.url}/good/5.jpg", headers={"User-Agent": "x"})
    with Guard(LOCAL).installed():
        with urllib.request.urlopen(request, timeout=2) as answer:
            assert answer.read() == jpeg(5)
        with pytest.raises(Refused):
            urllib.request.urlopen("file:///etc/passwd", timeout=2)
    assert urllib.request.urlopen.__module__ == "urllib.request"
