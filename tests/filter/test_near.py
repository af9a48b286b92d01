"""Hashes within a Hamming distance against comparing all with all."""

import numpy as np
import pytest

from pipeline.filter.duplicates.near import Known, masks, near_pairs


def hashes_with_neighbours(seed, count=2000, most=8):
    rng = np.random.default_rng(seed)
    first = rng.integers(-(2**63), 2**63, count, dtype=np.int64)
    others = first[: count // 4].copy().view(np.uint64)
    for i in range(len(others)):
        for bit in rng.choice(64, rng.integers(0, most), replace=False):
            others[i] ^= np.uint64(1) << np.uint64(bit)
    return np.unique(np.concatenate([first, others.view(np.int64)]))


def brute(hashes, distance):
    bits = hashes.view(np.uint64)
    return {
        (int(hashes[i]), int(hashes[i + 1 + j]))
        for i in range(len(bits))
        for j in np.flatnonzero(np.bitwise_count(bits[i] ^ bits[i + 1 :]) <= distance)
    }


@pytest.mark.parametrize("distance", [1, 3, 4, 8])
@pytest.mark.parametrize("count", [1, 10**6, 10**12])
def test_every_near_pair_shares_a_mask(distance, count):
    hashes = hashes_with_neighbours(distance, 1000)
    found = set()
    for mask in masks(distance, count):
        keys = hashes.view(np.uint64) & mask
        order = np.argsort(keys, kind="stable")
        a, b = near_pairs(keys[order], hashes[order], distance)
        found |= {tuple(sorted(pair)) for pair in zip(a.tolist(), b.tolist(), strict=True)}
    assert found == brute(hashes, distance)


def test_more_hashes_are_joined_on_more_bits():
    few, many = masks(4, 1000), masks(4, 10**10)
    assert len(few) == 5
    assert len(many) == 70
    assert min(np.bitwise_count(many)) == 32
    assert len(masks(0, 10**10)) == 1


@pytest.mark.parametrize("distance", [0, 2, 5])
def test_known_hashes(distance):
    hashes = hashes_with_neighbours(9)
    known, others = hashes[::2], hashes[1::2]
    want = [(np.bitwise_count(known.view(np.uint64) ^ x) <= distance).any() for x in others.view(np.uint64)]
    assert Known(known, distance).near(others).tolist() == want
    assert not Known(np.zeros(0, np.int64), distance).near(others).any()
