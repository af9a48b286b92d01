"""The image of each pair of a run: where it is, and what reads it."""

from pipeline import storage
from pipeline.buckets.files import Files
from pipeline.errors import UsageError
from pipeline.recipe import Images
from pipeline.recipe_file import found_path
from pipeline.run import Run
from pipeline.shards.content import Content, local_content, tar_content
from pipeline.tars.spark import Located, in_fetched, in_tars

REQUESTS = 16
# Where the images of pairs are, and which of them are taken.
SOURCES = {"root", "prefix", "tars", "fetch", "most_pixels"}


def image_places(run: Run, pairs: Files, rows: int) -> Located | None:
    """The places of the images of the pairs, where those are fetched or in tars; ``rows``: how many pairs there are."""
    images = run.recipe.images
    if images.fetch:
        there = Files.of(run.folder("images"))
        return in_fetched(run.session, pairs, rows, there, run.folder("fetched"), run.work_folder)
    if images.tars:
        return in_tars(run.session, pairs, rows, list_tars(images.tars), run.work_folder)
    return None


def image_content(images: Images) -> Content | None:
    """What reads the image of a pair with its place; None where a recipe has no images."""
    if images.fetch or images.tars:
        return tar_content
    return None if images.root is None else local_content(found_path(images.root), images.prefix)


def images_at_a_time(run: Run) -> int:
    """How many images a task is to read at a time: one from disks, more from a store, where each is a request."""
    images = run.recipe.images
    places = [run.folder("fetched")] if images.fetch else images.tars or [images.root or run.output]
    return 1 if all(storage.is_local(place) for place in places) else REQUESTS


def list_tars(paths: list[str]) -> list[str]:
    """The tars that paths, folders or patterns stand for."""
    files = [file for path in paths for file, _, _ in storage.list_files(found_path(path))]
    return [file for file in files if storage.base_name(file).endswith(".tar")]


def check_images(images: Images) -> None:
    """Raises ``UsageError`` where a recipe's images cannot be had."""
    if images.tars and not list_tars(images.tars):
        raise UsageError(f"images.tars: {images.tars[0]}: no .tar there")
    if images.root is not None and not storage.exists(found_path(images.root)):
        raise UsageError(f"images.root: {images.root}: no such folder")
