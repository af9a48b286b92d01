"""The README of a finished output: what is in it, how it came about, whose the data are."""

from typing import Any

from pipeline.recipe import Recipe

TABLES = {
    "pairs": "every distinct (URL, text) pair of the pool that passed the checks",
    "matched": "the pairs that match at least one entry, with the ids of their entries and their draw",
    "clusters": "pairs whose text is nearly that of others, and which of them stay",
    "entry_counts": "every entry with the number of pairs that match it and its probability",
    "thresholds": "the threshold t of every entry list",
    "curated": "the curated pairs, with the probability by which each was kept",
    "images": "every image that was asked for, and what became of it",
    "filtered": "the curated pairs that passed the filter",
    "image_hashes": "the images that were looked at: hashes, size, and why one was dropped",
    "final": "the pairs of balancing again over what passed",
    "final_entry_counts": "the entries with the estimated counts of that",
    "final_thresholds": "the thresholds of that",
    "shards": "the curated pairs with their images, as webdataset tars",
}


def readme(recipe: Recipe, stages: list[dict[str, Any]], with_plot: bool, tables: list[str]) -> str:
    """The text of ``README.md``, by the recipe, the stages' summaries and the names of their tables."""
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
        *[f"| `{name}/` | {what} |" for name, what in TABLES.items() if name in tables],
    ]
    lines += ["", "`manifest.json` lists every file with its rows and SHA-256.", ""]
    return "\n".join(lines)
