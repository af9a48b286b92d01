"""The start of a run: everything is looked at, by all processes, before anything in its folder changes."""

import math
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PretrainedConfig

from pipeline.errors import UsageError
from pipeline.paths import is_url, local, shown
from pipeline.recipe_file import to_yaml, validated
from pipeline.train import checkpoint
from pipeline.train.agreement import agree, check_shared
from pipeline.train.architecture import fitted, from_plain, new_config, normalisation, to_plain
from pipeline.train.distributed import ProcessGroup
from pipeline.train.evaluating import EvaluationSets, open_sets
from pipeline.train.given import find_tars, is_http, is_stream
from pipeline.train.indexes import tar_states
from pipeline.train.init_from import given_config, given_normalisation
from pipeline.train.recipe import Model, TrainRecipe
from pipeline.train.run_folder import INDEXES, RunRecord, check_run_folder, read_record, start_run
from pipeline.train.shards import ShardSet, check_unbalanced, open_shard_set
from pipeline.train.stream import ShardStream
from pipeline.train.tokenizer import (
    MAX_TEXTS,
    check_pooling,
    fingerprint,
    fit_length,
    lacks_tokenizer,
    load_tokenizer,
    tokenizer_config,
    train_tokenizer,
)

# What may change while a run goes on: it neither changes a sample nor, but for the last bits, a gradient.
FREE = {"name", "steps", "epochs", "micro_batch", "compile", "activation_checkpointing", "shard_parameters",
        "loss.chunked", "log.every", "log.checkpoint", "log.keep", "data.shards", "data.workers", "data.max_broken",
        "evaluate.every", "evaluate.every_samples", "evaluate.shards", "evaluate.classification"}  # fmt: skip
# What may change, too, where that is asked for (``allow_changes``): the run is another from there on, and goes on.
CHANGEABLE = {"precision", "patch_dropout", "loss.label_smoothing", "data.crop", "data.draft", "optimizer.lr",
              "optimizer.warmup", "optimizer.weight_decay", "optimizer.betas", "optimizer.eps",
              "optimizer.clip_norm", "image.lr", "text.lr", "ema.decay", "ema.warmup"}  # fmt: skip


@dataclass(frozen=True)
class Start:
    """A run that may start or go on: ``recipe`` has the model's architecture, ``saved`` is its newest checkpoint."""

    recipe: TrainRecipe
    folder: Path
    shards: ShardSet | ShardStream
    tokenizer: Any
    config: PretrainedConfig
    record: RunRecord
    init_from: str | None
    saved: dict[str, Any] | None
    force: bool
    sets: EvaluationSets

    def write(self, group: ProcessGroup, tokenizer_only: bool = False) -> None:
        """Makes the folder that of the run; from here on it changes."""
        if group.is_main:
            record = replace(self.record, config=None) if tokenizer_only else self.record
            start_run(self.folder, record, to_yaml(self.recipe), self.force)
            if self.saved is None:
                self.tokenizer.save_pretrained(self.folder / "tokenizer")
        group.barrier()


def prepare(
    recipe: TrainRecipe,
    folder: Path,
    group: ProcessGroup,
    init_from: str | None = None,
    force: bool = False,
    allow_changes: bool = False,
) -> Start:
    """Looks at recipe, shards, folder and a former run in it, and agrees on them with all processes.

    Raises ``UsageError``, in all processes, where something does not fit; nothing in the folder has changed then.
    """
    tars, former, saved = group.together(lambda: _look(recipe, folder, group, init_from, force, allow_changes))
    agree(
        group,
        step=saved["step"] if saved else 0,
        run=former and former.id,
        shards=tars,
        recipe=recipe.model_dump() | {"data": recipe.data.model_dump(exclude={"shards", "workers"})},
    )
    shards = open_shards(recipe, folder, group)
    recipe = group.together(lambda: _in_steps(recipe, shards))
    group.together(lambda: _check_shards(recipe, shards))
    group.together(lambda: _check_frozen(recipe, former.init_from if saved else init_from))
    sets = group.together(lambda: open_sets(recipe.evaluate, folder))
    # From here on the recipe is what is written into the run and its model.
    data = recipe.data.model_copy(update={"shards": [shown(path) for path in recipe.data.shards]})
    evaluate = recipe.evaluate.model_copy(update={"shards": [shown(path) for path in recipe.evaluate.shards]})
    recipe = recipe.model_copy(update={"data": data, "evaluate": evaluate})
    tokenizer = _tokenizer(recipe, folder, shards, former, saved, init_from, group)
    fitting, config = group.together(lambda: _architecture(recipe, tokenizer, former if saved else None, init_from))
    record = RunRecord(
        former.id if saved else group.from_main(lambda: uuid.uuid4().hex),
        fitting.model_dump(mode="json"),
        tars,
        former.init_from if saved else init_from and os.path.abspath(init_from),
        fingerprint(tokenizer),
        to_plain(config),
    )
    agree(group, tokenizer=record.tokenizer, model=record.config)
    check_shared(folder, group, record.id)
    return Start(fitting, folder, shards, tokenizer, config, record, init_from, saved, force, sets)


def open_shards(recipe: TrainRecipe, folder: Path, group: ProcessGroup) -> ShardSet | ShardStream:
    """The shards of a recipe, to be read in any order, or streamed where one of them must be or all are to be."""
    tars = group.together(lambda: [tar for path in recipe.data.shards for tar in find_tars(path)])
    if recipe.data.stream or any(map(is_stream, tars)):
        shards = group.together(lambda: ShardStream(recipe.data.shards))
    else:
        shards = open_shard_set(recipe.data.shards, folder / INDEXES, group)
    if recipe.data.online_balancing:
        group.together(lambda: check_unbalanced(shards.tars))
    return shards


def _check_shards(recipe: TrainRecipe, shards: ShardSet | ShardStream) -> None:
    """Refuses a batch that would have samples twice, which are then trained as negatives of themselves, and a set of

    which more tars are damaged than samples may be.
    """
    if isinstance(shards, ShardStream):
        return
    if recipe.batch > (found := int(shards.counts.sum())):
        raise UsageError(f"batch: found {recipe.batch:,}; at most the {found:,} samples of the shards are allowed")
    if len(shards.damage) > max(1, recipe.data.max_broken * len(shards.tars)):
        raise UsageError(
            f"data.shards: {len(shards.damage):,} of {len(shards.tars):,} tars are damaged, data.max_broken allows "
            f"{recipe.data.max_broken:.1%}; the first is {shards.damaged()[0]}"
        )


def _look(recipe: TrainRecipe, folder: Path, group: ProcessGroup, init_from: str | None, force: bool, allow: bool):
    """The shards by name and size, the record of a former run and its newest checkpoint, where it is to go on."""
    if recipe.batch % group.world_size:
        raise UsageError(f"batch: found {recipe.batch}; a multiple of the {group.world_size} processes is allowed")
    if recipe.precision == "bfloat16" and group.device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise UsageError("precision: found bfloat16; this GPU has none, allowed: float32")
    given = recipe.data.shards
    tars = [tar for path in given for tar in find_tars(path)]
    inputs = [("data.shards", path) for path in (*tars, *given) if not is_url(path) and os.path.exists(local(path))]
    inputs += [("evaluate.shards", path) for path in recipe.evaluate.shards]
    inputs += [("evaluate.classification", path) for path in recipe.evaluate.classification]
    named = (("--init-from", init_from), ("tokenizer.path", recipe.tokenizer.path))
    inputs += [(option, path) for option, path in named if path is not None]
    check_run_folder(folder, inputs, force)
    listed = _names_and_sizes(tars, recipe.data.stream)
    former = None if force else read_record(folder)
    found = None if former is None else checkpoint.latest(folder / "checkpoints")
    if found is None:
        if former is not None and (folder / "model").exists():
            raise UsageError(f"--output {folder}: holds a model and no checkpoint to go on from; --force starts anew")
        if former is not None and former.config is not None:  # it ended before its first checkpoint
            _check_same_init(folder, former, init_from)
        return listed, former, None
    _check_same_run(folder, former, recipe, listed, init_from, CHANGEABLE if allow else set())
    return listed, former, checkpoint.load(found)


def _names_and_sizes(tars: list[str], streamed: bool) -> list[list]:
    """What a run remembers of its shards: a name without credentials, and the bytes where they are known."""
    read = [tar for tar in tars if not tar.startswith("pipe:") and not (streamed and is_http(tar))]
    sizes = dict(zip(read, (int(state.split()[0]) for state in tar_states(read)), strict=True))
    return [[shown(tar) if is_url(tar) or tar not in sizes else os.path.basename(tar), sizes.get(tar)] for tar in tars]


def _check_same_run(
    folder: Path, former: RunRecord, recipe: TrainRecipe, tars: list, init_from: str | None, allowed: set[str]
) -> None:
    """Refuses to go on with a run of another recipe, but for keys that are ``allowed``, other shards or weights."""
    then = TrainRecipe.model_validate(former.recipe)
    then = then.model_copy(update={"model": _with_normalisation(then.model)})
    normal = normalisation(then.model)
    model = fitted(recipe.model, from_plain(former.config), f"the run in {folder}", normal)
    recipes = recipe.model_copy(update={"model": model}), then
    now, then = (dict(_flat(given.model_dump(mode="json"))) for given in recipes)
    for key in sorted(now.keys() | then.keys()):
        if key not in FREE | allowed and now.get(key) != then.get(key):
            hint = ", or --allow-changes to go on with another" if key in CHANGEABLE else ""
            raise UsageError(
                f"--output {folder}: {key}: its run has {then.get(key)!r}, the recipe {now.get(key)!r}; "
                f"give another folder, --force to start anew{hint}"
            )
    if tars != former.shards:
        at = next((i for i, pair in enumerate(zip(tars, former.shards, strict=False)) if pair[0] != pair[1]), None)
        what = (f"its run has {len(former.shards):,} shards, found {len(tars):,}" if at is None else
                f"shard {at + 1} of its run is {_named(former.shards[at])}, found {_named(tars[at])}")  # fmt: skip
        raise UsageError(f"--output {folder}: data.shards: {what}; give another folder, or --force to start anew")
    if init_from is not None:
        _check_same_init(folder, former, init_from)


def _check_same_init(folder: Path, former: RunRecord, init_from: str | None) -> None:
    if (init_from and os.path.abspath(init_from)) != former.init_from:
        given = f"--init-from {init_from}" if init_from else "--init-from is not given"
        raise UsageError(
            f"{given}: the run in {folder} started from {former.init_from or 'fresh weights'}; --force starts anew"
        )


def _named(shard: list) -> str:
    return shard[0] if shard[1] is None else f"{shard[0]} of {shard[1]:,} bytes"


def _flat(values: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield before + key, value


def _tokenizer(recipe: TrainRecipe, folder: Path, shards, former, saved, init_from: str | None, group: ProcessGroup):
    """The run's own tokenizer where it goes on; else that of the given model, the recipe's, or one trained now."""
    options, own = recipe.tokenizer, folder / "tokenizer"
    if saved is not None:
        tokenizer = group.together(lambda: load_tokenizer(own))
        if fingerprint(tokenizer) != former.tokenizer:
            raise UsageError(f"{own}: is not the tokenizer that the run was started with; --force starts anew")
        return tokenizer
    for option, given in (("--init-from", init_from), ("tokenizer.path", options.path)):
        if given is not None and not (given == init_from and options.path and lacks_tokenizer(given)):
            return group.together(partial(load_tokenizer, given, options.length, option))
    if former is not None and former.recipe["tokenizer"] == options.model_dump(mode="json") and own.is_dir():
        tokenizer = group.from_main(lambda: load_tokenizer(own))  # --tokenizer-only made it
        if fingerprint(tokenizer) == former.tokenizer:
            return tokenizer
    return group.from_main(lambda: train_tokenizer(shards.texts(MAX_TEXTS), options.vocabulary, options.length))


def _architecture(recipe: TrainRecipe, tokenizer, former: RunRecord | None, init_from: str | None):
    """The recipe with the model's architecture, and that as a configuration."""
    named = "length" in recipe.tokenizer.model_fields_set
    if former is not None:
        config, where = from_plain(former.config), "the run's model"
        normal = normalisation(Model.model_validate(former.recipe["model"]))
    elif init_from is not None:
        config, where = given_config(init_from), f"--init-from {init_from}"
        normal = given_normalisation(init_from, config)
    else:
        tokens = tokenizer_config(tokenizer, recipe.model.kind)
        config, where = new_config(recipe.model, tokens, recipe.loss.name == "siglip"), "the recipe's model"
        fit_length(tokenizer, config, named=True)
        check_pooling(tokenizer, config, where)
        return recipe.model_copy(update={"model": _with_normalisation(recipe.model)}), config
    fit_length(tokenizer, config, named)
    check_pooling(tokenizer, config, where)
    fitting = recipe.model_copy(update={"model": fitted(recipe.model, config, where, normal)})
    # Its architecture may make other keys impossible.
    return validated(TrainRecipe, fitting.model_dump(), recipe.name), config


def _with_normalisation(model: Model) -> Model:
    return model.model_copy(update=normalisation(model))


def _in_steps(recipe: TrainRecipe, shards: ShardSet | ShardStream) -> TrainRecipe:
    """A recipe of epochs as one of steps, in which every sample is seen as often, at least."""
    if recipe.epochs is None:
        return recipe
    if isinstance(shards, ShardStream):
        raise UsageError("epochs: shards that are streamed have no known size; use steps")
    if recipe.data.online_balancing:
        raise UsageError("epochs: with data.online_balancing each is of another size; use steps")
    steps = math.ceil(recipe.epochs * int(shards.counts.sum()) / recipe.batch)
    return recipe.model_copy(update={"steps": steps, "epochs": None})


def _check_frozen(recipe: TrainRecipe, init_from: str | None) -> None:
    if recipe.frozen and init_from is None:
        name = recipe.frozen[0]
        raise UsageError(f"{name}.frozen: the tower would keep random weights; --init-from gives it others")
