"""``explain`` of every pair of a pool: the ends that it tells add up to what the stages counted. And ``verify``."""

from collections import Counter

import pytest

from pipeline import record
from pipeline.command.verify import findings
from pipeline.explain.asked import Set
from pipeline.explain.pair import tell
from pipeline.recipe import load_recipe
from pipeline.report.page.source import Output
from pipeline.stages import stages_of
from tests.pool import write_pool, write_recipe

from .conftest import run, table
from .test_fetch import write_work

pytestmark = pytest.mark.slow


def check_ends(output):
    """Tells of every pair, and holds the reasons against the records. Returns them, with how many were told exactly."""
    recipe = load_recipe(str(output / "recipe.yaml"))
    stages = stages_of(recipe)
    found = Set(Output.open(str(output), {stage.name: tuple(stage.tables) for stage in stages}), recipe)
    told = [tell(found, pair_id) for pair_id in table(output, "pairs")["pair_id"].to_pylist()]
    ends = Counter((pair.get("stage"), pair.get("reason")) for pair in told)
    records = {stage.name: record.load(str(output), stage.name) for stage in stages}
    counted = Counter({"in the set": records[stages[-1].name].rows_out})
    for name in set(records) - {"extract", "ingest", "images"}:
        counted.update(records[name].dropped)
    for (_, reason), pairs in sorted(ends.items(), key=lambda end: " or " in str(end[0][1])):
        several = (reason or "in the set").split(" or ")
        for one in several[:-1]:  # which of them is not known
            pairs -= (part := min(pairs, counted[one]))
            counted[one] -= part
        counted[several[-1]] -= pairs
    assert not {reason: pairs for reason, pairs in counted.items() if pairs}
    assert list(findings(str(output))) == []
    return ends


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    folder = tmp_path_factory.mktemp("all")
    return write_recipe(folder, write_pool(folder / "pool", count=600))


CASES = {
    "sample": ((), {("match", "no_entry_list"), ("dedupe", "near_duplicate"), ("balance", "not_drawn")}),
    "cap": (("balance.mode=cap",), {("balance", "over_cap")}),
    "one text": (("balance.texts_per_image=one",), {("balance", "other_text_of_image"), ("balance", "not_drawn")}),
    "filter": (
        ("filter={min_words: 3, min_characters: 12, texts_per_image: 5, images_per_text: 2, near_duplicates: 2, "
         "keep_per_cluster: 40}", "rebalance.t=1"),
        {("filter", "few_words"), ("filter", "few_characters"), ("filter", "many_texts"), ("filter", "many_images"),
         ("filter", "near_image"), ("rebalance", "not_drawn")}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_ends_of_all_pairs_are_those_that_the_stages_counted(case, pool, tmp_path):
    settings, expected = CASES[case]
    run(pool, tmp_path / "out", f"shards.folder={tmp_path / 'apart'}", *settings)
    ends = check_ends(tmp_path / "out")
    assert expected <= set(ends), ends
    assert not [reason for stage, reason in ends if " or " in str(reason) and stage != "shards"], ends


def test_the_ends_of_pairs_whose_images_are_fetched(site, tmp_path):
    pytest.importorskip("img2dataset")
    good = [f"{site.url}/good/{i}.jpg" for i in range(5)]
    work = write_work(tmp_path / "work", [*good, f"{site.url}/status/404", f"{site.url}/text/1"])
    run(work / "recipe.yaml", tmp_path / "out")
    ends = check_ends(tmp_path / "out")
    assert ends == {(None, None): 5, ("images", "http_404"): 1, ("images", "unreadable_image"): 1}


def test_a_set_in_a_store_is_checked_and_asked(bucket, pool, tmp_path):
    """By its files alone: they are copied there, and then a byte of one is another."""
    from pipeline import storage
    from pipeline.command.explain import explained

    run(pool, tmp_path / "out")
    for path, _, _ in [
        *storage.files_below(str(tmp_path / "out")),
        *((str(f), 0, 0) for f in hidden(tmp_path / "out")),
    ]:
        below = path.removeprefix(f"{tmp_path / 'out'}/")
        storage.write_bytes(storage.join(bucket, "set", below), storage.read_bytes(path))
    place = storage.join(bucket, "set")
    assert list(findings(place)) == []
    pair_id = table(tmp_path / "out", "curated")["pair_id"].to_pylist()[0]
    [pair] = explained(place, str(pair_id))["pairs"]
    assert pair in explained(place, pair["text"], most=1000)["pairs"]
    file = storage.join(place, "shards", "00000.tar")
    content = bytearray(storage.read_bytes(file))
    content[1000] ^= 1
    storage.write_bytes(file, bytes(content))
    assert [line.split(": ")[0] for line in findings(place)] == ["shards/00000.tar"]


def hidden(output):
    """The hidden files, and those below hidden folders, which a listing leaves out."""
    folders = (".stages", "matched/_lists", "matched/_counts", "clusters/_counts")
    return [output / ".described.json", *(file for folder in folders for file in (output / folder).iterdir())]
