"""What was found in a crawl file, or in a part of one: counts that add up."""

import json
from collections import Counter
from dataclasses import dataclass, field

# What becomes of the record of a page.
READ, OPTED_OUT, NO_IMAGES, NO_PAGE, NO_PAGE_URL = "read", "opted_out", "without_images", "not_html", "no_page_url"
NO_SUCCESS, BAD_JSON, BAD_CODING, TOO_LARGE = "no_success", "bad_json", "bad_coding", "too_large"
TOO_SLOW, CRASHED = "too_slow", "crashed"


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
