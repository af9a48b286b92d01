"""What is compared: recipes, pool, scale, seeds and evaluation sets; all of it looked at before anything starts."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import storage
from pipeline.errors import UsageError
from pipeline.overlap import lies_in
from pipeline.paths import is_url
from pipeline.recipe import Recipe, load_recipe
from pipeline.train.recipe import TrainRecipe, load_train_recipe

COMPARISON = "comparison.json"
RANDOM = "random"


@dataclass(frozen=True)
class Candidate:
    """A recipe of a comparison, with settings of its own. ``label``: its name in tables and folders."""

    label: str
    recipe: str
    settings: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "Candidate":
        """``NAME`` or ``NAME:key=value,key=value``; NAME is a bundled recipe or a YAML file."""
        recipe, _, settings = text.partition(":")
        found = tuple(re.split(r",(?=[\w.]+=)", settings)) if settings else ()
        label = "-".join([re.sub(r"\.ya?ml$", "", Path(recipe).name), *(setting.split(".")[-1] for setting in found)])
        return cls(re.sub(r"[^A-Za-z0-9._]+", "-", label).strip("-."), recipe, found)

    def load(self, comparison: "Comparison", *more: str) -> Recipe:
        """The validated recipe, over the comparison's pool and with its settings."""
        return load_recipe(self.recipe, [*comparison.settings, *self.settings, *more], list(comparison.pool))


@dataclass(frozen=True)
class Comparison:
    """Everything that a comparison is of.

    ``settings`` are for all recipes, ``training`` for the training recipe ``scale``. ``random_as``: the recipe whose
    size the recipe ``random`` has. ``processes``: of a training, one a GPU.
    """

    recipes: tuple[str, ...]
    pool: tuple[str, ...]
    output: Path
    classification: tuple[str, ...] = ()
    retrieval: tuple[str, ...] = ()
    scale: str = "nano"
    seeds: int = 3
    settings: tuple[str, ...] = ()
    training: tuple[str, ...] = ()
    random_as: str | None = None
    processes: int = 1

    @property
    def candidates(self) -> list[Candidate]:
        """The recipes, in the order given."""
        return [Candidate.of(recipe) for recipe in self.recipes]

    def reference(self) -> Candidate | None:
        """The recipe whose size a random choice has: the one that is named, else the last that chooses."""
        found = {one.label: one for one in self.candidates if one.recipe != RANDOM}
        if self.random_as is not None:
            if self.random_as not in found:
                raise UsageError(f"--random-as {self.random_as}: allowed: {', '.join(found)}")
            return found[self.random_as]
        chosen = [one for one in found.values() if one.recipe != "none"]
        return chosen[-1] if chosen else None

    def train_recipe(self, *more: str) -> TrainRecipe:
        """The training that every candidate gets."""
        return load_train_recipe(self.scale, [*self.training, *more])

    def check(self) -> None:
        """Raises ``UsageError`` where anything is wrong with recipes, training, evaluation sets or output."""
        labels = [one.label for one in self.candidates]
        if len(labels) < 2:
            raise UsageError(f"--recipes: two or more are compared, found {len(labels)}")
        if twice := [label for label in labels if labels.count(label) > 1]:
            raise UsageError(f"--recipes: {twice[0]} is given twice")
        if not self.classification and not self.retrieval:
            raise UsageError(
                "--classification, --retrieval: give at least one of them; what is compared is measured there"
            )
        if self.reference() is None and any(one.recipe == RANDOM for one in self.candidates):
            raise UsageError("--recipes: random is as large as another recipe's set; give one that chooses, too")
        for one in self.candidates:
            one.load(self, *(["balance.size=1"] if one.recipe == RANDOM else []))
        for option, paths in (
            ("--pool", self.pool),
            ("--classification", self.classification),
            ("--retrieval", self.retrieval),
        ):
            for path in paths:
                if not is_url(path) and not storage.list_files(path) and not Path(path).exists():
                    raise UsageError(f"{option} {path}: no such file or folder")
                if not is_url(path) and lies_in(path, str(self.output)):
                    raise UsageError(f"--output {self.output}: holds {path}, which {option} names; give a folder apart")
        for setting in self.training:
            if setting.split("=")[0] in ("seed", "data.shards"):
                raise UsageError(f"--set-training {setting}: is set for each training; allowed are other keys")
        if self.train_recipe().steps is None:
            raise UsageError(f"--scale {self.scale}: compute is equal by steps, found epochs; give steps")

    def told(self) -> dict[str, Any]:
        """What must be the same for all trainings that are compared, as JSON."""
        recipe = self.train_recipe().model_dump(mode="json")
        same = {key: value for key, value in recipe.items() if key not in ("seed", "log")}
        same["data"].pop("shards")
        return {"pool": list(self.pool), "settings": list(self.settings), "training": same,
                "classification": list(self.classification), "retrieval": list(self.retrieval)}  # fmt: skip

    def start(self, force: bool) -> None:
        """Writes what is compared into the output. ``UsageError`` where the output is of another comparison."""
        file = self.output / COMPARISON
        if file.is_file() and not force:
            try:
                there = json.loads(file.read_text("utf-8"))
            except ValueError:
                there = {}
            if differing := [key for key, value in self.told().items() if there.get(key) != value]:
                raise UsageError(
                    f"--output {self.output}: holds a comparison with another {differing[0]}, whose results are not of "
                    "equal compute; give another folder, or --force"
                )
        elif self.output.is_dir() and not file.is_file() and any(self.output.iterdir()):
            raise UsageError(f"--output {self.output}: not empty, and no comparison; give another folder")
        self.output.mkdir(parents=True, exist_ok=True)
        storage.write_json(str(file), self.told())
