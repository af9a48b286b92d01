"""The recipe beside a set against what the records say that its tables were made with."""

from collections.abc import Iterator

from pipeline.errors import UsageError
from pipeline.fitting import Fit, differences, shown
from pipeline.stages import stages_of
from pipeline.verify.opened import RECIPE, Opened

# What the lists hold is told by their digests; the files may lie elsewhere, or be gone.
FROM_FILES = ("entries", "aliases", "language.aliases")


def check_recipe(found: Opened) -> Iterator[str]:
    """What the recipe says otherwise, and stages that were made of other tables than those here."""
    try:
        fit = Fit(found.recipe, stages_of(found.recipe))
    except UsageError as problem:
        yield f"{RECIPE}: {problem}"
        return
    told = set()
    for stage, record in found.records.items():
        for key, made, says in differences(record.depends, fit.depends[stage]):
            if key.split(".")[0] not in FROM_FILES and not key.startswith(FROM_FILES) and key not in told:
                told.add(key)
                yield f"{RECIPE}: {key} is {shown(says)}, but {stage} was made with {shown(made)}"
        for name, origin in record.before.items():
            if name in found.records and found.records[name].fingerprint != origin["fingerprint"]:
                yield f".stages/{stage}.json: was made of other tables of {name} than those here"
