"""A training run from its recipe to the exported model: the main path of the trainer."""

import math
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.nn.parallel import DistributedDataParallel

from pipeline.errors import PipelineError, UsageError
from pipeline.progress import console, say
from pipeline.train import checkpoint
from pipeline.train.export import export
from pipeline.train.loader import KeepByProbability, Parts, batches, tensors
from pipeline.train.metrics import Metrics, plot_loss
from pipeline.train.models import Towers, build_model, patches
from pipeline.train.optimizer import build_optimizer, learning_rate
from pipeline.train.order import Order
from pipeline.train.pace import Pace, Told
from pipeline.train.processes import Processes
from pipeline.train.recipe import TrainRecipe, save_recipe
from pipeline.train.sharded import average_scalars, clip_gradients, load_whole_state, shard_parameters, whole_state
from pipeline.train.shards import ShardSet, check_unbalanced
from pipeline.train.step import forward_backward, make_inputs, seed_step
from pipeline.train.stream import Stream, StreamParts, is_stream
from pipeline.train.tokenizer import prepare_tokenizer, tokens_of


@dataclass
class State:
    """What changes in a run."""

    towers: Towers
    optimizer: torch.optim.Optimizer
    step: int = 0
    broken: int = 0


def train(
    recipe: TrainRecipe,
    folder: Path,
    processes: Processes,
    init_from: str | None = None,
    log_samples: bool = False,
    stop_after: int | None = None,
) -> dict[str, Any]:
    """Trains a model into ``folder`` and returns the last record; goes on where a run in the folder stopped.

    ``init_from``: the folder of an exported model to start from. ``stop_after``: ends after so many steps of this call,
    with a checkpoint. Raises ``UsageError`` before the first step where recipe, shards or folder do not fit.
    """
    _check(recipe, folder, processes)
    shards = open_shards(recipe, folder)
    if recipe.data.online_balancing:
        check_unbalanced(shards.tars)
    tokenizer = prepare_tokenizer(recipe.tokenizer, shards, folder / "tokenizer", init_from, processes)
    state = _start(recipe, tokenizer, folder, processes, init_from)
    if state.step >= recipe.steps:
        say(f"Nothing to do: {folder} has {state.step:,} steps; --set steps=N trains on, --force starts anew")
        return {"step": state.step}
    if isinstance(shards, Stream):
        parts = StreamParts(shards, recipe, tokenizer, state.step, processes.rank, processes.count)
    else:
        keep = KeepByProbability(shards, recipe.seed) if recipe.data.online_balancing else None
        order = Order(shards.counts, recipe.seed, recipe.data.shuffle_shards, keep)
        parts = Parts(shards, order, tokenizer, recipe.model.image_size, recipe.data.crop, recipe.data.draft)
    end = recipe.steps if stop_after is None else min(recipe.steps, state.step + stop_after)
    metrics = Metrics(folder, state.step, recipe.model_dump(), log_samples) if processes.first else None
    try:
        last = _run(recipe, state, parts, end, processes, metrics, folder, log_samples)
    finally:
        if metrics is not None:
            metrics.close()
    if processes.first and end == recipe.steps:
        facts = {"recipe": recipe.model_dump(), "steps": end, "samples": end * recipe.batch, "broken": state.broken}
        towers = _whole_towers(recipe, tokenizer, folder)
        export(towers, tokenizer, recipe.model.kind, recipe.model.image_size, facts, folder / "model")
        plot_loss(folder, recipe.name)
        say(f"Model: {folder / 'model'}")
    return last


def open_shards(recipe: TrainRecipe, folder: Path) -> ShardSet | Stream:
    """The shards of a recipe, to be read at any place, or streamed where one of them cannot be."""
    if any(map(is_stream, recipe.data.shards)):
        return Stream(recipe.data.shards)
    return ShardSet(recipe.data.shards, folder / "indexes")


def _check(recipe: TrainRecipe, folder: Path, processes: Processes) -> None:
    if recipe.batch % processes.count:
        raise UsageError(f"batch: found {recipe.batch}; a multiple of the {processes.count} processes is allowed")
    if recipe.precision == "bfloat16" and processes.device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise UsageError("precision: found bfloat16; this GPU has none, allowed: float32")
    folder.mkdir(parents=True, exist_ok=True)
    if processes.first:
        save_recipe(recipe, folder / "recipe.yaml")


def _start(recipe: TrainRecipe, tokenizer, folder: Path, processes: Processes, init_from: str | None) -> State:
    """Fresh or given weights, or those of the folder's newest checkpoint."""
    found = checkpoint.newest(folder / "checkpoints")
    saved = None if found is None else checkpoint.load(found)
    if processes.device.type == "cpu":
        # Sums in another order differ in their last bits, and the number of threads is the order.
        torch.set_num_threads(saved["threads"] if saved else torch.get_num_threads())
    torch.use_deterministic_algorithms(processes.device.type == "cpu")
    torch.manual_seed(recipe.seed)
    siglip = recipe.loss.name == "siglip"
    model = build_model(recipe.model, tokens_of(tokenizer), siglip)
    if init_from is not None and saved is None:
        given = type(model).from_pretrained(init_from)
        if (sizes := {n: tuple(p.shape) for n, p in given.state_dict().items()}) != {
            n: tuple(p.shape) for n, p in model.state_dict().items()
        }:
            raise UsageError(f"--init-from {init_from}: its {len(sizes)} tensors are not those of the recipe's model")
        model.load_state_dict(given.state_dict())
    if recipe.activation_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    towers = Towers(model, recipe.patch_dropout, siglip).to(processes.device).train()
    if processes.device.type == "cuda" and processes.count > 1:
        towers = torch.nn.SyncBatchNorm.convert_sync_batchnorm(towers)
    if recipe.shard_parameters and processes.count > 1:
        shard_parameters(towers)
    state = State(towers, build_optimizer(towers, recipe.optimizer, processes.device))
    if saved is not None:
        if saved["seed"] != recipe.seed or saved["batch"] != recipe.batch:
            raise UsageError(
                f"{found}: is of seed {saved['seed']} and batch {saved['batch']}, the recipe has {recipe.seed} and "
                f"{recipe.batch}; --force starts anew"
            )
        load_whole_state(towers, state.optimizer, saved)
        state.step, state.broken = saved["step"], saved["broken"]
        if processes.first:
            say(f"Going on after step {state.step:,} of {found}")
    return state


def _whole_towers(recipe: TrainRecipe, tokenizer, folder: Path) -> Towers:
    """The towers of the newest checkpoint, as one process has them."""
    siglip = recipe.loss.name == "siglip"
    towers = Towers(build_model(recipe.model, tokens_of(tokenizer), siglip), siglip=siglip)
    towers.load_state_dict(checkpoint.load(checkpoint.newest(folder / "checkpoints"))["towers"])
    return towers


def _run(
    recipe: TrainRecipe,
    state: State,
    parts: Parts | StreamParts,
    end: int,
    processes: Processes,
    metrics: Metrics | None,
    folder: Path,
    log_samples: bool,
) -> dict[str, Any]:
    """Steps from ``state.step`` to ``end``; the last record."""
    towers = state.towers
    sharded = recipe.shard_parameters and processes.count > 1
    module = _module(towers, recipe, processes, sharded)
    local, pad = recipe.batch // processes.count, parts.tokenizer.pad_token_id
    workers = recipe.data.workers
    if workers is None:
        workers = max(1, (os.cpu_count() or 2) // processes.local)
    stream = batches(parts, state.step, end, recipe.batch, processes.rank, processes.count, workers)
    learning = [p for p in towers.parameters() if p.requires_grad]
    pace, told, record = Pace(processes.device, recipe.batch), Told(recipe.steps), {}
    with _progress(processes.first) as progress:
        task = progress.add_task(recipe.name, total=recipe.steps, completed=state.step, said="")
        while state.step < end:
            step = state.step
            part = pace.wait(stream)
            images, ids = tensors(part, processes.device)
            first = step * recipe.batch + processes.rank * local
            inputs = make_inputs(towers, images, ids, pad, recipe.seed, first, patches(recipe, towers.model))
            seed_step(recipe.seed, step, processes.rank)
            rate = learning_rate(step, recipe.steps, recipe.optimizer)
            for group in state.optimizer.param_groups:
                group["lr"] = rate
            state.optimizer.zero_grad(set_to_none=True)
            loss = pace.count_flops(partial(forward_backward, module, inputs, recipe))
            if sharded:
                average_scalars(towers)
            norm = clip_gradients(learning, recipe.optimizer.clip_norm or float("inf"))
            loss, broken = processes.mean_and_sum(loss, sum(part.broken.values()))
            finite = math.isfinite(loss) and bool(torch.isfinite(norm))
            keys = processes.all_keys(part.keys) if log_samples or not finite else []
            if not finite:
                raise _not_finite(step, loss, norm, keys, folder, processes.first)
            state.optimizer.step()
            towers.clamp_scale()
            state.step += 1
            state.broken += broken
            _check_broken(state, recipe)
            if metrics is not None:
                metrics.log_samples(state.step, keys)
                if state.step % recipe.log.every == 0 or state.step == end:
                    record = {
                        "loss": loss,
                        "samples": state.step * recipe.batch,
                        "lr": rate,
                        "logit_scale": float(towers.scale().detach()),
                        "gradient_norm": float(norm),
                        "broken": state.broken,
                        **pace.figures(),
                    }
                    metrics.log(state.step, record)
                    told.tell(progress, task, state.step, record)
            progress.update(task, completed=state.step)
            if state.step % recipe.log.checkpoint == 0 or state.step == end:
                saved = whole_state(towers, state.optimizer)
                if processes.first:
                    saved |= {"step": state.step, "seed": recipe.seed, "batch": recipe.batch,
                              "threads": torch.get_num_threads(), "broken": state.broken}  # fmt: skip
                    checkpoint.save(folder / "checkpoints", saved, recipe.log.keep)
    return {"step": state.step} | record


def _module(towers: Towers, recipe: TrainRecipe, processes: Processes, sharded: bool) -> torch.nn.Module:
    """The towers as what a step calls: compiled on a GPU, and within DDP where there are several processes."""
    module = towers
    if recipe.compile and processes.device.type == "cuda":
        torch._dynamo.config.suppress_errors = True  # what cannot be compiled runs as it is, with a warning
        module = torch.compile(module)
    if processes.count > 1 and not sharded:
        module = DistributedDataParallel(module, device_ids=processes.device_ids, gradient_as_bucket_view=True)
    return module


def _progress(shown: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[said]}"))
    return Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not shown)


def _not_finite(step: int, loss: float, norm, keys: list[str], folder: Path, first: bool) -> PipelineError:
    if first:
        (folder / "not-finite.txt").write_text("\n".join(keys) + "\n")
    return PipelineError(
        f"step {step + 1}: loss {loss}, gradient norm {float(norm)}; its {len(keys)} samples are named in "
        f"{folder / 'not-finite.txt'}, the first is {keys[0]}; the checkpoint before it stands"
    )


def _check_broken(state: State, recipe: TrainRecipe) -> None:
    seen = state.step * recipe.batch
    if state.broken > max(1, recipe.data.max_broken * seen):
        raise PipelineError(
            f"step {state.step}: {state.broken:,} of {seen:,} samples cannot be read, "
            f"data.max_broken allows {recipe.data.max_broken:.1%}"
        )
