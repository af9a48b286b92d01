"""A store of fsspec whose URLs have a host, and which remembers what was listed."""

from typing import ClassVar

import fsspec
from fsspec.implementations.memory import MemoryFileSystem


class Hosted(MemoryFileSystem):
    """A store like ftp and sftp: its URLs have a host before the path, its own paths have not."""

    protocol = "hosted"
    listed: ClassVar[list[str]] = []

    @classmethod
    def _strip_protocol(cls, path):
        if path.startswith("hosted://"):
            path = "/" + path.removeprefix("hosted://").partition("/")[2]
        return super()._strip_protocol(path)

    def ls(self, path, **options):
        self.listed.append(path)
        return super().ls(path, **options)

    def find(self, path, **options):
        self.listed.append(path)
        return super().find(path, **options)


def open_hosted() -> None:
    """Makes ``hosted://`` known, and empty."""
    fsspec.register_implementation("hosted", Hosted, clobber=True)
    Hosted.store.clear()
    Hosted.pseudo_dirs[:] = [""]
