"""Every file operation of a run fails once, and once for good; after each the same command gives the same bytes.

A point is COMMAND/MODE/NUMBER. One is replayed by ``FAULT_POINT=change/death/78 pytest -m slow tests/faults -k replay``;
``FAULT_STEP=5`` takes every fifth alone. What fails is said by ``shim.c``.
"""

import os
import random

import pytest

from tests.faults.cases import LONG
from tests.faults.points import MODES

STEP = int(os.environ.get("FAULT_STEP", "1"))
SAMPLED, SEED = 40, 20
PLAIN = ["new", "change", "match-change", "shrink", "credit", "store-new", "store-change", "bucket", "shard", "lists",
         "crawl", "fetch", "checkpoint"]  # fmt: skip
SPARK = {"ingest": 7, "match": 7, "dedupe": 13, "balance": 17, "shards": 29, "again": 23, "all": 61, "filter": 61,
         "rebalance": 23, "extract": 37, "images": 61}  # fmt: skip


def failing(faults, name, mode, step):
    """The points after which something is wrong; of each command and mode until no fault came."""
    number, wrong = 1, []
    while True:
        fired, found = faults.point(name, mode, number)
        if found:
            wrong.append(f"{name}/{mode}/{number}: {found}")
        if not fired:
            break
        number += step
    print(f"{name}/{mode}: {(number - 1) // step} points to {number - step}, {faults.again} states so far")
    return wrong


def test_a_sample_of_points(quick):
    chosen = random.Random(SEED)
    for _ in range(SAMPLED):
        name, mode = chosen.choice([name for name in PLAIN if name not in LONG]), chosen.choice(list(MODES))
        number = chosen.randint(1, quick.size(name, mode))
        fired, wrong = quick.point(name, mode, number)
        assert fired, f"{name}/{mode}/{number}"
        assert wrong is None, f"{name}/{mode}/{number}: {wrong}"


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", PLAIN)
def test_each_operation_around_stages(plain, name, mode):
    assert not failing(plain, name, mode, STEP * (4 if name in LONG else 1))


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", SPARK)
def test_operations_of_whole_stages(whole, name, mode):
    assert not failing(whole, name, mode, STEP * SPARK[name])


@pytest.mark.slow
@pytest.mark.skipif("FAULT_POINT" not in os.environ, reason="FAULT_POINT names no point")
def test_replay(request):
    name, mode, number = os.environ["FAULT_POINT"].rsplit("/", 2)
    faults = request.getfixturevalue("plain" if name in PLAIN else "whole")
    fired, wrong = faults.point(name, mode, int(number))
    assert fired
    assert wrong is None
