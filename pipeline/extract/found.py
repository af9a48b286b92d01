"""What was found in a crawl file, or in a part of one: counts that add up."""

import json
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Found:
    """Counts of records and of links, and why reading ended early.

    ``pages``: records of pages by what became of them, ``read`` for those that were read; all other ``records`` are of
    no page. ``links``: an image and a text, or an image without one; each is a pair or in ``dropped`` by reason.
    ``relative``: pairs whose URL was relative. ``damage``: what stopped the reading of the file, None at its end.
    """

    records: int = 0
    links: int = 0
    pairs: int = 0
    relative: int = 0
    pages: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    damage: str | None = None

    def add(self, other: "Found") -> None:
        """Takes in what was found in another part."""
        self.records += other.records
        self.links += other.links
        self.pairs += other.pairs
        self.relative += other.relative
        self.pages.update(other.pages)
        self.dropped.update(other.dropped)
        self.damage = other.damage or self.damage

    def told(self) -> str:
        """As JSON."""
        return json.dumps(vars(self), sort_keys=True, ensure_ascii=False)

    @classmethod
    def of(cls, told: str) -> "Found":
        """From JSON."""
        values = json.loads(told)
        counted = {name: Counter(values[name]) for name in ("pages", "dropped")}
        return cls(**values | counted)
