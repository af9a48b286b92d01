"""The Python environment of executors as an archive: this package and all that it needs, as they are installed here.

Executors of a cluster get it with ``--archives``, or unpacked beside them. What Spark brings along is left out: pyspark
and py4j. ``bin/python`` is a link to the interpreter that this environment was made with, which the executors' machines
must have at the same place, or at the one that is given.
"""

import io
import os
import re
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

from pipeline.errors import UsageError

NAME, PACKAGE = "metaclip-pipeline", Path(__file__).resolve().parent
OF_SPARK = {"pyspark", "py4j"}
# Of this package: entry lists stay with the driver; of any, tests are not for executors.
LEFT_OUT = {"shipped", "tests", "test"}
# Spark unpacks these with the system's tar; in a plain .tar it refuses links that lead out of it.
SUFFIXES = (".tar.gz", ".tgz")


def write_archive(target: Path, extras: list[str], python: str | None = None) -> int:
    """Writes the archive of this environment, complete or not at all; returns the number of its distributions.

    ``extras``: of this package, beside what all commands need. ``python``: the interpreter on the executors' machines.
    """
    if not target.name.endswith(SUFFIXES):
        raise UsageError(f"--output {target}: not known by its name; allowed: {', '.join(SUFFIXES)}")
    needed = distributions(extras)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    place = f"lib/{version}/site-packages"
    home = python or os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    hidden = target.parent / f".{target.name}.{os.getpid()}"
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(hidden, "w:gz", compresslevel=1) as archive:
            _add_text(archive, "pyvenv.cfg", f"home = {os.path.dirname(home)}\ninclude-system-site-packages = false\n")
            for name in ("python", "python3", version):
                _add_link(archive, f"bin/{name}", home)
            for file, below in _files(needed.values()):
                archive.add(file, f"{place}/{below}", recursive=False)
            for file in package_files(kernels=True):
                archive.add(file, f"{place}/pipeline/{file.relative_to(PACKAGE)}", recursive=False)
        os.replace(hidden, target)
    finally:
        hidden.unlink(missing_ok=True)
    return len(needed)


def distributions(extras: list[str]) -> dict[str, Distribution]:
    """What this package needs, near and far, by name, as it is installed. ``UsageError`` where something is missing."""
    found: dict[str, Distribution] = {}
    wanted = [(NAME, ("", *extras))]
    while wanted:
        name, its_extras = wanted.pop()
        for line in distribution(name).requires or []:
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is not None and not any(marker.evaluate({"extra": extra}) for extra in its_extras):
                continue
            key = re.sub(r"[-_.]+", "-", requirement.name).lower()
            if key in found or key in OF_SPARK:
                continue
            try:
                found[key] = distribution(requirement.name)
            except PackageNotFoundError:
                raise UsageError(f"{requirement.name} is not installed: pip install '{NAME}{_extra(extras)}'") from None
            wanted.append((requirement.name, ("", *requirement.extras)))
    return found


def _extra(extras: list[str]) -> str:
    return f"[{','.join(extras)}]" if extras else ""


def _files(needed: Iterator[Distribution]) -> Iterator[tuple[Path, str]]:
    """The files of distributions below ``site-packages``, with their place there: no programs, no compiled modules."""
    roots = [Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib")]
    for one in needed:
        for listed in one.files or []:
            file = Path(one.locate_file(listed)).resolve()
            root = next((root for root in roots if file.is_relative_to(root)), None)
            if root is None or file.suffix == ".pyc" or not file.is_file():
                continue
            below = file.relative_to(root)
            if not LEFT_OUT & set(below.parts[:-1]):
                yield file, str(below)


def package_files(kernels: bool = False) -> list[Path]:
    """The files of this package that tasks need, sorted; with ``kernels`` also what was compiled ahead of a run."""
    suffixes = {".pyc"} if kernels else {".pyc", ".nbi", ".nbc"}
    return [
        file
        for file in sorted(PACKAGE.rglob("*"))
        if file.is_file() and file.suffix not in suffixes and not LEFT_OUT & set(file.relative_to(PACKAGE).parts)
    ]


def digest(folder: str) -> str:
    """A hash of the modules of this package in a folder: equal where tasks would do the same.

    Executors run this before they have any module of the package, so it uses nothing of it.
    """
    import hashlib
    from pathlib import Path

    found = hashlib.sha256()
    for file in sorted(Path(folder).rglob("*.py"), key=lambda file: file.relative_to(folder).parts):
        found.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes() + b"\0")
    return found.hexdigest()


def _add_text(archive: tarfile.TarFile, name: str, text: str) -> None:
    found = tarfile.TarInfo(name)
    found.size = len(text)
    archive.addfile(found, io.BytesIO(text.encode()))


def _add_link(archive: tarfile.TarFile, name: str, target: str) -> None:
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.mode = tarfile.SYMTYPE, target, 0o777
    archive.addfile(found)
