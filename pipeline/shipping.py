"""The package for the executors of a cluster: sent along by the session, unless they have the same."""

import atexit
import shutil
import sys
import tempfile
from pathlib import Path

from pyspark.sql import SparkSession

from pipeline.environment import digest

PACKAGE = Path(__file__).resolve().parent


def ship_package(session: SparkSession) -> None:
    """Sends the package along, unless the executors' environment has the same (``make package``), kernels and all."""
    if on_executors(session) == digest(str(PACKAGE)):
        return
    folder = Path(tempfile.mkdtemp(prefix="metaclip-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    session.sparkContext.addPyFile(packed(PACKAGE, folder).as_uri())


def on_executors(session: SparkSession) -> str | None:
    """The digest of the package that the executors find without being sent one; None where they find none."""
    here = digest

    def look(batches):
        import importlib.util

        import pyarrow

        found = importlib.util.find_spec("pipeline")  # which imports nothing: the worker may be sent another one
        folder = found and found.submodule_search_locations and found.submodule_search_locations[0]
        for _ in batches:
            yield pyarrow.record_batch({"digest": [here(folder) if folder else None]})

    from pyspark import cloudpickle

    module = sys.modules[digest.__module__]
    cloudpickle.register_pickle_by_value(module)
    try:
        return session.range(0, 1, 1, 1).mapInArrow(look, "digest string").collect()[0][0]
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def packed(package: Path, folder: Path) -> Path:
    """A zip of what tasks need of a package, made in a folder: not the entry lists of an installed one."""
    copy = folder / "copy" / package.name
    shutil.copytree(package, copy, ignore=lambda _, names: {"__pycache__", "shipped"} & set(names))
    return Path(shutil.make_archive(str(folder / package.name), "zip", copy.parent))
