"""Which rows of a batch, and which images, tombstones forbid."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.buckets.hashing import pair_ids
from pipeline.tombstones.table import Lookup, Tombstones
from pipeline.tombstones.values import (
    HOST,
    IMAGE_ID,
    PAIR_ID,
    REMOVED,
    SHA256,
    TEXT,
    URL,
    hosts,
    image_ids,
    without_first_label,
)

Seen = Callable[[str, np.ndarray], None]


def forbidden(
    tombstones: Tombstones,
    urls: pa.Array,
    texts: pa.Array | None,
    seen: Seen | None = None,
    ids: pa.Array | None = None,
    images: pa.Array | None = None,
) -> np.ndarray:
    """Whether each pair, or image where there are no texts, is one that was taken out.

    ``seen`` is told which tombstones were hit: their kind and places. ``ids`` and ``images``: pair_ids and image_ids,
    where they are known.
    """
    found = np.zeros(len(urls), bool)
    for kind, lookup in tombstones.asked.items():
        if kind == HOST:
            places = _of_hosts(lookup, urls, seen)
        elif kind == URL:
            places = lookup.places(urls)
        elif kind == IMAGE_ID:
            places = lookup.places(image_ids(pc.fill_null(urls, "")) if images is None else images)
        elif kind == TEXT and texts is not None:
            places = lookup.places(texts)
        elif kind == PAIR_ID and texts is not None:
            if ids is None:
                ids = pa.array(pair_ids(pc.fill_null(urls, ""), pc.fill_null(texts, "")))
            places = lookup.places(ids.cast(pa.string()))
        else:
            continue
        hit = places >= 0
        found |= hit
        if seen is not None and hit.any():
            seen(kind, np.unique(places[hit]))
    return found


def _of_hosts(lookup: Lookup, urls: pa.Array, seen: Seen | None) -> np.ndarray:
    """A host's tombstone is of all hosts below it, too."""
    coded = hosts(urls).dictionary_encode()
    names, found = coded.dictionary, np.full(len(coded.dictionary), -1, np.int64)
    left = np.arange(len(names))
    while len(left):
        places = lookup.places(names)
        if seen is not None and (places >= 0).any():
            seen(HOST, np.unique(places[places >= 0]))
        found[left] = np.where(found[left] >= 0, found[left], places)
        names = without_first_label(names)
        more = pc.not_equal(names, "").to_numpy(zero_copy_only=False)
        names, left = names.filter(pa.array(more)), left[more]
    return found[coded.indices.to_numpy(zero_copy_only=False)] if len(found) else np.zeros(0, np.int64)


def mark_removed(rows: pa.RecordBatch, tombstones: Tombstones | None) -> pa.RecordBatch:
    """A batch whose kept rows have the reason ``removed`` in ``dropped`` where tombstones forbid them."""
    if tombstones is None or not rows.num_rows:
        return rows
    hit = forbidden(tombstones, rows.column("url"), rows.column("text"))
    hit &= rows.column("dropped").is_null().to_numpy(zero_copy_only=False)
    if not hit.any():
        return rows
    at = rows.schema.get_field_index("dropped")
    reasons = pc.if_else(pa.array(hit), REMOVED, rows.column("dropped"))
    return rows.set_column(at, rows.schema.field(at), reasons)


def forbidden_images(tombstones: Tombstones | None, sha256: list[str | None]) -> np.ndarray:
    """Whether each SHA-256 is that of an image that was taken out."""
    lookup = tombstones.asked.get(SHA256) if tombstones else None
    if lookup is None:
        return np.zeros(len(sha256), bool)
    return lookup.places(pa.array(sha256, pa.large_string())) >= 0
