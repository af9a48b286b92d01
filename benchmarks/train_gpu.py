"""``python -m benchmarks.train_gpu``: samples a second of training on a GPU, compiled and not, beside open_clip's step.

A step is measured on a batch that lies on the GPU already: forwards, backwards and the optimizer, in the recipe's
precision; open_clip's (where ``open_clip_torch`` is installed) of the model of that name, by autocast, its own loss and
AdamW, as its ``train_one_epoch`` does it. A run is the trainer itself on photographs (``benchmarks.photographs``), with
the time that it waits for data. Without a GPU it runs on the CPU, which tells that it works and nothing else.
"""

import importlib.util
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.table import Table

from benchmarks.compare import write_json
from benchmarks.photographs import write_photographs
from pipeline.job import SetOption, new_app, run
from pipeline.progress import results, say
from pipeline.train.compiling import compile_towers
from pipeline.train.distributed import ProcessGroup
from pipeline.train.flops import flop_counter
from pipeline.train.loop import train
from pipeline.train.models import TokenizerConfig, Towers, build_model, num_patches
from pipeline.train.optimizer import build_optimizer
from pipeline.train.recipe import TrainRecipe, load_train_recipe
from pipeline.train.step import forward_backward, make_inputs
from pipeline.train.throughput import peak_flops

OPEN_CLIP = {"vit-b-32": "ViT-B-32", "vit-b-16": "ViT-B-16", "vit-l-14": "ViT-L-14", "vit-h-14": "ViT-H-14"}
WARM_UP = 3  # steps that are not timed; a compiled model is compiled in the first
app = new_app()


@app.command(help=__doc__)
def main(
    recipe: Annotated[list[str] | None, typer.Option(help="A recipe (again for more); ViT-B/32 and B/16.")] = None,
    batch: Annotated[int, typer.Option(help="Samples of a batch, which the GPU must hold.")] = 512,
    steps: Annotated[int, typer.Option(help="Steps that are timed.")] = 20,
    photographs: Annotated[int, typer.Option(help="Samples that the runs read.")] = 4096,
    set: SetOption = None,
    name: Annotated[str, typer.Option(help="Of the JSON file.")] = "train_gpu",
) -> None:
    """Measures and reports."""
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    device_name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        write_photographs(Path(folder) / "shards", photographs, 8)
        for given in recipe or ["vit-b-32", "vit-b-16"]:
            for compiled in (False, True) if device.type == "cuda" else (False,):
                settings = [*(set or []), f"batch={batch}", "micro_batch=null", f"compile={str(compiled).lower()}",
                            f"steps={WARM_UP + steps}", f"log.every={WARM_UP}", "log.checkpoint=1000000"]  # fmt: skip
                made = load_train_recipe(given, settings, [str(Path(folder) / "shards")])
                ways: dict[str, Callable[[], dict]] = {"step": lambda made=made: _our_step(made, steps, device)}
                if importlib.util.find_spec("open_clip") and given in OPEN_CLIP:
                    ways["open_clip's step"] = lambda made=made, given=given: _their_step(made, given, steps, device)
                where = Path(folder) / f"{made.name}-{compiled}"
                ways["run"] = lambda made=made, where=where: _run(made, where, device)
                for way, measure in ways.items():
                    _forget(device)
                    line = {"recipe": made.name, "what": way, "compiled": compiled} | measure()
                    if device.type == "cuda":
                        line["gigabytes"] = torch.cuda.max_memory_allocated(device) / 1e9
                    found.append(line)
                    say(", ".join(f"{key.replace('_', ' ')} {_shown(value)}" for key, value in line.items()))
    table = Table(title=f"{device_name}, batch {batch:,}", header_style="bold")
    columns = ["recipe", "what", "compiled", "samples_per_second", "mfu", "data_wait", "gigabytes"]
    for column in columns:
        table.add_column(column.replace("_", " "))
    for line in found:
        table.add_row(*(_shown(line.get(column)) for column in columns))
    results.print(table)
    write_json(name, {"device": device_name, "torch": torch.__version__, "batch": batch, "found": found})


def _our_step(recipe: TrainRecipe, steps: int, device: torch.device) -> dict[str, float | None]:
    torch.manual_seed(0)
    size, length = recipe.tokenizer.vocabulary, recipe.tokenizer.length
    tokens = TokenizerConfig(size, size - 2, size - 1, 0, length)
    towers = Towers(build_model(recipe.model, tokens), recipe.patch_dropout).to(device).train()
    if recipe.activation_checkpointing:
        towers.model.gradient_checkpointing_enable({"use_reentrant": False})
    optimizer, _ = build_optimizer(towers, recipe, device)
    module = compile_towers(towers) if recipe.compile else towers
    images, ids = _batch(recipe, device)
    inputs = make_inputs(towers, images, ids, tokens.pad, 0, 0, num_patches(recipe, towers.model))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        forward_backward(module, inputs, recipe)
        optimizer.step()
        towers.clamp_scale()

    rate, peak = _rate(step, recipe.batch, steps, device), peak_flops(device)
    flops = flop_counter(towers.model.config, recipe)(length)
    return {"samples_per_second": rate, "mfu": rate * flops / peak if peak else None}


def _their_step(recipe: TrainRecipe, name: str, steps: int, device: torch.device) -> dict[str, float]:
    import open_clip

    torch.manual_seed(0)
    model = open_clip.create_model(OPEN_CLIP[name], device=device).train()
    model.set_grad_checkpointing(recipe.activation_checkpointing)
    optimizer = torch.optim.AdamW(model.parameters(), recipe.optimizer.lr, recipe.optimizer.betas)
    compiled = torch.compile(model) if recipe.compile else model
    images, ids = _batch(recipe, device)
    images, ids = images.float() / 127.5 - 1, ids.long()
    loss = open_clip.ClipLoss()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
            vectors = compiled(images, ids)
            total = loss(*vectors[:3])
        total.backward()
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, 4.6052)

    return {"samples_per_second": _rate(step, recipe.batch, steps, device)}


def _batch(recipe: TrainRecipe, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Random images and texts of full length, whose end has the highest id."""
    side, length, size = recipe.model.image_size, recipe.tokenizer.length, recipe.tokenizer.vocabulary
    images = torch.randint(0, 256, (recipe.batch, 3, side, side), dtype=torch.uint8, device=device)
    ids = torch.randint(1, size - 2, (recipe.batch, length), dtype=torch.int32, device=device)
    ids[:, -1] = size - 1
    return images, ids


def _rate(step: Callable[[], None], batch: int, steps: int, device: torch.device) -> float:
    """Samples a second."""
    for _ in range(WARM_UP):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.monotonic()
    for _ in range(steps):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return steps * batch / (time.monotonic() - started)


def _run(recipe: TrainRecipe, folder: Path, device: torch.device) -> dict[str, float | None]:
    """The trainer's own figures, by steps, of all records after the first."""
    train(recipe, folder, ProcessGroup(0, 1, 1, device))
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()][1:]
    names = ("samples_per_second", "mfu", "data_wait")
    return {name: _mean([line[name] for line in lines]) for name in names}


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _forget(device: torch.device) -> None:
    torch.compiler.reset()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:,.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    run(app)
