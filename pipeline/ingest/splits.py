"""Parts of files, each for one task: splits, and how a file is cut into some."""

from dataclasses import dataclass, replace

import pyarrow as pa

from pipeline import storage
from pipeline.recipe import Input


@dataclass(frozen=True)
class Split:
    """A part of one file for one task: bytes [start, end) of a text file, row groups [start, end) of a Parquet file.

    ``columns`` are the names in the file's header (text formats). ``encoding`` is that of a text file that is not in
    UTF-8; its places are those of the text in UTF-8. ``damage`` says why nothing of the file can be read. ``size``:
    its bytes in the file. Of a file that is not yet ``opened`` only path, format and size are known. ``piece``: number
    and count, where it is one of some pieces of a row group.
    """

    path: str
    format: str
    start: int
    end: int
    columns: tuple[str, ...] = ()
    data_start: int = 0
    encoding: str | None = None
    damage: str | None = None
    size: int = 0
    opened: bool = True
    piece: tuple[int, int] = (0, 1)

    @property
    def first(self) -> bool:
        """Whether it is the first of its file."""
        return self.start == self.data_start and self.piece[0] == 0

    def rows(self, of_group: int) -> tuple[int, int]:
        """The rows [first, end) of a row group that has so many."""
        number, count = self.piece
        return of_group * number // count, of_group * (number + 1) // count

    def pieces(self, count: int, least: int) -> list["Split"]:
        """A row group in at most so many pieces of about equal rows, of ``least`` bytes each; other splits as they are.

        Who reads a piece decodes what is before it too, so that they are to be few.
        """
        if self.format != "parquet" or self.damage or self.end - self.start != 1:
            return [self]
        count = max(1, min(count, self.size // least))
        return [replace(self, piece=(number, count), size=self.size // count) for number in range(count)]


@dataclass(frozen=True)
class OpenedFile:
    """A file as one split, its schema (None where it is damaged), and about how many rows and bytes it holds.

    ``groups``: the bytes of the row groups of a Parquet file.
    """

    split: Split
    schema: pa.Schema | None
    rows: int = 0
    size: int = 0
    groups: tuple[int, ...] = ()

    def cut(self, options: Input, split_bytes: int) -> list[Split]:
        """The file in splits: Parquet by row groups, text at byte offsets; gz, UTF-16 and multi-line CSV stay whole."""
        split = self.split
        if split.damage:
            return [split]
        if split.format == "parquet":
            return _cut_groups(split, self.groups, split_bytes)
        if (
            storage.base_name(split.path).lower().endswith(".gz")
            or split.encoding
            or (split.format == "csv" and options.multiline)
        ):
            return [replace(split, start=split.data_start)]
        starts = range(split.data_start, max(split.end, split.data_start + 1), split_bytes)
        ends = [min(split.end, at + split_bytes) for at in starts]
        return [replace(split, start=at, end=end, size=end - at) for at, end in zip(starts, ends, strict=True)]


def _cut_groups(split: Split, groups: tuple[int, ...], split_bytes: int) -> list[Split]:
    """Runs of row groups of about ``split_bytes``; one split where there are none."""
    cuts, held = [0], 0
    for at, size in enumerate(groups):
        if held and held + size > split_bytes:
            cuts.append(at)
            held = 0
        held += size
    ends = [*cuts[1:], len(groups)]
    return [
        replace(split, start=start, end=end, size=sum(groups[start:end])) for start, end in zip(cuts, ends, strict=True)
    ]
