"""A training run from its recipe to the exported model: the main path of the trainer."""

from contextlib import closing
from pathlib import Path
from signal import SIGTERM
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.nn.parallel import DistributedDataParallel

from pipeline.errors import PipelineError
from pipeline.paths import shown
from pipeline.progress import console, say
from pipeline.train import checkpoint
from pipeline.train.agreement import held_folder
from pipeline.train.compiling import COMPILED_ON, compile_towers, compiled
from pipeline.train.distributed import ProcessGroup
from pipeline.train.evaluating import Evaluator
from pipeline.train.export import export
from pipeline.train.flops import flop_counter
from pipeline.train.fsdp import average_scalars, clip_grad_norm
from pipeline.train.loader import KeepByProbability, ShardDataset, batches, default_workers
from pipeline.train.memory import fitting_micro_batch
from pipeline.train.metrics import MetricsLogger, plot_loss
from pipeline.train.models import Towers, num_patches
from pipeline.train.optimizer import learning_rate
from pipeline.train.prefetch import Prefetcher
from pipeline.train.recipe import TOWERS, TrainRecipe
from pipeline.train.sampler import Sampler
from pipeline.train.shards import ShardSet
from pipeline.train.start import Start, prepare
from pipeline.train.state import TrainState, initial_state, saved_state, towers_in
from pipeline.train.step import forward_backward, make_inputs, seed_step
from pipeline.train.stopping import StopSignal
from pipeline.train.stream import ShardStream, StreamDataset
from pipeline.train.throughput import ProgressLog, Throughput
from pipeline.train.unchecked import UncheckedSteps

FEW = 10_000  # samples, of which the share that is broken says little


def train(
    recipe: TrainRecipe,
    folder: Path,
    group: ProcessGroup,
    init_from: str | None = None,
    log_samples: bool = False,
    stop_after: int | None = None,
    force: bool = False,
    allow_changes: bool = False,
) -> dict[str, Any]:
    """Trains a model into ``folder`` and returns the last record; goes on where a run in the folder stopped.

    ``init_from``: the folder of an exported model to start from. ``stop_after``: ends after so many steps of this call,
    with a checkpoint. ``force``: starts anew where there is a run. ``allow_changes``: goes on with another learning
    rate and the like. Raises ``UsageError`` before anything in the folder changes where recipe, shards or folder do
    not fit.
    """
    start = prepare(recipe, folder, group, init_from, force, allow_changes)
    recipe = start.recipe
    state = group.together(lambda: initial_state(start, group))
    if state.step >= recipe.steps and (folder / "model").is_dir():
        say(f"Nothing to do: {folder} has {state.step:,} steps; --set steps=N trains on, --force starts anew")
        return {"step": state.step}
    fitting = fitting_micro_batch(state.towers, recipe, start.tokenizer.model_max_length, group)
    recipe = recipe.model_copy(update={"micro_batch": fitting})
    end = recipe.steps if stop_after is None else min(recipe.steps, state.step + stop_after)
    with held_folder(folder, group, None if force else state.step):
        return _run(start, recipe, state, end, group, log_samples)


def _run(
    start: Start, recipe: TrainRecipe, state: TrainState, end: int, group: ProcessGroup, log_samples: bool
) -> dict[str, Any]:
    """The run from its state to ``end``, and the export where that is the last step; the last record."""
    folder = start.folder
    start.write(group)
    if recipe.optimizer.warmup >= recipe.steps and group.is_main:
        say(f"optimizer.warmup: {recipe.optimizer.warmup:,} of {recipe.steps:,} steps, so the rate only rises")
    if start.saved and group.is_main:
        say(f"Going on after step {state.step:,} in {folder}")
    metrics = (
        MetricsLogger(folder, state.step, recipe.model_dump(), log_samples, start.record.id) if group.is_main else None
    )
    if isinstance(start.shards, ShardSet):
        _count_damaged(start, state, metrics)
    try:
        evaluator = Evaluator(recipe, start.sets, start.config, folder, start.record.id)
        dataset = _dataset(start, state, group)
        last = _train_steps(recipe, state, dataset, end, group, metrics, evaluator, folder, log_samples)
    finally:
        if metrics is not None:
            metrics.close()
    if group.is_main and state.step >= recipe.steps and not evaluator.missing(state.step, metrics.evaluated):
        seen = state.step * recipe.batch
        ema = recipe.ema.decay is not None
        facts = {"recipe": recipe.model_dump(), "steps": state.step, "samples": seen, "broken": state.broken}
        saved = checkpoint.load(checkpoint.latest(folder / "checkpoints"))
        towers = towers_in(saved, start.config, recipe, ema)
        export(towers, start.tokenizer, recipe.model, facts | {"ema": ema}, folder / "model")
        plot_loss(folder, recipe.name)
        say(f"Model: {folder / 'model'}")
    return last


def _dataset(start: Start, state: TrainState, group: ProcessGroup) -> ShardDataset | StreamDataset:
    recipe, shards, tokenizer = start.recipe, start.shards, start.tokenizer
    if isinstance(shards, ShardStream):
        return StreamDataset(shards, recipe, tokenizer, state.step, group.rank, group.world_size)
    keep = KeepByProbability(shards, recipe.seed) if recipe.data.online_balancing else None
    sampler = Sampler(shards.counts, recipe.seed, recipe.data.shuffle_shards, keep, state.mark, recipe.batch)
    return ShardDataset(shards, sampler, tokenizer, recipe.model.image_size, recipe.data.crop, recipe.data.draft)


def _count_damaged(start: Start, state: TrainState, metrics: MetricsLogger | None) -> None:
    """Says which shards are damaged; those of a new run count as a broken sample each, and are named among them."""
    if start.saved is None:
        state.broken += len(start.shards.damage)
    if metrics is None:
        return
    for line in start.shards.damaged():
        say(line)
    if without := start.shards.without_samples():
        say(f"{len(without):,} tar(s) hold no sample with an image and a text, the first is {without[0]}")
    if start.saved is None and start.shards.damage:
        metrics.log_broken(
            [
                (1, shown(start.shards.tars[shard]), "", f"damaged: {said}")
                for shard, said in start.shards.damage.items()
            ]
        )


def _train_steps(
    recipe: TrainRecipe,
    state: TrainState,
    dataset: ShardDataset | StreamDataset,
    end: int,
    group: ProcessGroup,
    metrics: MetricsLogger | None,
    evaluator: Evaluator,
    folder: Path,
    log_samples: bool,
) -> dict[str, Any]:
    """Steps from ``state.step`` to ``end``; the last record."""
    towers = state.towers
    sharded = recipe.shard_parameters and group.world_size > 1
    module = _wrap(towers, recipe, group, sharded)
    local, pad = recipe.batch // group.world_size, dataset.tokenizer.pad_token_id
    workers = recipe.data.workers
    if workers is None:
        workers = default_workers(group)
    pinned = group.device.type == "cuda"
    batches_of = batches(dataset, state.step, end, recipe.batch, group.rank, group.world_size, workers, pinned)
    trainable = [p for p in towers.parameters() if p.requires_grad]
    throughput = Throughput(group.device, recipe.batch, local, flop_counter(towers.model.config, recipe))
    progress_log, record, unchecked = ProgressLog(recipe.steps), {}, UncheckedSteps()
    loading = closing(Prefetcher(batches_of, group.device))
    with StopSignal() as stop, _progress(group.is_main) as progress, loading as loader:
        task = progress.add_task(recipe.name, total=recipe.steps, completed=state.step, status="")

        def save() -> None:
            saved = saved_state(state, recipe, group)
            if group.is_main:
                checkpoint.save(folder / "checkpoints", saved, recipe.log.keep)

        def evaluate() -> bool:
            """Whether it came to its end; else the run is to stop."""
            with loader.paused():
                found = evaluator.evaluate(state, dataset.tokenizer, group, lambda: stop.number is not None)
            if found is not None and metrics is not None:
                metrics.log(state.step, {"samples": state.step * recipe.batch} | found)
            throughput.restart()
            return found is not None

        if evaluator.missing(state.step, group.from_main(lambda: metrics.evaluated)) and not evaluate():
            return {"step": state.step, "stopped": stop.number or SIGTERM}
        while state.step < end:
            step = state.step
            batch = throughput.next_batch(loader)
            first = step * recipe.batch + group.rank * local
            patches = num_patches(recipe, towers.model)
            inputs = make_inputs(towers, batch.images, batch.ids, pad, recipe.seed, first, patches)
            seed_step(recipe.seed, step, group.rank)
            rates = [learning_rate(step, recipe.steps, recipe.optimizer, peak) for peak in state.peaks]
            for param_group, rate in zip(state.optimizer.param_groups, rates, strict=True):
                param_group["lr"] = rate
            state.optimizer.zero_grad(set_to_none=True)
            loss = compiled(lambda inputs=inputs: forward_backward(module, inputs, recipe))
            if sharded:
                average_scalars(towers)
            norm = clip_grad_norm(trainable, recipe.optimizer.clip_norm or float("inf"))
            state.optimizer.step()
            towers.clamp_scale()
            state.step += 1
            if state.average is not None:
                state.average.update(state.step)
            state.mark = batch.mark and tuple(batch.mark)  # a plain tuple: no pickle is loaded
            unchecked.add(state.step, loss, norm, batch.keys, batch.broken)
            if log_samples:
                keys = group.gather_keys(batch.keys)
                if metrics is not None:
                    metrics.log_samples(state.step, keys)
            stops = group.any(stop.number is not None)
            logs = state.step % recipe.log.every == 0 or state.step == end or stops
            saves = state.step % recipe.log.checkpoint == 0 or state.step == end or stops
            evaluates = evaluator.due(state.step) and not stops
            if logs or saves or evaluates:
                loss, norm, broken = unchecked.check(group, folder)
                state.broken += len(broken)
                if broken:
                    if metrics is not None:
                        metrics.log_broken(broken)
                    _check_broken(state, recipe, dataset, folder)
            if logs and metrics is not None:
                record = {
                    "loss": loss,
                    "samples": state.step * recipe.batch,
                    **_rates(step, recipe),
                    "logit_scale": float(towers.scale().detach()),
                    "gradient_norm": norm,
                    "broken": state.broken,
                    **throughput.figures(),
                }
                metrics.log(state.step, record)
                progress_log.update(progress, task, state.step, record)
            progress.update(task, completed=state.step)
            if saves:
                save()
            if evaluates and not evaluate():
                stops = True
                if not saves:
                    save()
            if stops:
                return {"step": state.step, "stopped": stop.number or SIGTERM} | record
    return {"step": state.step} | record


def _rates(step: int, recipe: TrainRecipe) -> dict[str, float]:
    """The learning rates of a step, as they are logged."""
    own = {f"{name}_lr": getattr(recipe, name).lr for name in TOWERS if getattr(recipe, name).lr is not None}
    peaks = {"lr": recipe.optimizer.lr} | own
    return {name: learning_rate(step, recipe.steps, recipe.optimizer, peak) for name, peak in peaks.items()}


def _wrap(towers: Towers, recipe: TrainRecipe, group: ProcessGroup, sharded: bool) -> torch.nn.Module:
    """The towers as what a step calls: compiled on a GPU, and within DDP where there are several processes."""
    module = compile_towers(towers) if recipe.compile and group.device.type in COMPILED_ON else towers
    if group.world_size > 1 and not sharded:
        module = DistributedDataParallel(module, device_ids=group.device_ids, gradient_as_bucket_view=True)
    return module


def _progress(shown: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[status]}"))
    return Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not shown)


def _check_broken(state: TrainState, recipe: TrainRecipe, dataset: ShardDataset | StreamDataset, folder: Path) -> None:
    """Ends a run of which more is broken than allowed, of what it has seen: an epoch, or ``FEW`` samples, at least."""
    seen = state.step * recipe.batch
    epoch = dataset.sampler.size if isinstance(dataset, ShardDataset) else FEW
    if state.broken > max(1, recipe.data.max_broken * max(seen, min(epoch, FEW))):
        raise PipelineError(
            f"step {state.step}: {state.broken:,} of {seen:,} samples cannot be read, "
            f"data.max_broken allows {recipe.data.max_broken:.1%}; they are named in {folder / 'broken.jsonl'}"
        )
