"""What a training does: the recipe, its keys and their allowed values.

The defaults are the hyper-parameters of CLIP and MetaCLIP (Radford et al. 2021, table 18; Xu et al. 2023, appendix).
``model.vision`` and ``model.text`` take any key of the model's own configuration in ``transformers``.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr, model_validator

from pipeline.recipe_file import BUNDLED, Section, override, read, section, validated

FOLDER = BUNDLED / "train"

Count = Annotated[StrictInt, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Channels = tuple[Positive, Positive, Positive]
TOWERS = ("image", "text")


class Data(Section):
    """The shards, and how samples are drawn and read from them."""

    shards: list[StrictStr] = Field(default_factory=list)
    stream: StrictBool = False
    shuffle_shards: Count = 10
    workers: Annotated[StrictInt, Field(ge=0)] | None = None
    online_balancing: StrictBool = False
    max_broken: Share = 0.01
    draft: StrictBool = False
    crop: tuple[Share, Share] = (0.9, 1.0)


class Model(Section):
    """The two towers, built from scratch."""

    kind: Literal["clip", "metaclip2", "align", "siglip"] = "clip"
    image_size: Count = 224
    projection: Count = 512
    mean: Channels | None = None
    std: Channels | None = None
    vision: dict[StrictStr, Any] = Field(default_factory=dict)
    text: dict[StrictStr, Any] = Field(default_factory=dict)


class Tokenizer(Section):
    """A tokenizer's folder, or none: one is trained from the texts of the shards."""

    path: StrictStr | None = None
    vocabulary: Annotated[StrictInt, Field(ge=260)] = 49_408
    length: Annotated[StrictInt, Field(ge=3)] = 77


class Optimizer(Section):
    """The optimizer and its schedule: linear warm-up, then a cosine to zero."""

    name: Literal["adamw", "lamb"] = "adamw"
    lr: Positive = 5e-4
    warmup: Annotated[StrictInt, Field(ge=0)] = 2000
    weight_decay: Annotated[float, Field(ge=0)] = 0.2
    betas: tuple[Share, Share] = (0.9, 0.98)
    eps: Positive = 1e-6
    clip_norm: Positive | None = None


class Tower(Section):
    """How one of the towers learns: with the optimizer's learning rate or one of its own, or not at all."""

    lr: Positive | None = None
    frozen: StrictBool = False


class Ema(Section):
    """An exponential moving average of the weights, which is evaluated and exported in their place."""

    decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    warmup: Annotated[StrictInt, Field(ge=0)] | None = None


class Loss(Section):
    """CLIP's softmax loss, or SigLIP's sigmoid loss."""

    name: Literal["clip", "siglip"] = "clip"
    label_smoothing: Share = 0.0
    chunked: StrictBool = False


class Evaluate(Section):
    """Evaluation while the model trains: how often, and on what."""

    every: Count | None = None
    every_samples: Count | None = None
    shards: list[StrictStr] = Field(default_factory=list)
    classification: list[StrictStr] = Field(default_factory=list)


class Log(Section):
    """How often what is written."""

    every: Count = 10
    checkpoint: Count = 1000
    keep: Count = 2


class TrainRecipe(Section):
    """A whole training, as in ``docs/training.md``."""

    name: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    seed: Annotated[StrictInt, Field(ge=0, lt=2**63)] = 0
    data: Data = Data()
    model: Model = Model()
    tokenizer: Tokenizer = Tokenizer()
    batch: Count = 32_768
    micro_batch: Count | Literal["auto"] | None = None
    steps: Count | None = None
    epochs: Positive | None = None
    optimizer: Optimizer = Optimizer()
    image: Tower = Tower()
    text: Tower = Tower()
    ema: Ema = Ema()
    loss: Loss = Loss()
    patch_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: StrictBool = False
    activation_checkpointing: StrictBool = False
    shard_parameters: StrictBool = False
    evaluate: Evaluate = Evaluate()
    log: Log = Log()

    @property
    def frozen(self) -> tuple[str, ...]:
        """The towers that do not learn."""
        return tuple(name for name in TOWERS if getattr(self, name).frozen)

    @model_validator(mode="after")
    def _fits(self):
        if (self.steps is None) == (self.epochs is None):
            found = "neither" if self.steps is None else "both"
            raise ValueError(f"steps, epochs: found {found}; exactly one is allowed (the other null)")
        if self.model.kind == "align" and self.patch_dropout:
            raise ValueError("patch_dropout: an ALIGN model has no patches; allowed: 0")
        if self.model.kind == "align" and self.micro_batch not in (None, "auto"):
            raise ValueError("micro_batch: batch norm makes cached gradients differ from the whole batch's; use null")
        if isinstance(self.micro_batch, int) and self.micro_batch > self.batch:
            raise ValueError(f"micro_batch: found {self.micro_batch}; at most batch, {self.batch}, is allowed")
        if self.shard_parameters and (self.model.kind == "align" or self.optimizer.name == "lamb"):
            raise ValueError("shard_parameters: not for ALIGN models, nor with lamb; allowed here: false")
        if self.model.kind == "siglip" and self.loss.name != "siglip":
            raise ValueError(f"loss.name: found '{self.loss.name}'; for a SigLIP model siglip is allowed")
        if self.loss.name == "siglip" and self.loss.label_smoothing:
            raise ValueError("loss.label_smoothing: SigLIP's loss has none; allowed: 0")
        if self.loss.name != "siglip" and self.loss.chunked:
            raise ValueError("loss.chunked: for loss.name siglip; allowed here: false")
        return self

    @model_validator(mode="after")
    def _towers_fit(self):
        if len(self.frozen) == len(TOWERS):
            raise ValueError("image.frozen, text.frozen: found both; one tower at most is allowed")
        for name in self.frozen:
            if getattr(self, name).lr is not None:
                raise ValueError(f"{name}.lr: the tower is frozen; allowed: null")
        if self.image.frozen and self.patch_dropout:
            raise ValueError("patch_dropout: the image tower is frozen; allowed: 0")
        if self.ema.decay is None and self.ema.warmup is not None:
            raise ValueError("ema.warmup: there is no ema.decay; allowed: null")
        return self

    @model_validator(mode="after")
    def _evaluation_fits(self):
        wanted = self.evaluate
        if wanted.every is not None and wanted.every_samples is not None:
            raise ValueError("evaluate.every, evaluate.every_samples: found both; one at most is allowed")
        often, sets = wanted.every or wanted.every_samples, wanted.shards or wanted.classification
        if often and not sets:
            raise ValueError("evaluate: no sets; give evaluate.shards or evaluate.classification")
        if sets and not often:
            raise ValueError("evaluate.every: found none; steps, or evaluate.every_samples, are needed with sets")
        return self


def load_train_recipe(
    name_or_file: str, overrides: list[str] | None = None, shards: list[str] | None = None
) -> TrainRecipe:
    """The validated recipe of a bundled name or a YAML file, with ``key=value`` overrides and shards put in."""
    content = read(FOLDER, name_or_file)
    for setting in overrides or []:
        override(content, setting)
    if shards:
        content["data"] = section(content, "data") | {"shards": list(shards)}
    return validated(TrainRecipe, content, name_or_file)
