"""What a comparison found: equal compute, sizes, what sets have in common, measures, the page."""

from dataclasses import replace
from html import escape

import pytest

from pipeline.compare.figures import check_compute, in_common, measures, spread, training_seconds
from pipeline.compare.page import page
from pipeline.compare.plots import plots
from pipeline.compare.runs import check_sizes
from pipeline.compare.table import overlap_table, rows_of, table
from pipeline.errors import PipelineError, UsageError
from pipeline.progress import results
from tests.compare.written import write_run, write_set


def test_trainings_of_other_compute_are_refused(comparison, tmp_path):
    comparison = replace(comparison, training=("steps=4", "batch=100"))
    recipe = comparison.train_recipe("seed=2", "data.shards=[x]", "tokenizer.path=y", "log.every=1")
    good = write_run(tmp_path / "good", recipe, 4, 100)
    check_compute(comparison, {"a": [good]})
    assert training_seconds(good) == pytest.approx(8.0)
    shorter = write_run(tmp_path / "shorter", recipe, 3, 100)
    other = write_run(tmp_path / "other", comparison.train_recipe("optimizer.lr=0.1"), 4, 100)
    for run in (shorter, other):
        with pytest.raises(PipelineError, match=f"{run}: was trained with other compute"):
            check_compute(comparison, {"a": [good], "b": [run]})


def test_sets_and_what_they_have_in_common(comparison, tmp_path):
    sets = {
        "a": write_set(tmp_path / "a", [5, -1, 2, 9]),
        "b": write_set(tmp_path / "b", [2, 7]),
        "c": write_set(tmp_path / "c", []),
    }
    assert in_common(sets) == {
        "a": {"a": 1.0, "b": 0.25, "c": 0.0}, "b": {"a": 0.5, "b": 1.0, "c": 0.0}, "c": {"a": 0.0, "b": 0.0, "c": 1.0},
    }  # fmt: skip
    with pytest.raises(UsageError, match="b: 2 samples are less than a batch of 3"):
        check_sizes(replace(comparison, training=("batch=3",)), sets)


EVALUATION = {
    "classification": {
        "web": {"mean_class_recall": 0.3, "top_1": {"value": 0.31}, "top_5": {"value": 0.5},
                "groups": {"head": {"classes": 2, "mean_class_recall": 0.9}, "tail": {"classes": 9, "mean_class_recall": 0.1}}},
    },
    "retrieval": {"all": {way: {"recall@1": {"value": 0.2}} for way in ("text_to_image", "image_to_text")}},
}  # fmt: skip


def test_report_and_page(comparison):
    found = measures(EVALUATION)
    assert list(found) == ["web: mean class recall", "web: head", "web: tail", "web: top-1", "web: top-5",
                           "text to image: recall@1", "image to text: recall@1"]  # fmt: skip
    assert spread([1.0]) == {"mean": 1.0, "deviation": None, "values": [1.0]}
    assert spread([1.0, 3.0])["deviation"] == pytest.approx(2**0.5)
    hostile = '"><script>alert(1)</script>'
    line = {"pairs": 9, "samples_seen": 90, "unique_samples_seen": 9, "repeats": 10.0, "curation_seconds": 1.0,
            "training_seconds": spread([1.0, 2.0]), "measures": {name: spread([value] * 2) for name, value in found.items()}}  # fmt: skip
    report = {**comparison.told(), "scale": "nano", "seeds": 2, "recipes": {"none": line, hostile: line},
              "in_common": {label: {"none": 1.0, hostile: 1.0} for label in ("none", hostile)}}  # fmt: skip
    assert ("web: tail, %", ["10.0 ± 0.0"] * 2) in rows_of(report)
    drawn = plots(report)
    assert drawn["measures.png"].startswith(b"\x89PNG")
    text = page(report, drawn).decode()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "2 seeds." in text


@pytest.mark.parametrize("name", [r"$\frac$ web", "[/b] web", "[red]web", "猫 $", "a_b^c$x", "<b>&amp;"])
def test_names_of_data_sets_are_shown_as_they_are(comparison, name, capsys):
    """In the plot, which knows formulas, the terminal's table, which knows styles, and the page."""
    line = {"pairs": 9, "samples_seen": 90, "unique_samples_seen": 9, "repeats": 10.0, "curation_seconds": 1.0,
            "training_seconds": spread([1.0]), "measures": {name: spread([0.5])}}  # fmt: skip
    report = {**comparison.told(), "scale": name, "seeds": 1, "recipes": {name: line}, "in_common": {name: {name: 1.0}}}
    drawn = plots(report)
    results.print(table(report))
    results.print(overlap_table(report))
    said = capsys.readouterr().out
    assert f"{name}, %" in said
    assert f"{name}, 1 seed: mean" in said
    assert f'<th scope="row">{escape(name)}, %</th><td>50.0</td>' in page(report, drawn).decode()
