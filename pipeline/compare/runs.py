"""The commands of a comparison: curate, train, evaluate, each in a process of its own; each goes on where it was."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.buckets.files import Files
from pipeline.compare.comparison import Candidate, Comparison
from pipeline.errors import PipelineError, UsageError
from pipeline.progress import say

SETS, RUNS, TOKENIZER = "sets", "runs", "tokenizer"
TOKENIZER_TEXTS = 1_000_000


def curate_all(comparison: Comparison, force: bool = False) -> dict[str, Path]:
    """The finished output of each candidate; a random choice comes last, as large as the set it is held against."""
    reference = comparison.reference()
    found = {}
    for one in sorted(comparison.candidates, key=lambda one: one.recipe == "random"):
        folder = comparison.output / SETS / one.label
        size = [f"balance.size={samples_of(found[reference.label])}"] if one.recipe == "random" else []
        say(f"Curating {one.label}")
        _curate(comparison, one, folder, size, force)
        found[one.label] = folder
    return {one.label: found[one.label] for one in comparison.candidates}


def _curate(comparison: Comparison, one: Candidate, folder: Path, more: list[str], force: bool) -> None:
    options = ["--recipe", one.recipe, "--output", str(folder)]
    for path in comparison.pool:
        options += ["--input", path]
    for setting in [*comparison.settings, *one.settings, *more]:
        options += ["--set", setting]
    run_command(
        ["-m", "pipeline.command", "curate", *options, *(["--force"] if force else [])], f"curating {one.label}"
    )


def samples_of(folder: Path) -> int:
    """The samples in the shards of an output."""
    file = folder / "shards" / "manifest.json"
    if not file.is_file():
        raise PipelineError(f"{folder}: no shards there; a comparison needs a recipe with images")
    return json.loads(file.read_text("utf-8"))["samples"]


def check_sizes(comparison: Comparison, sets: dict[str, Path]) -> None:
    """Raises ``UsageError`` where a set is smaller than a batch: it could not have the same training as the others."""
    batch = comparison.train_recipe().batch
    for label, folder in sets.items():
        if (samples := samples_of(folder)) < batch:
            raise UsageError(
                f"{label}: {samples:,} samples are less than a batch of {batch:,}: it cannot be trained as the others"
            )


def make_tokenizer(comparison: Comparison, sets: dict[str, Path]) -> Path:
    """The tokenizer of all trainings: the recipe's, or one that is trained once, from texts of the pool."""
    from pipeline.train.tokenizer import train_tokenizer

    options = comparison.train_recipe().tokenizer
    if options.path is not None:
        return Path(options.path)
    folder = comparison.output / TOKENIZER
    if not (folder / "tokenizer.json").is_file():
        say("Training the tokenizer that all have, from texts of the pool")
        tokenizer = train_tokenizer(pool_texts(next(iter(sets.values()))), options.vocabulary, options.length)
        part = folder.with_name(f"{TOKENIZER}.part")
        tokenizer.save_pretrained(str(part))
        os.replace(part, folder)
    return folder


def pool_texts(folder: Path):
    """Up to a million texts of the pool: the first by pair_id, which is a hash, so that they are a random sample."""
    left = TOKENIZER_TEXTS
    files = Files.of(str(folder / "pairs"))
    for bucket in range(len(files.paths)):
        for batch in files.read(bucket, len(files.paths), ["pair_id", "text"]):
            texts = pa.RecordBatch.to_pydict(batch)["text"][:left]
            yield from texts
            left -= len(texts)
            if not left:
                return


def train_and_evaluate(
    comparison: Comparison, label: str, set_folder: Path, seed: int, tokenizer: Path, force: bool = False
) -> Path:
    """The folder of a training with its evaluation; does only what is not there, or, with ``force``, all of it."""
    folder = comparison.output / RUNS / label / f"seed-{seed}"
    settings = [*comparison.training, f"seed={seed}", f"tokenizer.path={tokenizer}"]
    options = ["--recipe", comparison.scale, "--shards", str(set_folder / "shards"), "--output", str(folder)]
    for setting in settings:
        options += ["--set", setting]
    start = ["-m", "pipeline.train"]
    if comparison.processes > 1:
        start = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={comparison.processes}", *start]
    say(f"Training {label}, seed {seed}")
    run_command([*start, *options, *(["--force"] if force else [])], f"training {label}, seed {seed}")
    file, model = folder / "evaluation.json", folder / "model"
    if not file.is_file() or file.stat().st_mtime < (model / "config.json").stat().st_mtime:
        sets = [part for path in comparison.classification for part in ("--classification", path)]
        sets += [part for path in comparison.retrieval for part in ("--shards", path)]
        run_command(["-m", "pipeline.train.evaluate", "--model", str(model), *sets], f"evaluating {label}, seed {seed}")
    return folder


def run_command(arguments: list[str], what: str) -> None:
    """Runs a command of ours, whose words go to this one's terminal. Raises ``PipelineError`` where it fails."""
    code = subprocess.run([sys.executable, *arguments], check=False).returncode
    if code:
        raise PipelineError(f"{what} failed (exit code {code}); the same command goes on from here")


def pair_ids(folder: Path) -> np.ndarray:
    """The pair_ids of the samples in the shards of an output, sorted."""
    import pyarrow.parquet as pq

    files = sorted((folder / "shards").glob("[0-9]*.parquet"))
    found = [pq.read_table(file, columns=["pair_id"])["pair_id"].to_numpy() for file in files]
    return np.sort(np.concatenate(found)) if found else np.array([], np.int64)
