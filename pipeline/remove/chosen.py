"""Which of the pairs that go were not drawn as another text of their image was chosen (``texts_per_image: one``)."""

import numpy as np

from pipeline.balance.texts.ids import smallest_of_image
from pipeline.buckets.keys import among
from pipeline.remove.counts import of_pairs
from pipeline.remove.place import ID, Place, as_ids, in_threads, union


def other_texts(place: Place, gone: dict[str, np.ndarray], removed_by_dedupe: np.ndarray) -> int:
    """How many of the pairs of ``matched`` that go were such texts; ``removed_by_dedupe``: those that were no more."""
    ids = np.setdiff1d(np.setdiff1d(gone["matched"], removed_by_dedupe), gone["curated"])
    if not len(ids):
        return 0
    images = union([as_ids(of_pairs(place, "matched", ids, "image_id"))], ID)

    def look(path: str) -> tuple[np.ndarray, np.ndarray]:
        found, of_image = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for batch in place.rows(path, ["pair_id", "image_id"]):
            names = as_ids(batch.column("image_id"))
            hit = among(names, images)
            found.append(batch.column("pair_id").to_numpy()[hit])
            of_image.append(np.searchsorted(images, names[hit]))
        return np.concatenate(found), np.concatenate(of_image)

    parts = in_threads(look, place.files("matched"))
    pairs, numbers = (np.concatenate(part) for part in zip(*parts, strict=True))
    left = ~among(pairs, _removed(place))
    chosen = smallest_of_image(numbers[left], np.zeros(int(left.sum()), np.int64), pairs[left], place.recipe.seed)
    return int((~np.isin(ids, chosen)).sum())


def _removed(place: Place) -> np.ndarray:
    """The pairs that near-duplicates took the place of, ascending."""
    parts = [
        batch.column("pair_id").to_numpy()[~batch.column("kept").to_numpy(zero_copy_only=False)]
        for path in place.files("clusters")
        for batch in place.rows(path, ["pair_id", "kept"])
    ]
    return union(parts, np.int64)
