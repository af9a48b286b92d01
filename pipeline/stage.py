"""What a stage says of itself, so that the main path needs to know none of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.recipe import Recipe
from pipeline.record import Record
from pipeline.run import Outcome, Request, Run


def _always(recipe: Recipe) -> bool:
    return True


def _no_files(recipe: Recipe, found: Any) -> list:
    return []


def _nothing(record: Record) -> int:
    return 0


def _all(found: Any) -> Any:
    return found


def _little(recipe: Recipe, found: Any) -> int:
    return 0


def _unchecked(request: Request) -> None:
    return None


@dataclass(frozen=True, eq=False)
class Stage:
    """A stage, declared in the ``stage.py`` of its folder and listed in ``stages.py``.

    ``tables`` are folders of the output that it writes to staging, with what the README says of them. Those ``beside``
    hold what belongs to a table: hidden ones in it, or one that grows in its place. ``reads`` names the stages whose
    tables it reads.

    - ``run`` does the work; it raises ``UsageError`` or ``PipelineError`` and has changed no table then.
    - ``depends``: all of the recipe that its tables depend on, as plain values by key. It looks at no file that may be
      missing where the stage does not run.
    - ``in_recipe``: whether a recipe has the stage.
    - ``check`` raises ``UsageError`` for what is wrong, before anything starts; what it returns is ``run.found``.
    - ``files``: the files from outside the output that the tables depend on, with sizes and times.
    - ``is_there``: whether what a finished stage wrote outside of the output is there still.
    - ``missing``: how much of its input a finished stage did not get. The next run asks for it again; where it gets no
      more, the stage stays as it is.
    - ``add`` does what ``run`` does where the input grew, and reads only what is new; it gets the stage's record of
      before. Stages before wrote their tables to staging. None where that cannot be: then ``run`` does all of it.
    - ``known``: what ``check`` found, less what is added.
    - ``spark``: whether it makes DataFrames, so that the run needs Spark.
    - ``most_bytes``: what a run from this stage on takes of the output's disk at the very most, as far as it can be
      told without a look into the input. Where that much is not free, a sample is looked at before the run begins.
    """

    name: str
    title: str
    tables: dict[str, str]
    run: Callable[[Run], Outcome]
    depends: Callable[[Recipe], dict[str, Any]]
    reads: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    in_recipe: Callable[[Recipe], bool] = _always
    check: Callable[[Request], Any] = _unchecked
    files: Callable[[Recipe, Any], list] = _no_files
    is_there: Callable[[Recipe], bool] = _always
    missing: Callable[[Record], int] = _nothing
    add: Callable[[Run, Record], Outcome | None] | None = None
    known: Callable[[Any], Any] = _all
    most_bytes: Callable[[Recipe, Any], int] = _little
    spark: bool = False

    @property
    def folders(self) -> tuple[str, ...]:
        """All that it leaves in the output."""
        return (*self.tables, *self.beside)
