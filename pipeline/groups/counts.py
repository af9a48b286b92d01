"""How many texts of a table name each group, and two groups together: exact, in one pass over its texts."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.groups.terms import Groups, plain


@dataclass
class Counts:
    """Of ``rows`` texts those that name each group, by file of groups, and those that name a group of two files.

    ``together[a, b]``: a matrix, a row for each group of file ``a`` and a column for each of ``b``.
    """

    rows: int
    named: dict[str, np.ndarray]
    together: dict[tuple[str, str], np.ndarray]


def added_up(parts: list[Counts]) -> Counts:
    """The counts over several parts of a table."""
    first = parts[0]
    return Counts(
        sum(part.rows for part in parts),
        {name: sum(part.named[name] for part in parts) for name in first.named},
        {key: sum(part.together[key] for part in parts) for key in first.together},
    )


class Counter:
    """Counts the groups of files; ``pairs``: the names of two files whose groups are counted together."""

    def __init__(self, files: list[Groups], pairs: list[tuple[str, str]]):
        self._pairs = pairs
        self._files = {
            groups.name: (groups.matcher(), np.array(groups.group_of_term()), len(groups.terms)) for groups in files
        }

    def count(self, texts: Iterable[pa.Array]) -> Counts:
        """The counts over all texts."""
        sizes = {name: size for name, (_, _, size) in self._files.items()}
        found = Counts(
            0,
            {name: np.zeros(size, np.int64) for name, size in sizes.items()},
            {(a, b): np.zeros((sizes[a], sizes[b]), np.int64) for a, b in self._pairs},
        )
        for batch in texts:
            clean = plain(batch)
            found.rows += len(batch)
            named = {name: _named(clean, *of_file) for name, of_file in self._files.items()}
            for name, rows in named.items():
                found.named[name] += rows.sum(0)
            for a, b in self._pairs:
                found.together[a, b] += named[a].T.astype(np.int64) @ named[b].astype(np.int64)
        return found


def _named(texts: pa.Array, matcher, group_of_term: np.ndarray, groups: int) -> np.ndarray:
    """Which groups each text names: a row a text, a column a group."""
    terms = matcher.match(texts)
    rows = np.repeat(np.arange(len(texts)), np.diff(terms.offsets.to_numpy()))
    found = np.zeros((len(texts), groups), bool)
    found[rows, group_of_term[terms.flatten().to_numpy()]] = True
    return found
