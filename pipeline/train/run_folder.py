"""The folder of a run: whose it is, what of it may be removed, and ``run.json``, which says what the run is of.

Nothing in it changes before all is found to fit; then ``start_run`` removes a former run, where that is asked for, and
writes the new one's ``run.json``. Only what a run of ours wrote is ever removed.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError
from pipeline.overlap import lies_in
from pipeline.paths import is_url
from pipeline.recipe_file import parse
from pipeline.train.outputs import write_file

RUN, RECIPE, INDEXES = "run.json", "recipe.yaml", ".indexes"
# What a run and its evaluation write; run.json goes last, so that the rest of a removal that was killed is still ours.
OURS = ("model", "model.part", "checkpoints", "tokenizer", "tensorboard", "wandb", "metrics.jsonl", "metrics.part",
        "samples.jsonl", "samples.part", "broken.jsonl", "broken.part", "not-finite.txt", "loss.png",
        ".evaluation", "evaluation.json", RECIPE, RUN)  # fmt: skip


@dataclass(frozen=True)
class RunRecord:
    """What a run is of: its recipe, its shards by name and size, and what it started from."""

    id: str
    recipe: dict[str, Any]  # as it was given
    shards: list[list]
    init_from: str | None
    tokenizer: str  # its fingerprint
    config: dict[str, Any] | None  # the model's; none where only the tokenizer is there


def read_record(folder: Path, option: str = "--output") -> RunRecord | None:
    """The record of the run in a folder, if there is one. ``option``: what names the folder."""
    try:
        return RunRecord(**json.loads((folder / RUN).read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        raise UsageError(f"{option} {folder}: {RUN} cannot be read, so what the run is of is unknown") from None


def check_run_folder(folder: Path, inputs: list[tuple[str, str]], force: bool) -> None:
    """Refuses a folder that holds one of the ``inputs`` (option, path), or something else than a run of ours."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--output {folder}: not a folder")
    for option, path in inputs:
        if not is_url(path) and lies_in(path, str(folder)):
            raise UsageError(f"--output {folder}: holds {path}, which {option} names; give a folder apart from it")
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if RUN in there:
        return
    if _is_earlier_run(folder):
        if not force:
            raise UsageError(f"--output {folder}: a run of an earlier version; --force starts anew")
        return
    if foreign := [name for name in there if not name.startswith(".")]:
        raise UsageError(f"--output {folder}: holds {foreign[0]!r}, which is not of a run; give an empty folder")


def start_run(folder: Path, record: RunRecord, recipe: str, force: bool) -> None:
    """Makes the folder that of a run: removes a former one (``force``) and writes the record and ``recipe.yaml``."""
    if force:
        for name in OURS:
            path = folder / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    for name, text in ((RUN, json.dumps(asdict(record)) + "\n"), (RECIPE, recipe)):
        write_file(folder / name, text)


def _is_earlier_run(folder: Path) -> bool:
    """Whether the recipe there is one of training; curation writes one of that name, too."""
    try:
        found = parse((folder / RECIPE).read_text("utf-8"), RECIPE, texts=True)
    except (OSError, ValueError, UsageError):
        return False
    return isinstance(found, dict) and {"steps", "optimizer", "tokenizer"} <= set(found)
