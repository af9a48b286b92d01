"""What was taken out of a set: that nothing of it is there."""

from collections.abc import Callable, Iterator

from pipeline.buckets.files import read_file
from pipeline.tombstones.rows import forbidden
from pipeline.tombstones.table import Stored
from pipeline.verify.opened import Opened


def removed(found: Opened) -> Stored | None:
    """The tombstones of a set; None where nothing was taken out."""
    return Stored.of(found.output)


def check_removed(found: Opened, table: str, advance: Callable[[int], None]) -> Iterator[str]:
    """The first pair of a table that a tombstone forbids."""
    tombstones = removed(found).loaded()
    for path in found.of_table(table):
        for batch in read_file(found.path(path), ["pair_id", "url", "text"]):
            hit = forbidden(tombstones, batch.column("url"), batch.column("text"), ids=batch.column("pair_id"))
            if hit.any():
                yield f"{path}: pair {batch.column('pair_id')[int(hit.argmax())]} is there, which was taken out"
                return
            advance(batch.num_rows)
