"""Which URLs, hosts and addresses are of the public internet."""

import ipaddress
import re
import urllib.error
from collections.abc import Iterable
from urllib.parse import quote, urlsplit, urlunsplit

# What inet_aton takes for an address besides four decimal numbers: 2130706433, 0x7f.1, 0177.0.0.1.
_ODD_NUMBERS = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+))*\.?", re.IGNORECASE)
_AS_IT_IS = "%/:=&?~#+!$,;'@()*[]|"
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.ip_network("64:ff9b:1::/48")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Refused(urllib.error.URLError):
    """A request or an answer that the guard does not let through; its ``reason`` is a word for the statistics."""


def check_url(url: str) -> None:
    """Raises ``Refused`` for a URL that is not of HTTP or HTTPS, or has a user, or strange characters in its host."""
    if re.search(r"[\t\r\n]", url):  # urlsplit leaves these out, and others may not
        raise Refused("bad_url")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Refused("bad_url") from None
    if parts.scheme.lower() not in ("http", "https"):
        raise Refused("refused_scheme")
    if not parts.hostname or port == 0 or "@" in parts.netloc or re.search(r"[\x00-\x20\x7f\\]", parts.netloc):
        raise Refused("bad_url")
    check_host(parts.hostname)


def quoted(url: str) -> str:
    """The URL with the spaces, control characters and other letters of its path and query as percent signs."""
    scheme, netloc, path, query, _ = urlsplit(url)
    return urlunsplit((scheme, netloc, quote(path, safe=_AS_IT_IS), quote(query, safe=_AS_IT_IS), ""))


def check_host(host: str) -> None:
    """Raises ``Refused`` for a host that is a number in another form than four decimal ones, or an IPv6 address."""
    try:
        ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        if _ODD_NUMBERS.fullmatch(host):
            raise Refused("refused_address") from None


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet."""
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback
        or address.is_link_local or (address.version == 6 and (address.is_site_local or address in _LOCAL_NAT64))
    )  # fmt: skip


def embedded(address: Address) -> Iterable[Address]:
    """The IPv4 addresses that an IPv6 address stands for: mapped, compatible, 6to4, Teredo, NAT64."""
    if address.version == 4:
        return []
    low = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64 or int(address) >> 32 == 0:
        found.append(low)
    return [one for one in found if one is not None]
