"""``append``: new input files for a finished output, whose recipe they are added to."""

from typing import Any

from pipeline import storage
from pipeline.curate import curate
from pipeline.errors import UsageError
from pipeline.fitting import load_finished
from pipeline.ingest.plan import find_files
from pipeline.progress import say
from pipeline.recipe import recipe_of
from pipeline.record import MANIFEST
from pipeline.removal import finish
from pipeline.stages import stages_of


def append(output: str, inputs: list[str], strict: bool = False) -> dict[str, Any]:
    """Adds input files to an output, and returns the summary that it wrote there.

    An output that is not finished is finished, with the new files; so is one whose append was stopped. Raises
    ``UsageError`` where a file was added before.
    """
    place = storage.absolute(output)
    if finish(place):
        say(f"{output}: a removal that was stopped is finished")
    recipe = recipe_of(output, "--output")
    paths = recipe.input.paths
    whole = storage.exists(storage.join(place, MANIFEST))
    whole = whole and all(load_finished(place, stage) for stage in stages_of(recipe))
    grown = recipe.input.model_copy(update={"paths": list(dict.fromkeys([*paths, *inputs]))})
    if whole:
        if given := [path for path in inputs if path in paths]:
            raise UsageError(f"--append {given[0]}: was added before")
        return curate(recipe.model_copy(update={"input": grown}), output, strict=strict, added=tuple(inputs))
    say(f"{output} is not finished: all of its input is looked at.")
    if {*find_files(inputs)} <= {*find_files(paths)}:
        return curate(recipe, output, strict=strict)
    return curate(recipe.model_copy(update={"input": grown}), output, strict=strict)
