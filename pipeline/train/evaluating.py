"""Evaluation while a model trains: retrieval and zero-shot classification, of the averaged weights where there are any.

The model is used beside the training, by weights that are its own and no copies; nothing of the training changes. All
processes take part, and wait for each other as long as it takes.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from pipeline.errors import PipelineError
from pipeline.progress import say
from pipeline.train.classification import ClassificationDataset, classify, dataset_names, open_dataset
from pipeline.train.distributed import ProcessGroup
from pipeline.train.embedding import embed_shards
from pipeline.train.encoder import Encoder, bfloat16_fits
from pipeline.train.fsdp import whole
from pipeline.train.metrics import FIRSTS, PREFIX
from pipeline.train.models import build_processor, meta_model
from pipeline.train.recipe import Evaluate, TrainRecipe
from pipeline.train.retrieval import RECALL_AT, pairs_of, retrieval
from pipeline.train.run_folder import INDEXES
from pipeline.train.shards import ShardSet

if TYPE_CHECKING:
    from pipeline.train.state import TrainState

VECTORS = ".evaluation"
FAILED = f"{PREFIX}failed"


class Stopped(PipelineError):
    """A signal came while the model was evaluated."""


@dataclass
class EvaluationSets:
    """What a model is evaluated on: shards, for retrieval, and data sets by name, for classification."""

    shards: ShardSet | None = None
    classification: dict[str, ClassificationDataset] = field(default_factory=dict)


def open_sets(options: Evaluate, folder: Path) -> EvaluationSets:
    """The sets of a recipe. ``UsageError`` where one is not there or is none. ``folder``: of the run."""
    shards = ShardSet(options.shards, folder / INDEXES, "evaluate.shards") if options.shards else None
    folders = [Path(path) for path in options.classification]
    opened = [open_dataset(path, "evaluate.classification") for path in folders]
    return EvaluationSets(shards, dict(zip(dataset_names(folders), opened, strict=True)))


class TrainingEncoder(Encoder):
    """The towers of a model in training, for use."""

    def __init__(self, model: PreTrainedModel, recipe: TrainRecipe, tokenizer: Any, device: torch.device, name: str):
        self.device, self.name = device, name
        self.half = bfloat16_fits(device)
        self._take(model, build_processor(recipe.model), tokenizer)

    def fingerprint(self) -> str:
        """Of the run and the step."""
        return self.name


def beside(config: PretrainedConfig, tensors: dict[str, Tensor]) -> PreTrainedModel:
    """A model of a configuration whose parameters and buffers are these tensors, by name, and no copies."""
    with torch.device("meta"):
        model = meta_model(config)
    for name, tensor in tensors.items():
        owner, _, leaf = name.rpartition(".")
        module = model.get_submodule(owner)
        if leaf in module._parameters:
            module._parameters[leaf] = nn.Parameter(tensor, requires_grad=False)
        else:
            module._buffers[leaf] = tensor
    return model.eval()


class Evaluator:
    """When a run is evaluated, and what it then gives."""

    def __init__(self, recipe: TrainRecipe, sets: EvaluationSets, config: PretrainedConfig, folder: Path, run: str):
        """``run``: the run's id."""
        self.recipe, self.sets, self.config, self.folder, self.run = recipe, sets, config, folder, run

    def due(self, step: int) -> bool:
        """Whether the model is evaluated after so many steps; at the end of the run it always is."""
        options, batch = self.recipe.evaluate, self.recipe.batch
        if options.every is not None:
            return step > 0 and (step % options.every == 0 or step == self.recipe.steps)
        if options.every_samples is not None:
            passed = step * batch // options.every_samples > (step - 1) * batch // options.every_samples
            return step > 0 and (passed or step == self.recipe.steps)
        return False

    def missing(self, step: int, evaluated: int) -> bool:
        """Whether a step is one of them, and the last that was evaluated, ``evaluated``, is before it."""
        return self.due(step) and evaluated < step

    def evaluate(
        self, state: "TrainState", tokenizer: Any, group: ProcessGroup, stops: Callable[[], bool]
    ) -> dict[str, Any] | None:
        """The results by name, or None where the run is to stop; all processes call this.

        What fails is said and is a result, too: a set that cannot be read for a while does not end a training.
        """
        tensors = {name: whole(tensor) for name, tensor in _named(state.towers.model)}
        if state.average is not None:
            averages = {name: whole(value) for name, value in state.average.values.items()}
            tensors |= {name: averages[f"model.{name}"] for name in tensors if f"model.{name}" in averages}
        encoder = TrainingEncoder(
            beside(self.config, tensors), self.recipe, tokenizer, group.device, f"{self.run} {state.step}"
        )

        def advance(_done: int) -> None:
            if stops():
                raise Stopped("stopped")

        try:
            found = self._retrieve(encoder, group, advance)
            for name, data in self.sets.classification.items():
                result = classify(encoder, data, group, advance)
                values = {key: result[key]["value"] for key in ("top_1", "top_5")}
                values |= {"mean_class_recall": result["mean_class_recall"]}
                found |= {f"{PREFIX}{name}/{key}": value for key, value in values.items()}
        except Stopped:
            return None
        except PipelineError as error:
            if group.any(stops()):  # It may have ended a worker, too.
                return None
            if group.is_main:
                say(f"Step {state.step:,} could not be evaluated, and training goes on: {error}")
            return {FAILED: str(error)}
        finally:
            if group.device.type == "cuda":
                torch.cuda.empty_cache()
        if group.is_main:
            firsts = (f"{key.removeprefix(PREFIX)} {value:.1%}" for key, value in found.items() if key.endswith(FIRSTS))
            say(f"Step {state.step:,}: {', '.join(firsts)}")
        return found

    def _retrieve(self, encoder: Encoder, group: ProcessGroup, advance: Callable[[int], None]) -> dict[str, float]:
        shards = self.sets.shards
        if shards is None:
            return {}
        folder = self.folder / VECTORS
        group.from_main(lambda: shutil.rmtree(folder, ignore_errors=True))  # of a step that was evaluated in part
        embedded = embed_shards(encoder, shards, folder, group, advance, with_texts=True)
        result = group.from_main(lambda: retrieval(pairs_of(embedded, shards))["all"])
        group.from_main(lambda: shutil.rmtree(folder, ignore_errors=True))
        return {
            f"{PREFIX}retrieval/{way}_recall@{k}": result[way][f"recall@{k}"]["value"]
            for way in ("text_to_image", "image_to_text")
            for k in RECALL_AT
        }


def _named(model: PreTrainedModel) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()
