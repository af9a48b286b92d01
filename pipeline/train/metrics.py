"""What a run says of itself: ``metrics.jsonl``, TensorBoard, Weights & Biases where it is set up, and ``loss.png``."""

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import orjson

PREFIX = "evaluate/"  # of the names of what an evaluation gave
FIRSTS = ("recall@1", "top_1")


class MetricsLogger:
    """The records of a run, gone back to a step where it resumes."""

    def __init__(self, folder: Path, step: int, recipe: dict[str, Any], log_samples: bool, run: str):
        """``step``: records after it are of a run that was lost, and go. ``run``: its id, also for Weights & Biases."""
        from torch.utils.tensorboard import SummaryWriter

        self.lines = _keep_until(folder / "metrics.jsonl", step)
        self.samples = _keep_until(folder / "samples.jsonl", step) if log_samples else None
        self.broken = _keep_until(folder / "broken.jsonl", step)
        self.evaluated = _last_evaluated(folder / "metrics.jsonl")
        self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
        self.wandb = None
        if importlib.util.find_spec("wandb") and os.environ.get("WANDB_API_KEY"):
            import wandb

            self.wandb = wandb.init(
                project="metaclip-pipeline", name=recipe["name"], config=recipe, dir=str(folder), id=run, resume="allow"
            )

    def log(self, step: int, values: dict[str, Any]) -> None:
        """Records the values of a step."""
        if any(name.startswith(PREFIX) for name in values):
            self.evaluated = step
        self.lines.write(json.dumps({"step": step} | values) + "\n")
        self.lines.flush()
        for name, value in values.items():
            if isinstance(value, int | float):
                self.board.add_scalar(name, value, step)
        if self.wandb is not None:
            self.wandb.log(values, step=step)

    def log_samples(self, step: int, keys: list[str]) -> None:
        """Records the keys of a batch, in its order."""
        if self.samples is not None:
            self.samples.write(orjson.dumps({"step": step, "keys": keys}).decode() + "\n")
            self.samples.flush()

    def log_broken(self, samples: list[tuple[int, str, str, str]]) -> None:
        """Records samples that could not be read: step, tar, key and why."""
        for step, tar, key, why in samples:
            self.broken.write(json.dumps({"step": step, "tar": tar, "key": key, "why": why}) + "\n")
        self.broken.flush()

    def close(self) -> None:
        """Ends the records."""
        for stream in (self.lines, self.samples, self.broken, self.board):
            if stream is not None:
                stream.close()
        if self.wandb is not None:
            self.wandb.finish()


def _keep_until(file: Path, step: int):
    """The file opened to go on after the records up to a step; a last line that was cut short goes too."""
    kept = []
    if file.exists():
        for line in file.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n") or json.loads(line)["step"] > step:
                break
            kept.append(line)
    part = file.with_suffix(".part")
    part.write_bytes(b"".join(kept))
    part.replace(file)
    return file.open("a", encoding="utf-8")


def _records(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def _last_evaluated(file: Path) -> int:
    """The last step of a run that has a record of its evaluation; 0 for none."""
    return max((line["step"] for line in _records(file) if any(key.startswith(PREFIX) for key in line)), default=0)


def plot_loss(folder: Path, name: str) -> None:
    """Draws ``loss.png``: the loss over the samples seen, the scale of the logits, and what evaluations gave."""
    from matplotlib.figure import Figure

    records = _records(folder / "metrics.jsonl")
    lines = [line for line in records if "loss" in line]
    shown = sorted({key for line in records for key in line if key.startswith(PREFIX) and key.endswith(FIRSTS)})
    figure = Figure(figsize=(8, 7.5 if shown else 4.5), layout="constrained")
    axes, *below = figure.subplots(2 if shown else 1, squeeze=False)[:, 0]
    seen = [line["samples"] for line in lines]
    axes.plot(seen, [line["loss"] for line in lines], color="tab:blue")
    axes.set(title=f"{name}: contrastive loss", xlabel="samples seen", ylabel="loss", ylim=(0, None))
    axes.grid(alpha=0.3)
    other = axes.twinx()
    other.plot(seen, [line["logit_scale"] for line in lines], color="tab:orange", alpha=0.6)
    other.set_ylabel("logit scale", color="tab:orange")
    for place in below:
        for key in shown:
            points = [(line["samples"], line[key]) for line in records if key in line]
            place.plot(*zip(*points, strict=True), marker="o", label=key.removeprefix(PREFIX))
        place.set(xlabel="samples seen", ylabel="share that is right", ylim=(0, None))
        place.grid(alpha=0.3)
        place.legend(fontsize="small")
    figure.savefig(folder / "loss.png", dpi=110)
