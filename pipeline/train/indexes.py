"""The indexes of tars, which say where in them each sample is: beside a tar of ours, else made by a scan, and kept."""

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import UsageError
from pipeline.paths import is_url, local
from pipeline.tars.index import DAMAGE, IMAGE, TEXT, files_of, key_and_ending, places
from pipeline.train.files import PackedFile, open_file, read_whole, window_on
from pipeline.train.given import ENDING, beside, identity, is_packed
from pipeline.train.outputs import part_of
from pipeline.train.retries import NotGiven

Item, Result = TypeVar("Item"), TypeVar("Result")
NEEDED = (*IMAGE, *TEXT)
AT_A_TIME, LOOKED_AT = 16, 10_000
DAMAGED = b"damage"


class Index(NamedTuple):
    """The file of a tar's index, its samples, and what is wrong with the tar if it has samples no more."""

    file: str
    rows: int
    damage: str | None


def tar_states(tars: list[str]) -> list[str]:
    """What each tar is another without: its size and time, or what a server says of it."""
    return in_threads(tars, _state)


def find_indexes(tars: list[str], states: list[str], cache: Path) -> list[Index]:
    """The indexes of some tars; those that are not there are made, in ``cache``.

    Raises ``UsageError`` for a tar that cannot be read. Of a damaged one the index has the samples before the damage.
    """
    return in_threads(list(zip(tars, states, strict=True)), lambda item: _find(*item, Path(local(cache))))


def in_threads(items: list[Item], work: Callable[[Item], Result]) -> list[Result]:
    """What some work gives for each item, in order: of what is on a network, some at a time."""
    if not any(is_url(item if isinstance(item, str) else item[0]) for item in items):
        return [work(item) for item in items]
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return list(pool.map(work, items))


def holds(tar: str) -> str:
    """What a tar holds, for people: how many files of which ending, of the first ten thousand."""
    endings: Counter = Counter()
    try:
        for number, (name, _, _) in enumerate(files_of(window_on(open_file(tar)), Counter()), 1):
            endings["." + key_and_ending(name)[1]] += 1
            if number == LOOKED_AT:
                break
    except DAMAGE:
        pass
    return listed(endings)


def listed(endings: Counter) -> str:
    """Counts of files by ending as a text."""
    return ", ".join(f"{count:,} {ending}" for ending, count in endings.most_common(6)) or "no files"


def _state(tar: str) -> str:
    with _named(tar):
        return open_file(tar).state


@contextmanager
def _named(tar: str) -> Iterator[None]:
    """Makes an error of opening or reading a tar, within a ``with`` block, a line for people."""
    try:
        yield
    except OSError as error:
        said = str(error) if is_url(tar) else f"{tar}: {error.strerror or error}"
        raise UsageError(f"data.shards: {said}") from None


def _find(tar: str, state: str, cache: Path) -> Index:
    name = hashlib.sha256(f"{identity(tar)}\0{state}".encode()).hexdigest()[:24]
    kept = cache / f"{name}.parquet"
    if not kept.is_file():
        with _named(tar):
            found = _ours(tar, kept) or _scanned(tar, state)
        if isinstance(found, str):
            kept = Path(found)
        else:
            cache.mkdir(parents=True, exist_ok=True)
            part = part_of(kept)
            pq.write_table(found, part)
            part.replace(kept)
    facts = pq.read_metadata(kept)
    damage = (facts.metadata or {}).get(DAMAGED)
    return Index(str(kept), facts.num_rows, damage and damage.decode())


def _ours(tar: str, kept: Path) -> str | pa.Table | None:
    """The index that curation wrote beside a tar: its path, or the table where that is elsewhere or of a whole tar."""
    if is_packed(tar):
        return None
    path = beside(tar, ENDING.sub("", tar.rpartition("/")[2].partition("?")[0]) + ".parquet")
    if path is None:
        return None
    content = read_whole(path) if is_url(path) else path if Path(local(path)).is_file() else None
    if content is None:
        return None
    try:
        file = pq.ParquetFile(io.BytesIO(content) if isinstance(content, bytes) else local(path))
    except pa.ArrowInvalid:
        return None
    if not {"key", "keep_probability", *NEEDED} <= set(file.schema_arrow.names):
        return None
    size, table = open_file(tar).size(), file.read(columns=["image_offset", "image_size", "txt_offset", "txt_size"])
    ends = [pc.add(table[at], table[length]) for at, length in (IMAGE, TEXT)]
    whole = pc.less_equal(pc.max_element_wise(*ends), size)
    if pc.all(whole, min_count=0).as_py():
        return local(path) if isinstance(content, str) else file.read().replace_schema_metadata(None)
    return _with_damage(
        file.read().filter(whole), f"cut at byte {size:,} of {max(pc.max(end).as_py() for end in ends):,}"
    )


def _scanned(tar: str, state: str) -> pa.Table:
    file = open_file(tar, state)
    rows, damage = places(window_on(file), Counter())
    if isinstance(damage, NotGiven | FileNotFoundError) or getattr(damage, "errno", None):
        raise damage
    if isinstance(file, PackedFile):
        file.close()
    rows = rows.filter(rows[TEXT[0]].is_valid())
    return rows if damage is None else _with_damage(rows, str(damage))


def _with_damage(table: pa.Table, damage: str) -> pa.Table:
    return table.replace_schema_metadata({DAMAGED: damage.encode()})
