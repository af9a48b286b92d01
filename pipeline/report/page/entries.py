"""The entries for the page's search box, packed: as many as a page may carry, the rest in files beside it.

A pack is gzip of the names, one a line, and of whole numbers as eight planes of bytes each (all first bytes, then all
second ones, …), which compresses several times better than the numbers as they are: count, kept, probability in
millionths.
"""

import base64
import gzip
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.report.page.source import Entries

IN_FILE = 400_000  # entries in a file beside the page
FIRST_TRY = 700_000
LEVEL = 6  # of gzip; 9 takes thrice the time for a hundredth
MILLION = 1_000_000


@dataclass(frozen=True)
class Pack:
    """Entries as text for a page: how many of each list, in the order of the pack, and base64 of the pack."""

    lists: list[tuple[str, int]]
    text: str
    flat: np.ndarray  # where each is among all entries

    @property
    def facts(self) -> dict:
        """What the page needs to read it."""
        return {"lists": [list(one) for one in self.lists], "entries": len(self.flat)}


def pack_entries(entries: Entries, room: int) -> tuple[Pack, np.ndarray]:
    """A pack of at most ``room`` characters of the entries with most matches; the flat indices of the matched rest."""
    order = np.argsort(-entries.count, kind="stable")[: int((entries.count > 0).sum())]
    take = min(len(order), FIRST_TRY)
    while True:
        found = pack(entries, np.sort(order[:take]))
        if len(found.text) <= room or not take:
            return found, np.sort(order[take:])
        take = min(take - 1, int(take * room / len(found.text) * 0.98))


def pack(entries: Entries, flat: np.ndarray) -> Pack:
    """A pack of some entries, by ascending flat index; no text where there are none."""
    if not len(flat):
        return Pack([], "", flat)
    names = pc.replace_substring(entries.names.take(pa.array(flat)), "\n", " ")
    of_list = np.bincount(entries.list_numbers[flat], minlength=len(entries.sizes))
    lists = [(name, int(number)) for name, number in zip(entries.sizes, of_list, strict=True) if number]
    text = "\n".join(names.to_pylist()).encode("utf-8", "replace") + b"\n"
    numbers = (np.round(entries.count[flat]), entries.kept[flat], np.round(entries.probability[flat] * MILLION))
    content = text + b"".join(map(planes, numbers))
    packed = gzip.compress(len(text).to_bytes(4, "little") + content, LEVEL, mtime=0)
    return Pack(lists, base64.b64encode(packed).decode(), flat)


def planes(numbers: np.ndarray) -> bytes:
    """Whole numbers as eight planes of bytes, the lowest first."""
    return numbers.astype("<u8").view(np.uint8).reshape(-1, 8).T.tobytes()


def side_packs(entries: Entries, flat: np.ndarray) -> Iterator[Pack]:
    """The packs of the files beside the page, list after list."""
    for start in range(0, len(flat), IN_FILE):
        yield pack(entries, flat[start : start + IN_FILE])
