"""What a host says of use by programs: ``robots.txt`` (RFC 9309), ``/.well-known/tdmrep.json`` (TDM Reservation
Protocol), and the headers of an answer.

The two files are asked for once a host and process, through the guard, and kept. A host that has none has said nothing.
A ``robots.txt`` that cannot be had because the host fails forbids all, as RFC 9309 wants it, until it can.
"""

import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import orjson
from protego import Protego

from pipeline.images.addresses import Refused, Target

ROBOTS, RESERVATIONS = "/robots.txt", "/.well-known/tdmrep.json"
ROBOTS_BYTES = 500 * 1024  # that are read of a robots.txt (RFC 9309, section 2.5)
RESERVATION_BYTES, RESERVATION_RULES = 1 << 20, 1000
# What X-Robots-Tag may say, some of it with a value after a colon: none of these is an agent.
DIRECTIVES = {"all", "none", "noindex", "nofollow", "noarchive", "nocache", "nosnippet", "notranslate", "noimageindex",
              "indexifembedded", "noai", "noimageai", "unavailable_after", "max-snippet", "max-image-preview",
              "max-video-preview"}  # fmt: skip


@dataclass(frozen=True)
class _Said:
    """What a host said: its robots.txt (None: it could not be had), and the rules of its tdmrep.json."""

    robots: Protego | None
    reservations: list[tuple[str, bool]]


class Consent:
    """Whether hosts let their URLs be used."""

    def __init__(self, ask: Callable[[str, int], bytes], agent: str | None):
        """``ask`` gives the first bytes of a URL, so many; ``agent``: the token that robots.txt may name."""
        self.ask, self.agent = ask, agent or "*"
        self.said: dict[str, Future[_Said]] = {}
        self.lock = threading.Lock()

    def allows(self, target: Target) -> bool:
        """Whether the URL's host lets it be used. Raises ``Refused`` where it cannot be told for now.

        Of the threads that want to know, the first asks, with no lock held, and the others wait for it.
        """
        mine: Future[_Said] = Future()
        with self.lock:
            found = self.said.setdefault(target.origin, mine)
        if found is mine:
            try:
                mine.set_result(_Said(self._robots(target.origin), self._reservations(target.origin)))
            except BaseException as error:
                mine.set_exception(error)
                raise
        said = found.result()
        if said.robots is None:
            raise Refused("robots_unreachable")
        return said.robots.can_fetch(target.url, self.agent) and not reserved(target.path, said.reservations)

    def _robots(self, origin: str) -> Protego | None:
        try:
            content = self.ask(origin + ROBOTS, ROBOTS_BYTES)
        except Refused as refusal:
            # Not there, whatever 4xx says so, and a redirect to nowhere: nothing said. The rest is a host that fails.
            nothing = refusal.reason in _NOTHING or str(refusal.reason).startswith(("http_3", "http_4"))
            content = b"" if nothing and refusal.reason != "http_429" else None
        return None if content is None else Protego.parse(content.decode("utf-8-sig", "replace"))

    def _reservations(self, origin: str) -> list[tuple[str, bool]]:
        try:
            content = self.ask(origin + RESERVATIONS, RESERVATION_BYTES + 1)
        except Refused:
            return []
        return read_reservations(content)


_NOTHING = ("too_many_redirects", "refused_scheme", "refused_address", "bad_url")


def read_reservations(content: bytes) -> list[tuple[str, bool]]:
    """The rules of a tdmrep.json: location, and whether it is reserved. What is no list of rules says nothing.

    A list that is longer than anybody reads (1 MB, 1,000 rules) reserves all: what it says cannot be told.
    """
    everything = [("/", True)]
    if len(content) > RESERVATION_BYTES:
        return everything if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[") else []
    try:
        found = orjson.loads(content.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        return []
    if not isinstance(found, list):
        return []
    rules = [rule for rule in found if isinstance(rule, dict) and isinstance(rule.get("location"), str)]
    if len(rules) > RESERVATION_RULES:
        return everything
    return [(rule["location"], rule.get("tdm-reservation") in (1, "1")) for rule in rules]


def reserved(path: str, rules: list[tuple[str, bool]]) -> bool:
    """Whether the first rule whose location fits the path reserves it."""
    return next((is_reserved for location, is_reserved in rules if fits(path, location)), False)


def fits(path: str, location: str) -> bool:
    """Whether a location stands for a path: ``*`` is any characters, a last ``$`` the end; linear in both."""
    ends = location.endswith("$")
    first, *others = location.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    if not others:
        return not ends or path == first
    at, last = len(first), others.pop()
    for part in others:
        at = path.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return path.endswith(last) and len(path) - len(last) >= at if ends else path.find(last, at) >= 0


def opted_out(headers: Any, directives: Collection[str], agent: str | None) -> bool:
    """Whether an answer asks not to be used: ``X-Robots-Tag`` directives, or the header ``tdm-reservation: 1``."""
    if (headers.get("tdm-reservation") or "").strip() == "1":
        return True
    return any(_named(value, agent) & set(directives) for value in headers.get_all("X-Robots-Tag", []))


def _named(value: str, agent: str | None) -> set[str]:
    """The directives of one ``X-Robots-Tag`` for the agent: they are for all, or for the name that comes first."""
    first, colon, rest = value.partition(":")
    name = first.strip().lower()
    if colon and "," not in name and name not in DIRECTIVES:
        if name != (agent or "").strip().lower():
            return set()
        value = rest
    named = {directive.partition(":")[0].strip().lower() for directive in value.split(",")}
    return named | {"noindex", "nofollow"} if "none" in named else named
