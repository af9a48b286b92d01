from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.balance.counts import EntryCounter, ListCounts, flat_ids
from pipeline.buckets.blocks import rows_of
from pipeline.buckets.totals import Totals

SIZES = {"a": 5, "b": 40, "c": 3}
rows = st.lists(
    st.sampled_from(sorted(SIZES)).flatmap(
        lambda name: st.tuples(st.just(name), st.sets(st.integers(0, SIZES[name] - 1), max_size=5).map(sorted))
    ),
    max_size=30,
)


def arrays(batch):
    lists, entries = zip(*batch, strict=True) if batch else ((), ())
    return pa.array(lists, pa.string()), pa.array(entries, pa.list_(pa.int32()))


@settings(deadline=None)
@given(batches=st.lists(rows, max_size=4), cut=st.integers(0, 3), tasks=st.integers(1, 3), weighted=st.booleans())
def test_counts_are_those_of_a_counter(batches, cut, tasks, weighted):
    """Through ``Totals``, as tasks put them together, and through the table that a stage leaves behind."""
    counters = [EntryCounter(SIZES) for _ in range(tasks)]
    want: Counter = Counter()
    pairs: Counter = Counter()
    for number, batch in enumerate(batches):
        lists, entries = arrays(batch)
        weights = [1 + 7 * row % 5 for row in range(len(batch[cut:]))] if weighted else [1] * len(batch[cut:])
        given = np.array(weights, np.int64) if weighted else None
        counters[number % tasks].add(lists[cut:], entries[cut:], given)
        for (name, ids), weight in zip(batch[cut:], weights, strict=True):
            pairs[name] += weight
            for i in ids:
                want[name, i] += weight
    total = Totals()
    for counter in counters:
        of_task = Totals()
        counter.add_to(of_task, ListCounts(SIZES).starts)
        for sent in of_task.blocks():
            for row in range(sent.num_rows):
                total.add(sent["part"][row].as_py(), rows_of(sent, row))
    found = ListCounts.of_totals(SIZES, total)
    again = ListCounts.of(SIZES, found.as_table())
    assert (again.counts.tolist(), again.pairs) == (found.counts.tolist(), found.pairs)
    assert found.counts.dtype == np.int64
    nothing = found.less(again)
    assert not nothing.counts.any()
    assert not any(nothing.pairs.values())
    assert found.pairs == {name: pairs[name] for name in SIZES}
    for name in SIZES:
        assert found.of_list(name).tolist() == [want[name, i] for i in range(SIZES[name])]
    assert found.entry_at(4) == ("a", 4)
    assert found.entry_at(5) == ("b", 0)
    assert found.entry_at(47) == ("c", 2)


@given(batch=rows, cut=st.integers(0, 3))
def test_flat_ids(batch, cut):
    lists, entries = arrays(batch)
    starts = ListCounts(SIZES).starts
    ids, offsets = flat_ids(lists[cut:], entries[cut:], starts)
    rest = batch[cut:]
    assert [ids[a:b].tolist() for a, b in zip(offsets, offsets[1:], strict=False)] == [
        [starts[name] + i for i in entry_ids] for name, entry_ids in rest
    ]
    assert ids.dtype == np.int64 or len(ids) == 0


def test_few_matches_of_a_large_list():
    """They are held as ids, of 32 bits in the table, and become places in all lists together."""
    sizes = {"a": 2_000_000, "b": 3_000_000}
    counter, found = EntryCounter(sizes), Totals()
    for _ in range(2):
        counter.add(pa.array(["b", "a"]), pa.array([[0, 2_999_999], [1_999_999]], pa.list_(pa.int32())))
    counter.add_to(found, ListCounts(sizes).starts)
    [(_, numbers)] = [(sent["part"][0].as_py(), sent) for sent in found.blocks()][1:]
    assert len({target.as_py() for target in numbers["target"]}) == 2
    assert [array.tolist() for array in found.together()] == [[1_999_999, 2_000_000, 4_999_999], [2, 2, 2]]
    assert ListCounts.of_totals(sizes, found).pairs == {"a": 2, "b": 2}
