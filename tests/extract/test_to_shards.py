"""One command from crawl files to shards, images fetched from a site on this machine."""

import tarfile

import pytest

from pipeline.curate import curate
from pipeline.recipe import load_recipe
from tests.extract.files import packed, page
from tests.images.site import Site

pytest.importorskip("img2dataset")


@pytest.mark.slow
def test_a_crawl_becomes_shards(spark, tmp_path):
    with Site() as site:
        pages = [
            page(
                "".join(f"<img src=/good/{n}{m}.jpg alt='a cat {n}{m}'>" for m in range(5)), url=f"{site.url}/page/{n}/"
            )
            for n in range(4)
        ]
        gone = page("<img src=/status/404 alt='a cat that is gone'>", url=f"{site.url}/page/9/")
        (tmp_path / "crawl.warc.gz").write_bytes(packed(*pages, gone))
        (tmp_path / "words.txt").write_text("cat\n")
        (tmp_path / "recipe.yaml").write_text(
            f"name: crawl\ninput: {{format: warc}}\nlanguage: {{identify: none}}\nentries: {{en: {tmp_path}/words.txt}}\n"
            "balance: {t: 100}\nimages: {fetch: true, size: 32, retries: 0, allow_networks: ['127.0.0.0/8']}\n"
        )
        recipe = load_recipe(str(tmp_path / "recipe.yaml"), None, [str(tmp_path / "crawl.warc.gz")])
        summary = curate(recipe, str(tmp_path / "out"))
        site.shutdown()
    assert [(line["stage"], line["out"]) for line in summary["stages"] if line["stage"] in ("extract", "images", "shards")] == [
        ("extract", 21), ("images", 20), ("shards", 20)]  # fmt: skip
    names = []
    for shard in (tmp_path / "out" / "shards").glob("*.tar"):
        with tarfile.open(shard) as tar:
            names += tar.getnames()
    assert len(names) == 60
