"""``remove`` of every kind from a set that has every table and store: crawled, fetched, filtered, balanced twice."""

import hashlib
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline import record, storage
from pipeline.command.verify import findings
from pipeline.curate import curate
from pipeline.explain.asked import as_image_id
from pipeline.recipe import load_recipe
from pipeline.removal import remove
from tests.extract.files import packed, page
from tests.images.site import Site
from tests.remove.held import holding, told_of

from .conftest import digests, run, table
from .test_remove import image_of, write_list

pytest.importorskip("img2dataset")
pytestmark = pytest.mark.slow

RECIPE = """
name: all
input: {{format: warc}}
language: {{identify: none}}
entries: {{en: {folder}/words.txt}}
dedupe: {{threshold: 0.7, shingle: 3, min_words: 4, keep_per_cluster: 2}}
balance: {{t: 95}}
images: {{fetch: true, size: 32, retries: 0, samples: 20, allow_networks: ["127.0.0.0/8", "::1/128"]}}
filter: {{min_words: 2, exact_duplicates: true}}
rebalance: {{t: 80}}
shards: {{samples: 15}}
"""
TABLES = ("pairs", "matched", "clusters", "curated", "filtered", "final", "images", "image_hashes", "extracted")
WORDS = "red blue green old new small large bright dark wet".split()


def pages(url, other):
    """Images with a text of their own, some of another host, one with two texts, near-duplicates, and one that is gone."""
    made = []
    for n in range(12):
        images = [f"<img src=/good/{n * 7 + m}.jpg alt='a cat {WORDS[n % 10]}{m} {n}'>" for m in range(7)]
        images.append(f"<img src={other}/good/{200 + n if n % 3 else n}.jpg alt='a dog {WORDS[n % 10]} elsewhere {n}'>")
        images.append(f"<img src=/good/{300 + n}.jpg alt='one and the same long text of a cat by the river, part {n}'>")
        images.append(f"<img src=/good/{n}.jpg alt='another cat text {n}'>")
        made.append(page("".join(images), url=f"{url}/page/{n}/"))
    return [*made, page("<img src=/status/404 alt='a cat that is gone'>", url=f"{url}/page/x/")]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The set, and how to run it again with another input."""
    folder = tmp_path_factory.mktemp("all")
    with Site() as site:
        url = site.url
        other = url.replace("127.0.0.1", "localhost")
        crawl = pages(url, other)
        (folder / "a.warc.gz").write_bytes(packed(*crawl[:6]))
        (folder / "b.warc.gz").write_bytes(packed(*crawl[6:]))
        (folder / "words.txt").write_text("cat\ndog\nriver\n")
        (folder / "recipe.yaml").write_text(RECIPE.format(folder=folder))
        again(folder, folder / "out")
        yield folder, other.split("//")[1].split(":")[0]
        site.shutdown()


def again(folder, output, *files, **options):
    files = files or (folder / "a.warc.gz", folder / "b.warc.gz")
    return curate(load_recipe(str(folder / "recipe.yaml"), None, list(map(str, files))), str(output), **options)


def rows_of(output, name):
    return pa.concat_tables(pq.read_table(file) for file in sorted((output / name).glob("*.parquet")))


def samples(output):
    return rows_of(output, "shards")


def asked_for(kind, output, host):
    """What is asked for of a kind, and which URLs, and pairs, go with it."""
    shards, pairs = samples(output).to_pylist(), {row["pair_id"]: row for row in rows_of(output, "pairs").to_pylist()}
    row = pairs[shards[3]["pair_id"]]
    content = image_of(output, row["pair_id"])
    same = {one["pair_id"] for one in shards if one["sha256"] == hashlib.sha256(content).hexdigest()}
    return {
        "url": (row["url"], lambda pair: pair["url"] == row["url"]),
        "host": (host, lambda pair: pair["url"].split("//")[1].startswith(host)),
        "image_id": (as_image_id(row["url"]), lambda pair: pair["url"] == row["url"]),
        "pair_id": (str(row["pair_id"]), lambda pair: (pair["url"], pair["text"]) == (row["url"], row["text"])),
        "sha256": (
            hashlib.sha256(content).hexdigest(),
            lambda pair: pair["url"] in {pairs[pair_id]["url"] for pair_id in same},
        ),
        "text": (row["text"], lambda pair: pair["text"] == row["text"]),
    }[kind]


@pytest.mark.parametrize("kind", ["url", "host", "image_id", "pair_id", "sha256", "text"])
def test_a_kind_goes_out_of_every_table(kind, made, tmp_path):
    folder, host = made
    output = shutil.copytree(folder / "out", tmp_path / "out")
    (output / ".staging").mkdir()
    before = {name: rows_of(output, name) for name in TABLES}
    value, goes = asked_for(kind, output, host)
    gone = [row for row in before["pairs"].to_pylist() if goes(row)]
    assert gone
    ids = {row["pair_id"] for row in gone}
    left_urls = {row["url"] for row in before["pairs"].to_pylist() if not goes(row)}
    images = {row["image_id"] for row in gone if row["url"] not in left_urls}
    (output / ".staging" / "left").write_text(gone[0]["url"])
    # The bytes of an image that another URL, which stays, has too stay with that.
    hashes = {row["image_id"]: row["sha256"] for row in before["images"].to_pylist()}
    shared = {sha256 for image, sha256 in hashes.items() if image not in images}
    alone = [row["pair_id"] for row in gone if hashes.get(row["image_id"], "") not in {*shared, "", None}]
    contents = list(filter(None, (image_of(output, pair_id) for pair_id in alone)))

    told = remove(str(output), write_list(tmp_path, value), kind)

    for name, rows in before.items():
        key, going = ("pair_id", ids) if "pair_id" in rows.column_names else ("image_id", images)
        places = [
            column for column in ("shard", "image_offset", "image_size", "cluster_id") if column in rows.column_names
        ]
        stay = np.array([not goes(row) for row in rows.to_pylist()]) if name == "extracted" else ~np.isin(
            np.array(rows[key].to_pylist()), np.array(sorted(going)))  # fmt: skip
        if name in ("images", "image_hashes") and not images:
            stay[:] = True
        after = rows_of(output, name)
        assert after.drop_columns(places).equals(rows.filter(pa.array(stay)).drop_columns(places)), name
        assert told["rows"].get(name, 0) == int((~stay).sum()), name
    kept = samples(output)
    assert not ids & set(kept["pair_id"].to_pylist())
    assert set(kept["pair_id"].to_pylist()) == set(rows_of(output, "final")["pair_id"].to_pylist())
    urls_left = b"\n".join(url.encode() for url in left_urls)
    texts_left = "\n".join(rows_of(output, "pairs")["text"].to_pylist()).encode()
    needles = [word for row in gone for word in told_of(row) if word not in urls_left and word not in texts_left]
    needles = [word for word in needles if word.decode(errors="ignore") not in {as_image_id(url) for url in left_urls}]
    assert holding(output, [*needles, *contents]) == []
    assert list(findings(str(output))) == []
    for stage in ("extract", "ingest", "match", "dedupe", "balance", "images", "filter", "rebalance", "shards"):
        found = record.load(str(output), stage)
        assert found.rows_in == found.rows_out + sum(found.dropped.values()), stage
    assert record.load(str(output), "extract").dropped["removed"] == told["rows"]["extracted"]
    assert all(line["skipped"] for line in again(folder, output)["stages"])
    check_fetched(output)


def check_fetched(output):
    """Every image of the table is where the table says."""
    for row in rows_of(output, "images").to_pylist():
        if row["status"] == "success":
            content = (output / "fetched" / row["shard"]).read_bytes()
            image = content[row["image_offset"] : row["image_offset"] + row["image_size"]]
            assert image[:2] == b"\xff\xd8"
            assert image[-2:] == b"\xff\xd9"


def test_rows_are_counted_as_a_run_from_scratch_counts_them(made, tmp_path):
    """And nothing comes back: by force, everything is read and fetched again."""
    folder, host = made
    output = shutil.copytree(folder / "out", tmp_path / "out")
    text = asked_for("text", output, host)[0]
    remove(str(output), write_list(tmp_path, text, asked_for("sha256", output, host)[0]))
    remove(str(output), write_list(tmp_path, host), "host")
    tombstones = (output / "tombstones.parquet").read_bytes()
    told = {stage: record.load(str(output), stage) for stage in ("extract", "ingest", "match")}
    pairs = rows_of(output, "pairs")
    again(folder, output, force=True)
    assert rows_of(output, "pairs").equals(pairs)
    for stage, was in told.items():
        now = record.load(str(output), stage)
        assert (now.rows_in, now.rows_out, now.dropped) == (was.rows_in, was.rows_out, was.dropped), stage
    assert (output / "tombstones.parquet").read_bytes() == tombstones
    assert list(findings(str(output))) == []
    # As another input that has it all once more.
    shutil.copy(folder / "a.warc.gz", tmp_path / "c.warc.gz")
    again(folder, output, folder / "a.warc.gz", folder / "b.warc.gz", tmp_path / "c.warc.gz")
    left = rows_of(output, "pairs")
    assert left.drop_columns(["copies"]).equals(pairs.drop_columns(["copies"]))
    assert list(findings(str(output))) == []


@pytest.mark.parametrize("settings", [(), ("balance.texts_per_image=one",), ("balance.mode=cap",)], ids=str)
def test_balanced_again_it_is_a_run_without_those_rows(settings, work, tmp_path):
    pool = pq.read_table(work / "pool")
    run(work / "recipe.yaml", tmp_path / "out", *settings)
    clusters = table(tmp_path / "out", "clusters")
    matched = {row["pair_id"]: row for row in table(tmp_path / "out", "matched").to_pylist()}
    kept = clusters.filter(clusters["kept"])["pair_id"].to_pylist()
    urls = {matched[pair_id]["url"] for pair_id in kept[:40]} | {pool["url"][5].as_py()}
    goes = pc.is_in(pool["url"], value_set=pa.array(sorted(urls)))
    told = remove(str(tmp_path / "out"), write_list(tmp_path, *sorted(urls)), rebalance=True)
    assert told["pairs"] > 40
    (tmp_path / "less").mkdir()
    pq.write_table(pool.filter(pc.invert(goes)), tmp_path / "less/000.parquet")
    run(work / "recipe.yaml", tmp_path / "other", *settings, inputs=[str(tmp_path / "less")])
    folders = ("curated", "shards", "clusters", "entry_counts", "thresholds", "matched/_counts", "clusters/_counts")
    assert digests(tmp_path / "out", *folders) == digests(tmp_path / "other", *folders)
    assert list(findings(str(tmp_path / "out"))) == []
    summary = run(work / "recipe.yaml", tmp_path / "out", *settings)
    assert all(line["skipped"] for line in summary["stages"])


def test_balanced_again_with_fetched_images(made, tmp_path):
    folder, host = made
    output = shutil.copytree(folder / "out", tmp_path / "out")
    remove(str(output), write_list(tmp_path, host), "host", rebalance=True)
    other = tmp_path / "other"
    crawl = [content for content in (folder / "a.warc.gz", folder / "b.warc.gz")]
    other.mkdir()
    # The same crawl in an output that had the tombstones from its beginning.
    for name in ("recipe.yaml", "tombstones.parquet", ".tombstones.salt"):
        shutil.copy(output / name, other / name)
    again(folder, other, *crawl)
    assert digests(output, "curated", "final", "filtered", "shards") == digests(
        other, "curated", "final", "filtered", "shards"
    )
    assert list(findings(str(output))) == []


def test_in_a_store(made, bucket, tmp_path):
    folder, host = made
    for file in (folder / "out").rglob("*"):
        if file.is_file():
            storage.write_bytes(f"{bucket}/set/{file.relative_to(folder / 'out')}", file.read_bytes())
    output = shutil.copytree(folder / "out", tmp_path / "out")
    for value, kind in ((host, "host"), (asked_for("text", output, host)[0], "text")):
        file = write_list(tmp_path, value)
        remove(f"{bucket}/set", file, kind)
        remove(str(output), file, kind)
    assert list(findings(f"{bucket}/set")) == []
    names = [str(path.relative_to(output)) for name in TABLES for path in (output / name).glob("*.parquet")]
    names += [f"shards/{path.name}" for path in (output / "shards").iterdir() if path.name != "manifest.json"]
    for name in names:
        if name.split("/")[0] != "images":  # whose tars have names of their own
            assert storage.read_bytes(f"{bucket}/set/{name}") == (output / name).read_bytes(), name
