"""What a run would do: rows, bytes, memory and time by stage, from a sample of its input."""

import tempfile
from dataclasses import dataclass, field, replace

from pipeline import engine
from pipeline.entries.lists import load_lists
from pipeline.extract.options import KINDS
from pipeline.ingest.plan import Plan, plan
from pipeline.ingest.presets import crawl_input
from pipeline.match.matchers import Matchers
from pipeline.plan import cost, sizes
from pipeline.plan.clock import Clock
from pipeline.plan.crawl import Crawled, crawled
from pipeline.plan.curated import Chances, drawn
from pipeline.plan.sample import Sample, draw_sample
from pipeline.plan.texts import Pairs, matched_pairs, near_duplicates, ready
from pipeline.recipe import Recipe, filters, makes_dataframes

ROWS = 200_000


@dataclass
class Stage:
    """A stage of a forecast: rows, core-seconds, bytes that stay, that are on their way, and that Spark shuffles."""

    name: str
    rows_in: float
    rows_out: float
    dropped: dict[str, float]
    core_seconds: float
    stays: float = 0.0
    on_the_way: float = 0.0
    shuffled: float = 0.0


@dataclass
class Forecast:
    """Of a whole run. ``sampled`` rows of ``rows`` were looked at; ``whole``: the input was read to its end.

    ``spark``: whether it does the tasks; ``guessed``: what is not known from the sample, in words.
    """

    rows: float
    sampled: int
    whole: bool
    stages: list[Stage]
    t: dict[str, float]
    entries: int
    row_bytes: float
    spark: bool
    guessed: list[str] = field(default_factory=list)

    @property
    def stays(self) -> float:
        """Bytes of the finished output."""
        return sizes.DESCRIPTIONS + sum(stage.stays for stage in self.stages)

    @property
    def most_disk(self) -> float:
        """The most bytes that the output takes at a time: what stays so far, and a stage's staging."""
        so_far, most = float(sizes.DESCRIPTIONS), 0.0
        for stage in self.stages:
            so_far += stage.stays
            most = max(most, so_far + stage.on_the_way)
        return most

    def seconds(self, cores: cost.Cores) -> float:
        """How long the run takes on some cores."""
        read = next((stage.rows_in for stage in self.stages if stage.name == "ingest"), self.rows)
        tasks = cost.buckets_of(read, read * self.row_bytes)
        work, rows = ({stage.name: getattr(stage, key) for stage in self.stages} for key in ("core_seconds", "rows_in"))
        return cost.seconds(work, rows, tasks, cores, self.spark)

    @property
    def worker_memory(self) -> float:
        """The bytes of a Python worker."""
        hashes = sum(stage.on_the_way for stage in self.stages if stage.name == "dedupe")
        return cost.memory_of_worker(self.rows, self.row_bytes, self.entries, hashes, self.spark)

    def memory(self, cores: cost.Cores) -> float:
        """The bytes of a run on this machine."""
        return cost.memory_here(self.rows, self.worker_memory, self.entries, cores, self.spark)


def forecast(recipe: Recipe, rows: int = ROWS, seed: int = 0) -> Forecast:
    """The forecast of a recipe over its input. Raises what the run would raise at its start."""
    matchers = Matchers(load_lists(recipe), recipe.match.form, recipe.match.engine)
    matchers.files()
    if recipe.input.format not in KINDS:
        return _of_pool(recipe, plan(recipe.input, recipe.language.identify == "column"), None, matchers, rows, seed)
    with tempfile.TemporaryDirectory(prefix="metaclip-plan-") as folder:
        found = crawled(recipe, folder, seed)
        recipe = recipe.model_copy(update={"input": crawl_input(recipe, [folder])})
        there = plan(recipe.input, recipe.language.identify == "column")
        return _of_pool(recipe, there, found, matchers, rows, seed)


def _of_pool(recipe: Recipe, found: Plan, crawl: Crawled | None, matchers: Matchers, rows: int, seed: int) -> Forecast:
    clock = Clock()
    ready(recipe)
    with clock.of("ingest"):
        sample = draw_sample(found, recipe.input, rows, seed)
    read = sample.read
    if crawl is not None and crawl.scale > 1.001:  # What is of one file was seen together, and no other file.
        sample = replace(sample, total=sample.total * crawl.scale, rate=sample.rate / crawl.scale, repeats=None)
    pairs = matched_pairs(sample, recipe, matchers, clock)
    near_duplicates(pairs, recipe.dedupe, clock)
    chances = drawn(pairs, matchers.lists, recipe.balance)
    size = sizes.row_bytes(pairs, chances.of_pair, recipe.seed)
    scale = {"ingest": sample.total / max(1, read)}
    stages = _stages(recipe, sample, pairs, chances, size, matchers, clock, scale)
    if crawl is not None:
        up = crawl.scale
        dropped = {reason: links * up for reason, links in sorted(crawl.dropped.items()) if links}
        stages.insert(0, Stage("extract", crawl.links * up, crawl.pairs * up, dropped, crawl.seconds * up,
                               crawl.size * up))  # fmt: skip
    guessed = []
    if not sample.whole and sample.rate < 0.01:
        guessed.append("repeats and near-duplicates (under a hundredth of the input was looked at)")
    if recipe.images.fetch:
        guessed.append(f"images ({sizes.FETCHED_BYTES:,} bytes each, all there; how long they take is left out)")
    if recipe.images.tars:
        guessed.append(f"images in tars ({sizes.FETCHED_BYTES:,} bytes each, all there)")
    if filters(recipe):
        guessed.append("what the filter drops (nothing)")
    entries = sum(len(one.entries) for one in matchers.lists.values())
    spark, read = not engine.is_local(makes_dataframes(recipe)), len(sample.rows)
    return Forecast(sample.total, read, sample.whole, stages, chances.t, entries, size.on_its_way, spark, guessed)


def _stages(
    recipe: Recipe, sample: Sample, pairs: Pairs, chances: Chances, size: sizes.RowBytes, matchers: Matchers,
    clock: Clock, scale: dict[str, float],
) -> list[Stage]:  # fmt: skip
    """The stages from ``ingest`` on."""
    spent, up = clock.seconds, 1 / max(sample.rate, 1e-12)
    by_sample = {name: spent.get(name, 0.0) for name in ("languages", "match", "dedupe")}
    first = {"ingest": spent["ingest"]}
    here = "match" if recipe.language.match_first else "ingest"
    reading = cost.core_seconds("ingest", sample.total, first, scale["ingest"])
    languages = cost.core_seconds("", 0, {"languages": by_sample["languages"]}, up)
    matching = cost.core_seconds("match", pairs.ingested, {"match": by_sample["match"]}, up)
    kept = pairs.weight * pairs.kept
    deduped, curated = float(kept.sum()), float(kept @ chances.of_pair)
    copies, counts = sizes.lists_bytes(matchers.lists)
    single = recipe.balance.texts_per_image == "one"
    reason = "over_cap" if recipe.balance.mode == "cap" else "not_drawn"
    found = [
        Stage("ingest", sample.total, pairs.ingested, pairs.dropped, reading + languages * (here == "ingest"),
              pairs.ingested * size.pairs, (sample.total - _early(pairs)) * size.on_its_way),
        Stage("match", pairs.ingested, pairs.matched, pairs.unmatched, matching + languages * (here == "match"),
              pairs.matched * size.matched + copies),
        Stage("dedupe", pairs.matched, deduped, _one("near_duplicate", pairs.matched - deduped),
              _dedupe_seconds(recipe, pairs, by_sample["dedupe"], up), pairs.clustered * sizes.CLUSTER_BYTES,
              pairs.matched * sizes.hash_bytes(recipe)),
        Stage("balance", deduped, curated, _one(f"{reason}, other_text_of_image" if single else reason,
              deduped - curated), cost.core_seconds("balance", deduped, {}, 0), curated * size.curated + counts),
    ]  # fmt: skip
    found += _later(recipe, pairs, curated, size)
    for stage in found:
        stage.shuffled = cost.SHUFFLED.get(stage.name, 0.0) * 1e6 * stage.rows_in / 1e6
    return found


def _early(pairs: Pairs) -> float:
    """The rows that are dropped where they are read, so that they go nowhere."""
    return sum(rows for reason, rows in pairs.dropped.items() if reason != "duplicate")


def _one(reason: str, rows: float) -> dict[str, float]:
    return {reason: rows} if rows >= 0.5 else {}


def _dedupe_seconds(recipe: Recipe, pairs: Pairs, spent: float, up: float) -> float:
    if recipe.dedupe.scope == "none":
        return 0.0
    return cost.core_seconds("dedupe", pairs.matched, {"dedupe": spent}, up)


def _later(recipe: Recipe, pairs: Pairs, curated: float, size: sizes.RowBytes) -> list[Stage]:
    """The stages after ``balance``."""
    found = []
    images = recipe.images
    sample, share = sizes.sample_bytes(pairs, images)
    if images.fetch:
        found.append(Stage("images", curated, curated, {}, 0.0, curated * sample))
    if filters(recipe):
        work = cost.core_seconds("filter", curated, {}, 0)
        found.append(Stage("filter", curated, curated, {}, work, curated * size.curated))
    if recipe.rebalance is not None:
        work = cost.core_seconds("rebalance", curated, {}, 0)
        found.append(Stage("rebalance", curated, curated, {}, work, curated * size.curated))
    if images.fetch or images.root is not None or images.tars:
        there = curated * share
        work = there * (cost.PER_SAMPLE + cost.PER_MEGABYTE * sample / 1e6)
        elsewhere = recipe.shards.folder is not None
        stays = 0.0 if elsewhere else there * sample
        found.append(Stage("shards", curated, there, _one("missing_image", curated - there), work, stays))
    return found
