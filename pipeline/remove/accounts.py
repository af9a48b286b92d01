"""The records of the stages as they are once something is gone: rows in = out + dropped, as before.

Of a pair that a stage had dropped it must be known why, as it is taken off the rows of that reason. Where tables do not
tell (``pipeline.explain`` says where), that is the reason with most rows: the sum is right, the split may not be.
"""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.balance.draw import NOT_DRAWN, OTHER_TEXT, OVER_CAP
from pipeline.images.fetch import SUCCESS
from pipeline.recipe import pairs_table
from pipeline.record import Record
from pipeline.remove.chosen import other_texts
from pipeline.remove.counts import list_sizes, of_pairs
from pipeline.remove.listed import Listed, statuses
from pipeline.remove.place import BY_IMAGE, Place, as_ids, read_table
from pipeline.tombstones.values import REMOVED

DUPLICATE, NEAR_DUPLICATE, NO_LIST, NO_MATCH = "duplicate", "near_duplicate", "no_entry_list", "no_match"
OTHER_LIST = "other"
HOSTS = 20  # in the notes of `images`
TAKEN_OUT = "taken_out"  # in the notes of `dedupe`, as in `pipeline.run`
WITHOUT_LIST = "without_list"  # in the notes of `match`


def records_anew(
    place: Place, listed: Listed, removed_by_dedupe: np.ndarray, extracted: dict[str, int]
) -> dict[str, Record]:
    """The records of the stages whose rows change, by name. ``removed_by_dedupe``: of the pairs that go those that
    ``clusters`` had removed; ``extracted``: the rows that go of the store, by file."""
    change = _Change(place, listed, removed_by_dedupe, sum(extracted.values()))
    return {name: found for name, record in place.records.items() if (found := change.of(record)) != record}


class _Change:
    """What goes of each stage's rows."""

    def __init__(self, place: Place, listed: Listed, removed_by_dedupe: np.ndarray, extracted: int):
        self.place, self.listed, self.extracted = place, listed, extracted
        self.deduped, self.gone = removed_by_dedupe, listed.of_table

    def of(self, record: Record) -> Record:
        """The record of a stage without them."""
        change = getattr(self, f"_{record.stage}", None)
        return record if change is None else change(record)

    def _extract(self, record: Record) -> Record:
        rows = self.extracted
        return _less(record, 0, rows, Counter({REMOVED: -rows}))

    def _ingest(self, record: Record) -> Record:
        """Each row of the input that was one of the pairs is dropped now; those of a crawl are gone before."""
        ids = self.gone["pairs"]
        if not len(ids):
            return _less(record, self.extracted, 0, Counter())
        rows = pc.sum(of_pairs(self.place, "pairs", ids, "copies")).as_py() or 0
        repeats = Counter({DUPLICATE: rows - len(ids)})
        if "extract" in self.place.records:
            return _less(record, self.extracted, len(ids), repeats)
        return _less(record, 0, len(ids), repeats, removed=rows)

    def _match(self, record: Record) -> Record:
        missed = np.setdiff1d(self.gone["pairs"], self.gone["matched"])
        why: Counter = Counter()
        without_list = Counter(record.notes.get(WITHOUT_LIST, {}))
        if len(missed):
            lists, language = list_sizes(self.place), self.place.recipe.language
            languages = of_pairs(self.place, "pairs", missed, "language").to_pylist()
            any_list = language.identify == "none" or language.match_first or OTHER_LIST in lists
            why = Counter(NO_MATCH if any_list or code in lists else NO_LIST for code in languages)
            if why[NO_LIST]:
                without_list.subtract("null" if code is None else code for code in languages if code not in lists)
        found = _less(record, *self._rows("pairs", "matched"), why)
        notes = {name: rows for name, rows in without_list.items() if rows > 0}
        return replace(found, notes=record.notes | {WITHOUT_LIST: notes}) if why[NO_LIST] else found

    def _dedupe(self, record: Record) -> Record:
        rows, gone = len(self.gone["matched"]), len(self.deduped)
        found = _less(record, rows, rows - gone, Counter({NEAR_DUPLICATE: gone}))
        taken = record.notes.get(TAKEN_OUT, 0) + rows
        return replace(found, notes=record.notes | {TAKEN_OUT: taken}) if rows else found

    def _balance(self, record: Record) -> Record:
        rows = len(self.gone["matched"]) - len(self.deduped)
        left = len(self.gone["curated"])
        options = self.place.recipe.balance
        others = other_texts(self.place, self.gone, self.deduped) if options.texts_per_image == "one" else 0
        missed = OVER_CAP if options.mode == "cap" else NOT_DRAWN
        return _less(record, rows, left, Counter({OTHER_TEXT: others, missed: rows - left - others}))

    def _images(self, record: Record) -> Record:
        failed, came = statuses(self.listed)
        found = _less(record, came + failed.total(), came, failed)
        if found == record:
            return record
        return replace(found, notes=record.notes | {"failures_by_host": self._failures()})

    def _filter(self, record: Record) -> Record:
        missed = np.setdiff1d(self.gone["curated"], self.gone["filtered"])
        return _less(record, *self._rows("curated", "filtered"), self._why_of_images("curated", missed))

    def _rebalance(self, record: Record) -> Record:
        rows, left = self._rows("filtered", "final")
        return _less(record, rows, left, Counter({NOT_DRAWN: rows - left}))

    def _shards(self, record: Record) -> Record:
        table = pairs_table(self.place.recipe)
        samples = [np.zeros(0, np.int64), *self.listed.samples.values()]
        missed = np.setdiff1d(self.gone[table], np.concatenate(samples))
        rows, left = len(self.gone[table]), sum(map(len, samples))
        return _less(record, rows, left, self._why_of_images(table, missed))

    def _rows(self, before: str, after: str) -> tuple[int, int]:
        return len(self.gone[before]), len(self.gone[after])

    def _why_of_images(self, table: str, ids: np.ndarray) -> Counter:
        """Pairs of a table by why their image was dropped, as far as the tables of images say it."""
        if not len(ids):
            return Counter()
        images = as_ids(of_pairs(self.place, table, ids, "image_id"))
        wanted, why = pa.array(np.unique(images).astype(str), pa.string()), {}
        for of_images, column in zip(BY_IMAGE, ("status", "dropped"), strict=True):
            for path in self.place.files(of_images):
                rows = read_table(self.place.path(path), ["image_id", column])
                rows = rows.filter(pc.is_in(rows["image_id"], value_set=wanted)).to_pylist()
                why |= {row["image_id"]: row[column] for row in rows if row[column] not in (None, SUCCESS)}
        return Counter(why[image] for image in images.astype(str).tolist() if image in why)

    def _failures(self) -> list[dict[str, Any]]:
        """The hosts with most failures among the images that stay."""
        asked, failed = Counter(), Counter()
        gone = set(self.listed.images["images"]["image_id"].to_pylist())
        host = r"^[A-Za-z]+://(?P<host>[^/:?#]*)"
        for path in self.place.files("images"):
            rows = read_table(self.place.path(path), ["image_id", "url", "status"])
            names = pc.struct_field(pc.extract_regex(rows["url"], host), "host")
            names = pc.utf8_lower(pc.fill_null(names, "")).to_pylist()
            for image, name, status in zip(
                rows["image_id"].to_pylist(), names, rows["status"].to_pylist(), strict=True
            ):
                if image not in gone:
                    asked[name] += 1
                    failed[name] += status != SUCCESS
        most = sorted((name for name in failed if failed[name]), key=lambda name: (-failed[name], name))[:HOSTS]
        return [{"host": name, "images": asked[name], "failed": failed[name]} for name in most]


def _less(record: Record, rows_in: int, rows_out: int, why: Counter, removed: int = 0) -> Record:
    """A record with so many rows fewer; those that had been dropped by ``why``, as far as that says it.

    ``removed``: rows that are dropped now.
    """
    dropped = Counter(record.dropped)
    dropped[REMOVED] += removed
    left = rows_in - rows_out + removed
    for reason, rows in why.items():
        taken = rows if rows < 0 else min(rows, dropped[reason], left)
        dropped[reason] -= taken
        left -= taken
    for reason, rows in sorted(dropped.items(), key=lambda line: (line[0] == REMOVED, -line[1], line[0])):
        taken = max(0, min(left, rows))
        dropped[reason] -= taken
        left -= taken
    counts = {reason: rows for reason, rows in sorted(dropped.items()) if rows}
    if rows_in == rows_out == removed == 0 and not why:
        return record
    return replace(record, rows_in=record.rows_in - rows_in, rows_out=record.rows_out - rows_out, dropped=counts)
