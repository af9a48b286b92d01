"""What is compared: recipes, pool, scale, seeds and evaluation sets; all of it looked at before anything starts."""

import hashlib
import json
import re
import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import storage
from pipeline.errors import UsageError
from pipeline.overlap import lies_in
from pipeline.paths import is_url, local
from pipeline.recipe import Recipe, load_recipe
from pipeline.secrets import without_secrets
from pipeline.train.recipe import TrainRecipe, load_train_recipe

COMPARISON, SETS, RUNS, TOKENIZER = "comparison.json", "sets", "runs", "tokenizer"
RANDOM = "random"
LONGEST = 100  # characters of a label, which is a folder's name


@dataclass(frozen=True)
class Candidate:
    """A recipe of a comparison, with settings of its own. ``label``: its name in tables and folders."""

    label: str
    recipe: str
    settings: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "Candidate":
        """``NAME`` or ``NAME:key=value,key=value``; NAME is a bundled recipe or a YAML file."""
        recipe, _, settings = (text, "", "") if Path(text).is_file() else text.partition(":")
        found = tuple(re.split(r",(?=[\w.]+=)", settings)) if settings else ()
        of_settings = (setting.partition("=") for setting in found)
        parts = [key.rpartition(".")[2] + "-" + value for key, _, value in of_settings]
        label = "-".join([re.sub(r"\.ya?ml$", "", Path(recipe).name), *parts])
        label = re.sub(r"[^\w.]+", "-", label).strip("-.") or "recipe"
        if len(label.encode()) > LONGEST:
            label = f"{label[: LONGEST // 4]}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"
        return cls(label, recipe, found)

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
        if len(self.recipes) < 2:
            raise UsageError(f"--recipes: two or more are compared, found {len(self.recipes)}")
        called: dict[str, str] = {}
        for one, text in zip(self.candidates, self.recipes, strict=True):
            if before := called.get(name := one.label.casefold()):
                both = f"{text} is given twice" if before == text else f"{before} and {text} have one name, {one.label}"
                raise UsageError(f"--recipes: {both}; give recipes that are told apart by file name and settings")
            called[name] = text
        if not self.classification and not self.retrieval:
            raise UsageError(
                "--classification, --retrieval: give at least one of them; what is compared is measured there"
            )
        if self.reference() is None and any(one.recipe == RANDOM for one in self.candidates):
            raise UsageError("--recipes: random is as large as another recipe's set; give one that chooses, too")
        for one in self.candidates:
            recipe = one.load(self, *(["balance.size=1"] if one.recipe == RANDOM else []))
            images = recipe.images
            if not (images.fetch or images.root or images.tars):
                raise UsageError(
                    f"--recipes {one.label}: has no images, which a model is trained on; set images.root with "
                    "images.prefix, images.tars or images.fetch"
                )
            if recipe.shards.folder is not None:
                raise UsageError(f"--recipes {one.label}: shards.folder: the shards of each recipe go into its own set")
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
        self._check_held_out()

    def _check_held_out(self) -> None:
        """Raises ``UsageError`` where an evaluation set is none: it is read when the first model has been trained."""
        from pipeline.train.given import find_tars

        for path in self.retrieval:
            find_tars(path, "--retrieval")
        for path in self.classification:
            if is_url(path):
                raise UsageError(f"--classification {path}: a URL; a folder of this machine is allowed")
        if self.classification:
            with ProcessPoolExecutor(1) as process:  # which has torch in memory no longer than that
                process.submit(_open_datasets, self.classification).result()

    def told(self) -> dict[str, Any]:
        """What must be the same for all trainings that are compared, as JSON; URLs without keys."""
        recipe = self.train_recipe().model_dump(mode="json")
        same = {key: value for key, value in recipe.items() if key not in ("seed", "log")}
        same["data"].pop("shards")
        return without_secrets({"pool": self.pool, "settings": self.settings, "training": same,
                "classification": self.classification, "retrieval": self.retrieval})  # fmt: skip

    def refuse(self, force: bool) -> None:
        """Raises ``UsageError`` where the output is of another comparison, or of something else."""
        file = self.output / COMPARISON
        if file.is_file():
            if differing := [] if force else self._differing():
                raise UsageError(
                    f"--output {self.output}: holds a comparison with another {differing[0]}, whose results are not of "
                    "equal compute; give another folder, or --force"
                )
        elif self.output.exists() and (not self.output.is_dir() or _visible(self.output)):
            raise UsageError(f"--output {self.output}: not empty, and no comparison; give another folder")

    def start(self) -> None:
        """Writes what is compared into the output; first removes what another comparison trained and measured there.

        So what a comparison that is ended leaves is never taken for results of another.
        """
        if (self.output / COMPARISON).is_file() and self._differing():
            for folder in (RUNS, TOKENIZER):
                shutil.rmtree(self.output / folder, ignore_errors=True)
        storage.write_json(str(self.output / COMPARISON), self.told())

    def _differing(self) -> list[str]:
        """The keys in which the comparison in the output is another."""
        try:
            there = json.loads((self.output / COMPARISON).read_text("utf-8"))
        except ValueError:
            there = None
        there = there if isinstance(there, dict) else {}
        return [key for key, value in self.told().items() if there.get(key) != value]


def _open_datasets(folders: tuple[str, ...]) -> None:
    from pipeline.train.classification import open_dataset

    for folder in folders:
        open_dataset(Path(local(folder)))


def _visible(folder: Path) -> list[Path]:
    """What is in a folder, but for the lock that a comparison which was ended at once leaves."""
    return [path for path in folder.iterdir() if not path.name.startswith(".")]
