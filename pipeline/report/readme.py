"""The README of a finished output: what is in it, how it came about, whose the data are."""

from typing import Any

from pipeline.recipe import Recipe


def readme(recipe: Recipe, stages: list[dict[str, Any]], with_plot: bool, tables: dict[str, str]) -> str:
    """The text of ``README.md``, by the recipe, the stages' summaries, and their tables with what each is."""
    lines = [f"# {recipe.name}", "", "A training set for CLIP models, curated the MetaCLIP way.", ""]
    if recipe.credit:
        lines += ["## Credit and licence", "", recipe.credit.strip(), ""]
    if with_plot:
        lines += ["![matches by entry, before and after](distribution.png)", ""]
    lines += ["## What was done", "", "| stage | in | dropped | out |", "|---|---:|---|---:|"]
    for stage in stages:
        dropped = ", ".join(f"{rows:,} {reason}" for reason, rows in stage["dropped"].items()) or "none"
        lines.append(f"| {stage['stage']} | {stage['in']:,} | {dropped} | {stage['out']:,} |")
    lines += ["", "The recipe is in `recipe.yaml`, the figures are in `summary.json`.", "", "## What is here", ""]
    lines += [
        "| folder | what |",
        "|---|---|",
        *[f"| `{name}/` | {what} |" for name, what in tables.items()],
    ]
    lines += ["", "`manifest.json` lists every file with its rows and SHA-256.", ""]
    return "\n".join(lines)
