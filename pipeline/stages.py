"""The stages in their order: the list that a new one is put into."""

from collections.abc import Iterable

from pipeline.balance.again.stage import STAGE as rebalance
from pipeline.balance.stage import STAGE as balance
from pipeline.dedupe.stage import STAGE as dedupe
from pipeline.extract.stage import STAGE as extract
from pipeline.filter.stage import STAGE as filtering
from pipeline.images.stage import STAGE as images
from pipeline.ingest.stage import STAGE as ingest
from pipeline.match.stage import STAGE as match
from pipeline.recipe import Recipe
from pipeline.shards.stage import STAGE as shards
from pipeline.stage import Stage

STAGES = (extract, ingest, match, dedupe, balance, images, filtering, rebalance, shards)


def named(name: str) -> Stage:
    """The stage of a name."""
    return next(stage for stage in STAGES if stage.name == name)


def stages_of(recipe: Recipe, names: Iterable[str] | None = None) -> list[Stage]:
    """The stages that a recipe has, or those of some names, in order."""
    return [stage for stage in STAGES if (stage.name in names if names else stage.in_recipe(recipe))]


def stages_before(stage: Stage, recipe: Recipe) -> list[Stage]:
    """The stages of a recipe whose tables a stage reads."""
    return [before for before in stages_of(recipe) if before.name in stage.reads]


def stages_from(stage: Stage) -> tuple[Stage, ...]:
    """A stage and all later ones."""
    return STAGES[STAGES.index(stage) :]
