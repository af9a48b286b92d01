"""Which URLs, hosts and addresses are of the public internet.

A URL is read once, by the rules that browsers follow (WHATWG URL, by the package ada-url): spaces around it, letters
of any script in host, path and query, numbers of every form in the place of an address. What is asked for is what was
read.
"""

import ipaddress
import re
import string
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.error import URLError
from urllib.parse import quote

import ada_url

_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
_LONGEST_HOST, _LONGEST_URL = 253, 1 << 14
_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Not public, or not by every version of the module ipaddress: protocols, relays of 6to4, documentation, translators,
# and the address by which Azure's machines reach their host.
_NOT_PUBLIC = [ipaddress.ip_network(text) for text in
               ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "3fff::/20", "64:ff9b:1::/48")]  # fmt: skip
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Refused(URLError):
    """A request that is not made, or an answer that is not taken; ``reason`` is a word for the statistics.

    As text it is the word, and after a colon what else is known. ``retry_after``: the seconds that a host asks to be
    left alone.
    """

    def __init__(self, reason: str, detail: str = "", retry_after: int | None = None):
        super().__init__(reason)
        self.detail, self.retry_after = detail, retry_after

    def __str__(self) -> str:
        waits = f"; retry after {self.retry_after} s" if self.retry_after is not None else ""
        return f"{self.reason}: {self.detail}{waits}" if self.detail or waits else str(self.reason)


@dataclass(frozen=True)
class Target:
    """A URL of HTTP or HTTPS in its parts: ``host`` is a name in ASCII or an address, ``path`` has the query too."""

    url: str
    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        """Scheme, host and port: what a robots.txt is for."""
        return f"{self.scheme}://{self.netloc}"

    @property
    def netloc(self) -> str:
        """The host, and the port where it is not the scheme's own: the header ``Host``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def read_url(url: str, base: str | None = None) -> Target:
    """A URL in its parts; relative to ``base`` where that is given, else ``//host/path`` is of HTTPS.

    Raises ``Refused``: ``refused_scheme`` for another scheme, ``bad_url`` for what is no URL, has a user, or a host
    that is neither a name nor an address.
    """
    url = url.strip()
    try:
        read = ada_url.URL(url, base=base or ("https://none.invalid/" if url.startswith("//") else None))
        scheme, host = read.protocol.removesuffix(":"), read.hostname
    except ValueError:
        raise Refused("bad_url") from None
    if scheme not in _PORTS:
        raise Refused("refused_scheme", scheme)
    port = int(read.port) if read.port else _PORTS[scheme]
    if read.username or read.password or port == 0 or not (host.startswith("[") or _is_name(host)):
        raise Refused("bad_url")
    if len(read.href) > _LONGEST_URL:
        raise Refused("bad_url", f"{len(read.href):,} characters")
    host = host.strip("[]")
    return Target(read.href, scheme, host, port, (read.pathname or "/") + read.search)


def read_location(location: str, base: Target) -> Target:
    """Where a redirect leads. Headers come as Latin-1 whatever they are; most are UTF-8."""
    return read_url(quote(location.strip(), safe=string.punctuation, encoding="latin-1"), base.url)


def _is_name(host: str) -> bool:
    """Whether a host has labels of letters, digits, hyphens and underscores; a final dot is the root."""
    labels = host.removesuffix(".").split(".")
    return len(host) <= _LONGEST_HOST and all(map(_LABEL.fullmatch, labels))


def check_address(text: str, allowed: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> None:
    """Raises ``Refused`` for an address that is not public, unless its network is allowed."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if any(address.version == network.version and address in network for network in allowed):
        return
    if not all(is_public(one) for one in [address, *embedded(address)]):
        raise Refused("refused_address", text)


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet."""
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback
        or address.is_link_local or (address.version == 6 and address.is_site_local)
        or any(address.version == network.version and address in network for network in _NOT_PUBLIC)
    )  # fmt: skip


def embedded(address: Address) -> Iterable[Address]:
    """The IPv4 addresses that an IPv6 address stands for: mapped, compatible, 6to4, Teredo, NAT64, ISATAP."""
    if address.version == 4:
        return []
    low = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64 or int(address) >> 32 == 0 or int(address) >> 32 & 0xFDFFFFFF == 0x5EFE:
        found.append(low)
    return [one for one in found if one is not None]
