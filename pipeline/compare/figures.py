"""What a comparison found: sizes, repeats and evaluation of each recipe, mean and standard deviation over the seeds."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.compare.comparison import Comparison
from pipeline.compare.runs import pair_ids, samples_of
from pipeline.errors import PipelineError

# What a run's recipe has of its own; a model is written with all that it was built of, and compared among the runs.
OWN = ("seed", "log", "tokenizer", "model", "evaluate")


def figures(comparison: Comparison, sets: dict[str, Path], runs: dict[str, list[Path]]) -> dict[str, Any]:
    """The report of a comparison, for JSON. ``runs``: the folders of each recipe's trainings, one a seed.

    Raises ``PipelineError`` where trainings are not of equal compute.
    """
    check_compute(comparison, runs)
    recipe = comparison.train_recipe()
    seen = recipe.steps * recipe.batch
    lines = {}
    for label, folder in sets.items():
        size = samples_of(folder)
        evaluations = [measures(json.loads((run / "evaluation.json").read_text("utf-8"))) for run in runs[label]]
        lines[label] = {
            "pairs": size,
            "samples_seen": seen,
            "unique_samples_seen": min(size, seen),
            "repeats": round(seen / size, 2),
            "curation_seconds": curation_seconds(folder),
            "training_seconds": spread([training_seconds(run) for run in runs[label]]),
            "measures": {name: spread([found[name] for found in evaluations]) for name in evaluations[0]},
        }
    return {**comparison.told(), "scale": comparison.scale, "seeds": comparison.seeds, "recipes": lines,
            "in_common": in_common(sets)}  # fmt: skip


def check_compute(comparison: Comparison, runs: dict[str, list[Path]]) -> None:
    """Raises ``PipelineError`` where a training saw another number of samples, or was another than the others."""
    recipe, told = comparison.train_recipe(), comparison.told()["training"]
    wanted = {key: value for key, value in told.items() if key not in OWN}
    models = []
    for run in (run for folders in runs.values() for run in folders):
        last = metrics_of(run)[-1]
        made = json.loads((run / "run.json").read_text("utf-8"))["recipe"]
        models.append(made["model"])
        same = {key: value for key, value in made.items() if key in wanted}
        same["data"] = {key: value for key, value in made["data"].items() if key != "shards"}
        seen = (last["step"], last["samples"])
        if seen != (recipe.steps, recipe.steps * recipe.batch) or same != wanted or models[-1] != models[0]:
            raise PipelineError(
                f"{run}: was trained with other compute than the comparison says; remove it and run again"
            )


def metrics_of(run: Path) -> list[dict[str, Any]]:
    """The lines of a training's metrics that are of steps."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines() if line.strip()]
    return [line for line in lines if "samples" in line]


def training_seconds(run: Path) -> float:
    """The seconds of a training, from the rates that it logged."""
    seconds, before = 0.0, 0
    for line in metrics_of(run):
        if line.get("samples_per_second"):
            seconds += (line["samples"] - before) / line["samples_per_second"]
        before = line["samples"]
    return seconds


def curation_seconds(folder: Path) -> float:
    """The seconds of the stages of an output, as their records say: also where a later run found them done."""
    found = [json.loads(file.read_text("utf-8")) for file in (folder / ".stages").glob("*.json")]
    return round(sum(line.get("seconds", 0.0) for line in found), 1)


def measures(evaluation: dict[str, Any]) -> dict[str, float]:
    """The figures of an evaluation that are compared, by name; shares from 0 to 1."""
    found = {}
    for name, line in evaluation.get("classification", {}).items():
        found[f"{name}: mean class recall"] = line["mean_class_recall"]
        for group, of_group in line.get("groups", {}).items():
            found[f"{name}: {group}"] = of_group["mean_class_recall"]
        found[f"{name}: top-1"] = line["top_1"]["value"]
        found[f"{name}: top-5"] = line["top_5"]["value"]
    if evaluation.get("retrieval"):
        for way in ("text_to_image", "image_to_text"):
            found[f"{way.replace('_', ' ')}: recall@1"] = evaluation["retrieval"]["all"][way]["recall@1"]["value"]
    return found


def spread(values: list[float]) -> dict[str, Any]:
    """Mean, standard deviation over the seeds (of a sample; None for one alone), and the values."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "deviation": deviation, "values": [float(value) for value in values]}


def in_common(sets: dict[str, Path]) -> dict[str, dict[str, float]]:
    """The share of each recipe's pairs (outer) that is in another's set (inner)."""
    ids = {label: pair_ids(folder) for label, folder in sets.items()}
    found = {label: {label: 1.0} for label in sets}
    for one, other in combinations(sets, 2):
        both = len(np.intersect1d(ids[one], ids[other], assume_unique=True))
        found[one][other], found[other][one] = both / max(1, len(ids[one])), both / max(1, len(ids[other]))
    return {label: {other: found[label][other] for other in sets} for label in sets}
