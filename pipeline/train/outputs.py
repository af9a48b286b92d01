"""Where a command writes: looked at before any work, so that nothing is lost that the command did not write itself."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.overlap import lies_in
from pipeline.paths import is_url, local

HEAD = 1 << 16


def check_file(option: str, file: Path, inputs: Iterable[str | Path], ours: Callable[[bytes], bool]) -> None:
    """Refuses a file to write that is an input, or is there and not ``ours`` by its first bytes."""
    if file.is_dir():
        raise UsageError(f"{option} {file}: a folder; give a file")
    if above := next((path for path in file.parents if path.exists() and not path.is_dir()), None):
        raise UsageError(f"{option} {file}: {above} is not a folder")
    if not file.exists():
        return
    if found := next((path for path in _here(inputs) if path.samefile(file)), None):
        raise UsageError(f"{option} {file}: is {found}, which is read; give another file")
    with file.open("rb") as opened:
        head = opened.read(HEAD)
    if head and not ours(head):
        raise UsageError(f"{option} {file}: is there, and not of this command; give another file, or remove it")


def check_folder(option: str, folder: Path, inputs: Iterable[str | Path], *ours: str) -> None:
    """Refuses a folder to write that holds an input, or something and none of the files that are ``ours``."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{option} {folder}: not a folder")
    if found := next((path for path in _here(inputs) if lies_in(str(path), str(folder))), None):
        raise UsageError(f"{option} {folder}: holds {found}, which is read; give a folder apart from it")
    there = sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []
    if there and not set(ours) & set(there):
        raise UsageError(f"{option} {folder}: holds {there[0]!r}, which is not of this command; give an empty folder")


def _here(inputs: Iterable[str | Path]) -> list[Path]:
    paths = [Path(local(path)) for path in inputs if not is_url(path)]
    return [path for path in paths if path.exists()]


def write_file(file: Path, content: str) -> None:
    """Writes a file complete or not at all, with the folders above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(file)
    part.write_text(content, encoding="utf-8")
    part.replace(file)


def part_of(file: Path) -> Path:
    """A name for a file while it is written: no other process has it, also of a machine that shares the folder."""
    return file.with_name(f".{file.name}.{os.uname().nodename}.{os.getpid()}.part")
