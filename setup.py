"""Takes the entry lists and groups of ``metadata/`` along into wheels and source distributions (see pyproject.toml).

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
            for file in self.lists():
                target = Path(self.build_lib, "pipeline", "shipped", file)
                self.mkpath(str(target.parent))
                self.copy_file(file, str(target))

    def get_source_files(self) -> list[str]:
        """What a source distribution holds of this."""
        return [*super().get_source_files(), *self.lists()]

    def lists(self) -> list[str]:
        """The lists, their manifest, what is said of them, and the groups of terms."""
        return sorted(str(file) for file in LISTS.rglob("*") if file.suffix in (".parquet", ".json", ".md", ".yaml"))


setup(cmdclass={"build_py": BuildWithLists})
