"""Whether something that is not there was taken out: asked of the tombstones, which say when."""

from typing import Any

import pyarrow as pa

from pipeline.remove.told import removals
from pipeline.tombstones.table import Lookup, Stored
from pipeline.tombstones.values import HOST, URL, hosts, without_first_label


def taken_out(output: str, values: dict[str, Any]) -> dict[str, Any] | None:
    """The kind of the tombstone of one of some values by kind, and when it was made; None where there is none.

    Tombstones that follow from others come last: they say of a pair_id that it went, not by which kind.
    """
    stored = Stored.of(output)
    if stored is None:
        return None
    tombstones = stored.loaded()
    asked = [(kind, pa.array([str(value)])) for kind, value in values.items()]
    if URL in values:
        asked += [(HOST, host) for host in _hosts(str(values[URL]))]
    for lookups in (tombstones.asked, tombstones.all):
        for kind, value in asked:
            if kind in lookups and (line := _removal(lookups[kind], value)) is not None:
                told = removals(output)
                return {"by": kind, "when": told[line]["when"] if line < len(told) else None}
    return None


def _removal(lookup: Lookup, value: pa.Array) -> int | None:
    place = lookup.places(value)[0]
    return int(lookup.removals[place]) if place >= 0 else None


def _hosts(url: str) -> list[pa.Array]:
    """The host of a URL, and those above it."""
    found, name = [], hosts(pa.array([url]))
    while name[0].as_py():
        found.append(name)
        name = without_first_label(name)
    return found
