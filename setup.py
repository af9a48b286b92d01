"""Takes the entry lists of ``metadata/`` along into wheels and source distributions; the rest is in pyproject.toml.

In a wheel they are ``pipeline/shipped/metadata/``; an editable install finds them where they are.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

LISTS = Path("metadata")


class BuildWithLists(build_py):
    """The package's modules and data, and the entry lists."""

    def run(self) -> None:
        """Copies them; an editable install copies nothing."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "pipeline", "shipped", LISTS)
            self.mkpath(str(target))
            for file in self.lists():
                self.copy_file(file, str(target))

    def get_source_files(self) -> list[str]:
        """What a source distribution holds of this."""
        return [*super().get_source_files(), *self.lists()]

    def lists(self) -> list[str]:
        """The lists, their manifest, and what is said of them."""
        return sorted(str(file) for file in LISTS.iterdir() if file.suffix in (".parquet", ".json", ".md"))


setup(cmdclass={"build_py": BuildWithLists})
