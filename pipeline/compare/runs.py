"""The commands of a comparison: curate, train, evaluate, each in a process of its own; each goes on where it was."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline import storage
from pipeline.buckets.files import Files
from pipeline.compare.comparison import RUNS, SETS, TOKENIZER, Candidate, Comparison
from pipeline.errors import PipelineError, UsageError
from pipeline.progress import say

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MANIFEST, TRAINED_ON = "shards/manifest.json", "set.json"
TOKENIZER_TEXTS = 1_000_000


def curate_all(comparison: Comparison, force: bool = False) -> dict[str, Path]:
    """The finished output of each candidate; a random choice comes last, as large as the set it is held against."""
    reference = comparison.reference()
    found = {}
    for one in sorted(comparison.candidates, key=lambda one: one.recipe == "random"):
        folder = comparison.output / SETS / one.label
        sized = one.recipe != "random" or any(setting.startswith("balance.size=") for setting in one.settings)
        size = [] if sized else [f"balance.size={samples_of(found[reference.label])}"]
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
    file = folder / MANIFEST
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


def make_tokenizer(comparison: Comparison, sets: dict[str, Path], force: bool = False) -> Path:
    """The tokenizer of all trainings: the recipe's, or one that is trained once, from texts of the pool."""
    from pipeline.train.tokenizer import train_tokenizer

    options = comparison.train_recipe().tokenizer
    if options.path is not None:
        return Path(options.path)
    folder = comparison.output / TOKENIZER
    if force or not (folder / "tokenizer.json").is_file():
        say("Training the tokenizer that all have, from texts of the pool")
        tokenizer = train_tokenizer(pool_texts(next(iter(sets.values()))), options.vocabulary, options.length)
        part = folder.with_name(f"{TOKENIZER}.part")
        for old in (part, folder):
            shutil.rmtree(old, ignore_errors=True)
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


def forget_other_runs(comparison: Comparison, label: str, set_folder: Path) -> None:
    """Removes the trainings of a recipe that were on another set, as one of another recipe of the same name."""
    folder = comparison.output / RUNS / label
    of = {"shards": hashlib.sha256((set_folder / MANIFEST).read_bytes()).hexdigest()}
    if folder.is_dir() and storage.read_json(str(folder / TRAINED_ON)) != of:
        say(f"{label} is another set than its trainings were on: they are removed")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    storage.write_json(str(folder / TRAINED_ON), of)


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
    """Runs a command of ours, whose words go to this one's terminal. Raises ``PipelineError`` where it fails.

    It has a group of its own, so that a signal reaches it once, by way of this process, whoever it is sent to: a
    training then writes a checkpoint, which a second signal would prevent.
    """
    stopped: list[int] = []
    process = subprocess.Popen([sys.executable, *arguments], stdin=subprocess.DEVNULL, process_group=0)

    def pass_on(number: int, _) -> None:
        stopped.append(number)
        process.send_signal(number)

    numbers = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]  # as nohup leaves SIGHUP
    before = {number: signal.signal(number, pass_on) for number in numbers}
    try:
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if stopped:
        raise PipelineError(f"{what} was stopped; the same command goes on from here")
    if code:
        raise PipelineError(f"{what} failed (exit code {code}); the same command goes on from here")


def pair_ids(folder: Path) -> np.ndarray:
    """The pair_ids of the samples in the shards of an output, sorted."""
    import pyarrow.parquet as pq

    files = sorted((folder / "shards").glob("[0-9]*.parquet"))
    found = [pq.read_table(file, columns=["pair_id"])["pair_id"].to_numpy() for file in files]
    return np.sort(np.concatenate(found)) if found else np.array([], np.int64)
