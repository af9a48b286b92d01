"""What a host says of use by programs: ``robots.txt`` (RFC 9309), ``/.well-known/tdmrep.json`` (TDM Reservation
Protocol), and the headers of an answer.

The two files are asked for once a host and shard, through the guard. A host that has none has said nothing; of what is
cut short or no HTTP the lines that can be read hold. A ``robots.txt`` that cannot be had because the host fails forbids
all, as RFC 9309 wants it, until it can.
"""

import string
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import orjson
from protego import Protego

from pipeline import robots
from pipeline.images.addresses import Refused, Target

ROBOTS, RESERVATIONS = "/robots.txt", "/.well-known/tdmrep.json"
ROBOTS_BYTES = 500 * 1024  # that are read of a robots.txt (RFC 9309, section 2.5)
RESERVATION_BYTES, RESERVATION_RULES = 1 << 20, 1000
# Why a robots.txt is not there where the image would not be either.
_LOST = ("dns", "connection", "timeout", "too_slow", "certificate", "tls")


@dataclass(frozen=True)
class _Said:
    """What a host said: its robots.txt, or why that could not be had, and the rules of its tdmrep.json."""

    robots: Protego | Refused
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
        if isinstance(said.robots, Refused):
            raise Refused(said.robots.reason, said.robots.detail, said.robots.retry_after)
        return said.robots.can_fetch(target.url, self.agent) and not reserved(target.path, said.reservations)

    def _robots(self, origin: str) -> Protego | Refused:
        try:
            content = self.ask(origin + ROBOTS, ROBOTS_BYTES)
        except Refused as refusal:
            word = str(refusal.reason)
            if word in _LOST:
                return refusal
            if word == "http_429" or word.startswith("http_5"):
                return Refused("robots_unreachable", word, refusal.retry_after)
            content = b""  # Not there, a redirect to nowhere, or nothing that can be read.
        return Protego.parse(content.decode("utf-8-sig", "replace"))

    def _reservations(self, origin: str) -> list[tuple[str, bool]]:
        try:
            content = self.ask(origin + RESERVATIONS, RESERVATION_BYTES + 1)
        except Refused:
            return []
        return read_reservations(content)


def read_reservations(content: bytes) -> list[tuple[str, bool]]:
    """The rules of a tdmrep.json: location in one spelling, and whether it is reserved. What is no list says nothing.

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
    return [(_normal(rule["location"]), rule.get("tdm-reservation") in (1, "1")) for rule in rules]


def reserved(path: str, rules: list[tuple[str, bool]]) -> bool:
    """Whether the first rule whose location fits the path reserves it."""
    path = _normal(path)
    return next((is_reserved for location, is_reserved in rules if fits(path, location)), False)


def _normal(path: str) -> str:
    """One spelling of a path, whatever of it was percent-encoded."""
    return quote(unquote_to_bytes(path), safe=string.punctuation.replace("%", ""))


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
    if any(value.strip() == "1" for value in headers.get_all("tdm-reservation", [])):
        return True
    return any(robots.directives(value, agent) & set(directives) for value in headers.get_all("X-Robots-Tag", []))
