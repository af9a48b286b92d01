"""Files against the manifest: missing and extra ones, sizes, SHA-256."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from pipeline import storage
from pipeline.verify.opened import Opened

THREADS = 4
Advance = Callable[[int], None]


def check_files(found: Opened, folders: Iterable[str], advance: Advance) -> Iterator[tuple[str, str]]:
    """A path and what is wrong with it, for each file of the manifest and each that lies in ``folders`` beside those.

    ``advance`` is told the bytes that were read.
    """
    there = sizes_below(found.output, folders)
    for path in sorted(set(there) - set(found.files)):
        yield path, "extra: not in the manifest"
    for path in found.described:
        place = found.path(path)
        there[path] = len(storage.read_bytes(place)) if storage.exists(place) else -1
    whole = []
    for line in (*found.files.values(), *found.described.values()):
        size = there.get(line["path"], -1)
        if size < 0:
            yield line["path"], "missing"
        elif size != line["bytes"]:
            yield line["path"], f"has {size:,} bytes, the manifest says {line['bytes']:,}"
        else:
            whole.append(line)
    yield from differing(((found.path(line["path"]), line) for line in whole), advance)


def differing(files: Iterable[tuple[str, dict]], advance: Advance) -> Iterator[tuple[str, str]]:
    """Of files and their lines (``path``, ``sha256``, ``bytes``) the paths whose SHA-256 is another, and that it is."""

    def check(file: tuple[str, dict]) -> tuple[str, str] | None:
        path, line = file
        try:
            same = storage.sha256(path) == line["sha256"]
        except OSError as problem:
            return line["path"], f"cannot be read: {' '.join(str(problem).split())}"
        advance(line["bytes"])
        return None if same else (line["path"], "its SHA-256 is not that of the manifest: a byte is changed")

    with ThreadPoolExecutor(THREADS) as threads:
        yield from filter(None, threads.map(check, files))


def sizes_below(output: str, folders: Iterable[str]) -> dict[str, int]:
    """The bytes of every visible file in some folders of an output, by its path below the output."""
    root = storage.open_filesystem(output)[1].rstrip("/") + "/"
    return {
        storage.open_filesystem(path)[1].removeprefix(root): size
        for folder in folders
        for path, size, _ in storage.files_below(storage.join(output, *folder.split("/")))
    }
