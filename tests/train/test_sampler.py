"""The order of samples: every sample once an epoch, mixed, and the same from wherever it is asked for."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.train.loader import chunk_ranges
from pipeline.train.sampler import Sampler, uniforms

COUNTS = st.lists(st.integers(0, 9), min_size=1, max_size=7).filter(any)


def all_samples(counts):
    return {(shard, row) for shard, count in enumerate(counts) for row in range(count)}


@settings(deadline=None)
@given(counts=COUNTS, seed=st.integers(0, 99), window=st.integers(1, 8))
def test_each_epoch_has_each_sample_once(counts, seed, window):
    sampler, size = Sampler(counts, seed, window), sum(counts)
    for epoch in range(3):
        found = sampler.samples(epoch * size, (epoch + 1) * size)
        assert len(found) == size
        assert set(map(tuple, found.tolist())) == all_samples(counts)


@settings(deadline=None)
@given(counts=COUNTS, seed=st.integers(0, 99), window=st.integers(1, 8), cuts=st.lists(st.integers(1, 40), max_size=5))
def test_the_stream_is_the_same_from_any_place(counts, seed, window, cuts):
    whole = Sampler(counts, seed, window).samples(0, 60)
    positions = sorted({0, 60, *cuts})
    for start, end in zip(positions, positions[1:], strict=False):
        fresh = pickle.loads(pickle.dumps(Sampler(counts, seed, window)))
        assert (fresh.samples(start, end) == whole[start:end]).all()


def test_epochs_and_seeds_differ_and_samples_are_mixed():
    counts = [50] * 20
    sampler = Sampler(counts, 0, 5)
    first, second = sampler.samples(0, 1000), sampler.samples(1000, 2000)
    assert (first != second).any()
    assert (Sampler(counts, 1, 5).samples(0, 1000) != first).any()
    assert all(len(set(window[:, 0].tolist())) == 5 for window in np.split(first, 4))
    assert len(set(first[:25, 0].tolist())) > 3


@settings(deadline=None)
@given(counts=COUNTS, window=st.integers(1, 4), seed=st.integers(0, 20))
def test_only_the_samples_of_an_epoch_take_part(counts, window, seed):
    def keep(epoch, shard):
        return uniforms(seed, 5, np.arange(counts[shard]) + 100 * shard + 10_000 * epoch, 1)[:, 0] < 0.7

    sampler, start = Sampler(counts, seed, window, keep), 0
    for epoch in range(3):
        want = {(s, r) for s in range(len(counts)) for r in np.flatnonzero(keep(epoch, s))}
        if not want:
            with pytest.raises(PipelineError, match=f"epoch {epoch} has no samples"):
                sampler.window_start(start)
            return
        found = sampler.samples(start, start + len(want))
        assert set(map(tuple, found.tolist())) == want
        start += len(want)


def test_what_an_epoch_leaves_out_is_counted_as_it_is_reached():
    """Neither the first batch nor that after a resume in epoch 3 looks at more shards than its own windows have."""
    counts, seen = [8] * 40, []

    def keep(epoch, shard):
        seen.append((epoch, shard))
        return uniforms(0, 5, np.arange(8) + 100 * shard + 10_000 * epoch, 1)[:, 0] < 0.6

    sampler = Sampler(counts, 0, 4, keep)
    first = sampler.samples(0, 8)
    assert len(seen) == 4
    whole = sampler.samples(0, 800)
    assert (whole[:8] == first).all()
    mark = sampler.window_start(700)
    assert mark.epoch == 3
    seen.clear()
    fresh = Sampler(counts, 0, 4, keep, tuple(mark))
    assert (fresh.samples(700, 708) == whole[700:708]).all()
    assert {epoch for epoch, _ in seen} == {3}
    assert len(seen) <= 8
    assert (fresh.samples(690, 800) == whole[690:]).all()  # what stands before the mark is still found


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_processes_share_each_batch(ranks):
    per_rank = [list(chunk_ranges(3, 6, 512, rank, ranks)) for rank in range(ranks)]
    positions = [sorted(p for part in parts for p in range(*part)) for parts in per_rank]
    assert sorted(position for part in positions for position in part) == list(range(3 * 512, 6 * 512))
    for rank, parts in enumerate(per_rank):
        assert all((start // (512 // ranks)) % ranks == rank for start, _ in parts)


def test_uniforms_are_uniform_and_apart():
    draws = uniforms(7, 1, np.arange(20_000), 2)
    assert draws.shape == (20_000, 2)
    assert 0 <= draws.min() < 0.001
    assert 0.999 < draws.max() < 1
    assert abs(draws.mean() - 0.5) < 0.01
    assert abs(np.corrcoef(draws.T)[0, 1]) < 0.03
    assert abs(np.corrcoef(draws[:, 0], uniforms(7, 2, np.arange(20_000), 2)[:, 0])[0, 1]) < 0.03
    assert (uniforms(7, 1, np.arange(5, 9), 2) == draws[5:9]).all()


@settings(deadline=None, max_examples=60)
@given(counts=COUNTS, seed=st.integers(0, 99), window=st.integers(1, 8), batch=st.integers(1, 30), keeps=st.booleans())
def test_no_sample_is_twice_in_a_batch(counts, seed, window, batch, keeps):
    """The fault: where a batch reached into the next epoch, it had samples of the end of the one before."""

    def keep(epoch, shard):
        return uniforms(seed, 5, np.arange(counts[shard]) + 100 * shard + 10_000 * epoch, 1)[:, 0] < 0.8

    size, keep = sum(counts), keep if keeps else None
    sizes = [sum(keep(e, s).sum() for s in range(len(counts))) if keeps else size for e in range(8)]
    if min(sizes) < batch:
        return
    sampler = Sampler(counts, seed, window, keep, batch=batch)
    whole = sampler.samples(0, sum(sizes))
    for start in range(0, len(whole) - batch + 1, batch):
        assert len(set(map(tuple, whole[start : start + batch].tolist()))) == batch
    for epoch, end in enumerate(np.cumsum(sizes)):
        want = {
            (s, r) for s in range(len(counts)) for r in (np.flatnonzero(keep(epoch, s)) if keeps else range(counts[s]))
        }
        assert set(map(tuple, whole[end - sizes[epoch] : end].tolist())) == want
    # From any step on, also by what is known of the step before, it is the same.
    for start in (batch, 2 * batch, len(whole) // 2 // batch * batch):
        mark = sampler.window_start(max(0, start - 1))
        for fresh in (
            Sampler(counts, seed, window, keep, batch=batch),
            Sampler(counts, seed, window, keep, mark, batch),
        ):
            fresh = fresh if keeps else pickle.loads(pickle.dumps(fresh))
            assert (fresh.samples(start, len(whole)) == whole[start:]).all()


@settings(deadline=None)
@given(counts=COUNTS, seed=st.integers(0, 99), window=st.integers(1, 8), batch=st.integers(1, 30))
def test_no_replacement_is_in_the_batch_or_another_slots(counts, seed, window, batch):
    """The fault: another sample of the window took a slot, be it in the batch already."""
    if sum(counts) < batch:
        return
    sampler = Sampler(counts, seed, window, batch=batch)
    for first in (0, batch, 3 * batch):
        there = [tuple(sample) for sample in sampler.samples(first, first + batch).tolist()]
        others = [
            tuple(s) for p in range(first, first + batch) for s in np.array(list(sampler.replacements(p))).tolist()
        ]
        assert len(set(others)) == len(others) == sum(counts) - batch
        assert not set(others) & set(there)


def test_epochs_that_are_smaller_than_a_batch_are_refused():
    sampler = Sampler([20, 20], 0, 1, lambda epoch, shard: np.arange(20) < 8, batch=17)
    with pytest.raises(PipelineError, match="epoch 0 has 16 samples, by their probability; batch 17 needs as many"):
        sampler.samples(0, 17)
