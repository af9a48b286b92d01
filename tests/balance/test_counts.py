from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.balance.counts import EntryCounter, ListCounts, flat_ids

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
@given(batches=st.lists(rows, max_size=4), cut=st.integers(0, 3))
def test_counts_are_those_of_a_counter(batches, cut):
    counter = EntryCounter(SIZES)
    want: Counter = Counter()
    pairs: Counter = Counter()
    for batch in batches:
        lists, entries = arrays(batch)
        counter.add(lists[cut:], entries[cut:])
        for name, ids in batch[cut:]:
            pairs[name] += 1
            want.update((name, i) for i in ids)
    found = ListCounts.of(SIZES, pa.Table.from_batches([counter.result()]))
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
