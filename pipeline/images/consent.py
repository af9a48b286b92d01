"""What a host says of use by programs: ``robots.txt`` (RFC 9309) and ``/.well-known/tdmrep.json`` (TDM reservation).

Both are asked for once a host and process, through the guard, and kept. A host that has none, or does not answer, has
said nothing; a ``robots.txt`` that is forbidden forbids all.
"""

import json
import re
import threading
import urllib.error
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from urllib.robotparser import RobotFileParser

SAYINGS = ("/robots.txt", "/.well-known/tdmrep.json")
MOST_BYTES = 500 * 1024  # of what is read of a robots.txt, as RFC 9309 says


class Consent:
    """Whether hosts let their URLs be used."""

    def __init__(self, ask: Callable[[str], bytes], agent: str | None):
        """``ask`` gives the body of a URL; ``agent``: the token that robots.txt may name."""
        self.ask, self.agent = ask, agent or "*"
        self.known: dict[str, tuple[RobotFileParser, list[dict[str, Any]]]] = {}
        self.locks: dict[str, threading.Lock] = {}
        self.lock = threading.Lock()

    def allows(self, url: str) -> bool:
        """Whether the URL's host lets it be used."""
        parts = urlsplit(url)
        host = f"{parts.scheme}://{parts.netloc}"
        with self.lock:
            lock = self.locks.setdefault(host, threading.Lock())
        with lock:
            if host not in self.known:
                self.known[host] = self._robots(host), self._reservations(host)
        robots, reservations = self.known[host]
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        return robots.can_fetch(self.agent, url) and not reserved(path, reservations)

    def _robots(self, host: str) -> RobotFileParser:
        robots = RobotFileParser()
        lines: list[str] = []
        try:
            lines = self.ask(host + SAYINGS[0])[:MOST_BYTES].decode("utf-8", "replace").splitlines()
        except urllib.error.HTTPError as error:
            robots.disallow_all = error.code in (401, 403)
        except (OSError, ValueError):
            pass
        robots.parse(lines)
        return robots

    def _reservations(self, host: str) -> list[dict[str, Any]]:
        try:
            found = json.loads(self.ask(host + SAYINGS[1]))
        except (OSError, ValueError):
            return []
        return [rule for rule in found if isinstance(rule, dict)] if isinstance(found, list) else []


def reserved(path: str, rules: list[dict[str, Any]]) -> bool:
    """Whether the first rule of a tdmrep.json whose ``location`` fits the path reserves it (``*`` and a last ``$``)."""
    for rule in rules:
        pattern = re.escape(str(rule.get("location", ""))).replace(r"\*", ".*")
        pattern = pattern.removesuffix(r"\$") + ("$" if pattern.endswith(r"\$") else "")
        if re.match(pattern, path):
            return rule.get("tdm-reservation") in (1, "1")
    return False
