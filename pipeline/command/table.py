"""The commands by name: where each is declared, and what ``metaclip-pipeline --help`` says of it."""

from typing import NamedTuple

CURATION, LISTS, RESULTS, TRAINING = "Curation", "Entry lists", "Results", "Training"


class Command(NamedTuple):
    """A command: the panel of ``--help`` that it is in, its line there, and what declares it.

    That is ``module:app``, or ``module:app:name`` for one command of an app of several.
    """

    declared: str
    panel: str
    line: str


def _curation(name: str, line: str) -> Command:
    return Command(f"pipeline.command.curation:{name}", CURATION, line)


COMMANDS = {
    "curate": _curation("curate", "Run a recipe from pool to shards; without one, the demo."),
    "extract": _curation("extract", "Stage: take image-text pairs out of crawl files (WAT, WARC)."),
    "ingest": _curation("ingest", "Stage: read the pool into the table pairs."),
    "match": _curation("match", "Stage: match texts with entries."),
    "dedupe": _curation("dedupe", "Stage: find near-duplicate texts."),
    "balance": _curation("balance", "Stage: counts, thresholds and the draw."),
    "images": _curation("images", "Stage: fetch the images of curated pairs from the web."),
    "filter": _curation("filtering", "Stage: drop pairs by rules, duplicates, block-lists, evaluation sets."),
    "rebalance": _curation("rebalance", "Stage: balance again over what was fetched and passed."),
    "shards": _curation("shards", "Stage: write webdataset shards."),
    "append": _curation("append", "Add new input files to a finished set, which are read alone."),
    "plan": Command("pipeline.command.plan:app", CURATION, "Forecast a run: rows, sizes, disk, memory, time."),
    "demo-pool": Command("pipeline.demo.__main__:app", CURATION, "Build the demo's pool."),
    "package": Command("pipeline.command.package:app", CURATION, "Pack the environment of a cluster's executors."),
    "entries": Command("pipeline.command.entries:app", LISTS, "Build, show, compare, check and merge entry lists."),
    "what-if": Command("pipeline.command.curation:what_if", RESULTS, "What a range of thresholds would give."),
    "report": Command("pipeline.report.__main__:app:report", RESULTS, "Write the page report.html into an output."),
    "diff": Command("pipeline.report.__main__:app:diff", RESULTS, "Write a page of what differs between two outputs."),
    "explain": Command("pipeline.command.explain:app", RESULTS, "Where a pair, image or text is, or why it went."),
    "groups": Command("pipeline.command.groups:app", RESULTS, "How often texts name groups, from pool to set."),
    "verify": Command("pipeline.command.verify:app", RESULTS, "Check a finished set against its manifest and itself."),
    "remove": Command("pipeline.command.remove:app", RESULTS, "Take pairs, images, hosts or texts out of a set."),
    "compare": Command("pipeline.command.compare:app", TRAINING, "Recipes side by side at equal compute."),
    "subset": Command("pipeline.command.subset:app", RESULTS, "Write the set of an output as a DataComp subset file."),
    "train": Command("pipeline.train.__main__:app", TRAINING, "Train a CLIP model on shards."),
    "evaluate": Command("pipeline.train.evaluate:app", TRAINING, "Retrieval and zero-shot classification of a model."),
    "score": Command("pipeline.train.score:app", TRAINING, "The similarity of image and text, for every sample."),
    "embed": Command("pipeline.train.embed:app", TRAINING, "The vectors of images or texts, for every sample."),
    "tag": Command("pipeline.train.tag:app", TRAINING, "Label images with entries."),
    "moderate": Command("pipeline.train.moderate:app", TRAINING, "How much images are like unwanted concepts."),
    "search": Command("pipeline.train.search:app", TRAINING, "Find images by text or by image."),
    "export": Command(
        "pipeline.command.export:app", TRAINING, "Write a checkpoint as a model, or a model in another's format."
    ),
}
