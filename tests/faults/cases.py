"""Small sets, and the commands whose file operations fail: each begins at an output that the one before it left."""

from dataclasses import dataclass
from pathlib import Path

from tests.e2e.test_kills import RECIPE as KILLS
from tests.extract.files import packed, page
from tests.faults.calls import CALLS
from tests.pool import write_pool, write_recipe

PAIRS = 60
LONG = ("crawl", "fetch", "checkpoint")  # They start a process, ask a site, need torch.


@dataclass(frozen=True)
class Case:
    """A command of ``metaclip-pipeline`` on the output of another, or on none."""

    name: str
    after: str | None
    arguments: tuple[str, ...]
    warms: bool = False
    counts: bool = True
    store: bool = False  # The output is of a store to the command, which moves folders file by file.


def plain_cases(work: Path, site: str) -> list[Case]:
    """Those without Spark: commands of small stages, and what tasks do; ``site``: where images are fetched from."""
    (work / "kills.yaml").write_text(KILLS)
    (work / "site").write_text(site)
    _crawl(work)
    recipe = ("curate", "--recipe", str(work / "kills.yaml"))
    found = [
        Case("new", None, recipe, warms=True),
        Case("change", "new", (*recipe, "--set", "balance.t=5")),
        Case("match-change", "new", (*recipe, "--set", "seed=2")),
        Case("shrink", "new", (*recipe, "--set", "filter={}")),
        Case("credit", "new", (*recipe, "--set", "credit=ours")),
        Case("store-new", None, recipe, store=True),
        Case("store-change", "store-new", (*recipe, "--set", "balance.t=5"), store=True),
    ]
    return found + [
        Case(name, None, ("call", name, str(work)), warms=name in ("fetch", "checkpoint")) for name in CALLS
    ]


def spark_cases(work: Path, site: str) -> list[Case]:
    """Those of the stages as they are; ``site``: where images are fetched from."""
    pool = write_pool(work / "pool", count=PAIRS)
    write_recipe(work, pool)
    main = ("--recipe", str(work / "recipe.yaml"), "--set", "shards.samples=8")
    filtered = (*main, "--set", "filter.min_words=2", "--set", "filter.near_duplicates=4", "--set", "rebalance.t=6")
    crawl = work / "extract"
    crawl.mkdir()
    found = [
        Case("ingest", None, ("ingest", *main)),
        Case("match", "ingest", ("match", *main)),
        Case("dedupe", "match", ("dedupe", *main)),
        Case("balance", "dedupe", ("balance", *main)),
        Case("shards", "balance", ("shards", *main)),
        Case("again", "shards", ("balance", *main, "--set", "balance.t=5")),
        Case("all", "shards", ("curate", *main, "--set", "seed=8"), warms=True),
        Case("filter", "balance", ("filter", *filtered)),
        Case("rebalance", "filter", ("rebalance", *filtered)),
        Case("extract", None, ("extract", *_crawl(crawl))),
    ]
    fetched = _fetched(work / "fetched", site)
    found.append(Case("chosen", None, ("curate", *fetched, "--set", "images.fetch=false"), counts=False))
    return [*found, Case("images", "chosen", ("images", *fetched))]


def _crawl(work: Path) -> tuple[str, ...]:
    (work / "crawl").mkdir(parents=True)
    (work / "en.txt").write_text("cat\n")
    for number in range(2):
        pages = [page(f"<img src={n}.jpg alt='a cat {n}'>", url=f"https://h{number}.example.org/{n}/") for n in (0, 1)]
        (work / "crawl" / f"{number}.warc.gz").write_bytes(packed(*pages))
    (work / "recipe.yaml").write_text(
        f"name: crawl\ninput: {{format: warc, paths: [{work}/crawl]}}\nlanguage: {{identify: none}}\n"
        f"dedupe: {{scope: none}}\nentries: {{en: {work}/en.txt}}\nbalance: {{t: 100}}\n"
    )
    return ("--recipe", str(work / "recipe.yaml"))


def _fetched(work: Path, site: str) -> tuple[str, ...]:
    work.mkdir()
    (work / "pool.jsonl").write_text(
        "".join(f'{{"url": "{site}/good/{n}.jpg", "text": "a picture {n}"}}\n' for n in range(5))
    )
    (work / "en.txt").write_text("picture\n")
    (work / "recipe.yaml").write_text(
        f"name: fetched\ninput: {{paths: [{work}/pool.jsonl]}}\nlanguage: {{identify: none}}\n"
        f"dedupe: {{scope: none}}\nentries: {{en: {work}/en.txt}}\nbalance: {{mode: none, t: 10}}\n"
        "images: {fetch: true, size: 16, threads: 1, timeout: 2, retries: 0, samples: 3, allow_networks: [127.0.0.0/8]}\n"
    )
    return ("--recipe", str(work / "recipe.yaml"))
