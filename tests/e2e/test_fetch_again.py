"""What is fetched is asked for again only where it must be, and never before what replaces it is there."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.explore import explore
from pipeline.images import spark as fetching
from pipeline.recipe import load_recipe

from .conftest import digests, run, stage, table
from .test_fetch import write_work

pytest.importorskip("img2dataset")


def asked_by(site, work):
    """The paths that a run asks for, and its summary."""
    before = dict(site.asked)
    summary = work()
    return {path for path in site.asked if site.asked[path] != before.get(path, 0)}, summary


@pytest.mark.slow
def test_what_is_fetched_is_not_asked_for_again(site, tmp_path):
    """Each change of the recipe in turn: what is asked for again, and what is there at every moment."""
    good = [f"/good/{i}.jpg" for i in range(30)]
    work = write_work(tmp_path / "work", [site.url + path for path in [*good, "/status/500", "/status/404"]])
    recipe, out = work / "recipe.yaml", tmp_path / "out"
    (folder := work / "more").mkdir()

    def again(*settings, **options):
        return asked_by(site, lambda: run(recipe, out, *settings, **options))

    run(recipe, out)
    tars = {file.name for file in (out / "fetched").glob("*.tar")}
    shards = digests(out, "shards")
    # What does not change an image asks for nothing, whatever was there.
    quiet = ["images.threads=3", "images.wait=1", "images.most_wait=5", "images.timeout=2", "images.most_seconds=4", "images.samples=7",
             "images.user_agent=us", "images.requests_per_host=2", "images.ask_hosts=true", "images.tasks_may_repeat=true"]  # fmt: skip
    asked, summary = again(*quiet)
    assert not asked
    assert all(line["skipped"] for line in summary["stages"])
    # More retries ask for the failed ones alone; with other options too.
    asked, summary = again("images.retries=2", *quiet)
    assert asked == {"/robots.txt", "/.well-known/tdmrep.json", "/status/500"}
    assert {file.name for file in (out / "fetched").glob("*.tar")} >= tars
    # Other pairs: only the new ones are asked for.
    urls = [f"{site.url}/good/{i}.jpg" for i in (40, 41)]
    pq.write_table(pa.table({"url": urls, "text": ["picture more", "picture again"]}), folder / "more.parquet")
    inputs = [str(work / "pool.parquet"), str(folder)]
    asked, summary = again("images.retries=2", inputs=inputs)
    assert asked == {"/good/40.jpg", "/good/41.jpg"}
    assert (stage(summary, "images")["in"], stage(summary, "images")["out"]) == (34, 32)
    asked, summary = again("images.retries=2")
    assert not asked
    assert (stage(summary, "images")["in"], stage(summary, "images")["out"]) == (32, 30)
    assert digests(out, "shards") == shards


@pytest.mark.slow
def test_another_making_takes_the_place_of_what_is_fetched_when_it_is_complete(site, tmp_path, monkeypatch, capsys):
    """All are asked for again, said before; a run that dies on the way costs nothing, and another goes on there."""
    good = [f"/good/{i}.jpg" for i in range(30)]
    work = write_work(tmp_path / "work", [site.url + path for path in [*good, "/status/500", "/status/404"]])
    recipe, out = work / "recipe.yaml", tmp_path / "out"

    def again(*settings, **options):
        return asked_by(site, lambda: run(recipe, out, *settings, **options))

    run(recipe, out, "images.retries=2")
    shards = digests(out, "shards")
    fetched = digests(out, "fetched")

    def dies(*_arguments):
        raise OSError("no space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("pipeline.images.stage.fetch_shards", dies)
        capsys.readouterr()
        with pytest.raises(OSError, match="no space left"):
            run(recipe, out, "images.size=16", "images.retries=2")
        assert "All 32 images are asked for again: images.size was 32, is 16" in capsys.readouterr().out
    assert digests(out, "fetched") == fetched
    asked, _ = again("images.retries=2")  # back to what was there
    assert not asked
    assert digests(out, "shards") == shards

    def dies_on_the_way(images, first, shards, *more):
        fetching.fetch_shards(images.orderBy("image_id").limit(10), first, 1, *more)
        dies()

    with monkeypatch.context() as broken:
        broken.setattr("pipeline.images.stage.fetch_shards", dies_on_the_way)
        with pytest.raises(OSError, match="no space left"):
            run(recipe, out, "images.size=16", "images.retries=0")
    (half,) = out.glob(".fetched-*")
    assert digests(out, "fetched") == fetched
    # No command takes away what another has begun.
    explore(load_recipe(str(recipe)), str(out), None, [1.0, 2.0], 0.0)
    run(recipe, out, stages=["balance"])
    assert list(half.glob("*.tar"))
    asked, _ = again("images.size=16", "images.retries=0")
    assert len(asked) == 32 - 10
    assert not list(out.glob(".fetched-*"))
    sizes = table(out, "images")["width"].drop_null().to_pylist()
    assert set(sizes) == {21}
    assert digests(out, "shards") != shards
    # By force all of it.
    asked, _ = again("images.size=16", "images.retries=0", force=True, stages=["images"])
    assert asked == {*good, "/status/500", "/status/404"}


@pytest.mark.slow
def test_hosts_are_given_the_rest_they_want(site, tmp_path):
    urls = [f"{site.url}/later/7?after=2", f"{site.url}/later/8?after=600", f"{site.url}/good/1.jpg"]
    work = write_work(tmp_path / "work", urls)
    run(work / "recipe.yaml", tmp_path / "out", "images.most_wait=10")
    first, second = site.times["/later/7?after=2"]
    assert second - first >= 2
    assert len(site.times["/later/8?after=600"]) == 1
    status = {row["url"]: row["status"] for row in table(tmp_path / "out", "images").to_pylist()}
    assert list(map(status.get, urls)) == ["success", "http_429", "success"]
    # At another time it is asked again.
    asked, _ = asked_by(site, lambda: run(work / "recipe.yaml", tmp_path / "out", "images.retries=2"))
    assert asked == {"/later/8?after=600"}
