"""The image of each pair of a run: where it is, and what reads it."""

from pipeline import storage, tables
from pipeline.errors import UsageError
from pipeline.places.spark import refused_members, scan_tars, with_files, with_images, with_tars
from pipeline.recipe import Images
from pipeline.recipe_file import found_path
from pipeline.run import Run
from pipeline.shards.content import Content, local_content, tar_content

REQUESTS = 16
# Where the images of pairs are, and which of them are taken.
SOURCES = {"root", "prefix", "tars", "fetch", "most_pixels"}


def image_places(run: Run, pairs: tables.DataFrame) -> tuple[tables.DataFrame, Content | None, dict[str, int]]:
    """The pairs with the places of their images, what reads an image (None: there are none), and what was refused.

    The pairs get ``status``, ``tar``, the place in it and the original size, where images are fetched or in tars.
    """
    images = run.recipe.images
    if images.fetch:
        return with_images(pairs, run.table("images"), run.folder("fetched")), tar_content, {}
    if images.tars:
        samples = run.cut(scan_tars(run.session, list_tars(images.tars)), "places")
        return with_tars(pairs, samples), tar_content, refused_members(samples)
    if images.root is not None:
        return with_files(pairs), local_content(found_path(images.root), images.prefix), {}
    return with_files(pairs), None, {}


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
