"""Tombstones that follow from what was found: images by their bytes, and ids of all that goes, for `explain`."""

import pyarrow as pa

from pipeline.remove.find import Concerned
from pipeline.tombstones.table import Salt
from pipeline.tombstones.values import IMAGE_ID, PAIR_ID

PART = 1 << 20


def tombs_of(found: Concerned, salt: Salt, removal: int) -> list[pa.Table]:
    """An image that was found by its bytes does not come back by its URL either. The others say to `explain` alone
    that a pair or image was taken out."""
    tables = [salt.made(IMAGE_ID, pa.array(found.by_sha256.astype(str), pa.string()), removal)]
    tables += [
        salt.made(IMAGE_ID, pa.array(found.images[at : at + PART].astype(str), pa.string()), removal, implied=True)
        for at in range(0, len(found.images), PART)
    ]
    tables += [
        salt.made(PAIR_ID, pa.array(found.pairs[at : at + PART]).cast(pa.string()), removal, implied=True)
        for at in range(0, len(found.pairs), PART)
    ]
    return tables
