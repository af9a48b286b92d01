import io
import shutil

import numpy as np
import pyarrow as pa
from PIL import Image

from pipeline.balance.counts import ListCounts
from pipeline.balance.size import WhatIf
from pipeline.report import what_if
from pipeline.report.distribution import distribution
from pipeline.report.drawing import start_drawing
from pipeline.report.plots import distribution_plot, what_if_plot


def counts(en, zh):
    found = ListCounts({"en": len(en), "zh": len(zh)})
    found.of_list("en")[:] = en
    found.of_list("zh")[:] = zh
    return found


LISTS = {"en": pa.array(["cat", "dog $", "fox"]), "zh": pa.array(["猫", "狗"])}


def test_distribution():
    figures = distribution(
        counts([5, 9, 0], [7, 0]), counts([4, 8, 0], [7, 0]), counts([2, 3, 0], [1, 0]), LISTS, {"en": 3.0, "zh": 1.0}
    )
    assert (figures["list"], figures["ranks"], figures["matched"], figures["head"]) == ("en", [1, 2], 2, 2)
    assert figures["pool"] == [9, 5]
    assert figures["deduped"] == [8, 4]
    assert figures["curated"] == [3, 2]
    assert figures["heads"] == [
        {"entry": "dog $", "pool": 9, "deduped": 8, "curated": 3},
        {"entry": "cat", "pool": 5, "deduped": 4, "curated": 2},
    ]
    assert Image.open(io.BytesIO(distribution_plot(figures, "x"))).size[0] > 800


def test_plots_of_nothing():
    nothing = counts([0, 0, 0], [0, 0])
    figures = distribution(nothing, nothing, nothing, LISTS, {"en": 1.0, "zh": 1.0})
    assert figures["heads"] == []
    assert distribution_plot(figures, "x") == distribution_plot(figures, "x")


def test_what_if_takes_dead_links_off():
    lines = what_if.figures([WhatIf(float(t), 100.0 * t, 0.1 * t, 9 - t, {"en": float(t)}) for t in (1, 2, 3)], 0.25)
    assert [line["fetched"] for line in lines] == [75, 150, 225]
    assert what_if.table(lines, 0.25).row_count == 3
    assert what_if_plot(lines, 0.25).startswith(b"\x89PNG")
    assert np.isclose(lines[2]["tail_share"], 0.3)


def test_a_process_of_its_own_draws_the_same(monkeypatch):
    """Also where there is no such process, and where it fails."""
    pool = counts([5, 9, 0], [7, 0])
    figures = distribution(pool, pool, counts([2, 3, 0], [1, 0]), LISTS, {"en": 3.0, "zh": 1.0})
    want = distribution_plot(figures, "x")
    assert start_drawing(figures, "x")() == want
    for command in ("/no/such/python", "false"):
        monkeypatch.setattr("sys.executable", shutil.which(command) or command)
        assert start_drawing(figures, "x")() == want
