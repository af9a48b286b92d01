"""What tasks count while rows pass: rows by name, and sums by index (matches by entry), of committed attempts alone."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from pipeline.buckets.blocks import block, blocks

LINES, NUMBERS = 0, 1
# The sums of so many indices are added up by one task.
RANGE = 1 << 18


class Totals:
    """``lines``: a count for each tuple of texts; and ``numbers``: a sum for each index."""

    def __init__(self):
        self.lines: Counter[tuple[str | None, ...]] = Counter()
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []
        self._held = 0

    def count(self, indices: np.ndarray, values: np.ndarray) -> None:
        """Adds to the sums; in one call an index occurs once. Integers stay integers."""
        self._parts.append((indices.astype(np.int64, copy=False), values))
        self._held += len(indices)
        if len(self._parts) > 1 and self._held > 4 * RANGE:
            self._parts = [self.together()]
            self._held = len(self._parts[0][0])

    def numbers(self, size: int) -> np.ndarray:
        """The sums of all indices below ``size``."""
        total = np.zeros(size, self._parts[0][1].dtype if self._parts else np.int64)
        for indices, values in self._parts:
            total[indices] += values
        return total

    def together(self) -> tuple[np.ndarray, np.ndarray]:
        """The indices, ascending and each once, with their sums."""
        if not self._parts:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        first = min(int(indices.min(initial=2**62)) for indices, _ in self._parts)
        end = max(int(indices.max(initial=-1)) for indices, _ in self._parts) + 1
        total, seen = np.zeros(max(0, end - first), self._parts[0][1].dtype), np.zeros(max(0, end - first), bool)
        for indices, values in self._parts:
            total[indices - first] += values
            seen[indices - first] = True
        found = np.flatnonzero(seen)
        return found + first, total[found]

    def blocks(self) -> Iterator[pa.RecordBatch]:
        """Blocks for the tasks that add up: the lines for the first, the sums by their range."""
        if self.lines:
            yield self.block_of_lines(LINES)
        indices, values = self.together()
        if len(indices):
            rows = pa.record_batch({"index": pa.array(indices), "value": pa.array(values)})
            yield blocks(indices // RANGE, rows, NUMBERS)

    def add(self, part: int, rows: pa.Table) -> None:
        """Adds a block of another task's."""
        if part == LINES:
            self.add_lines(rows)
        else:
            self.count(rows["index"].to_numpy(), rows["value"].to_numpy())

    def block_of_lines(self, part: int) -> pa.RecordBatch:
        """The lines as a block for the first task."""
        names = pa.array([list(line) for line in self.lines], pa.list_(pa.string()))
        counts = pa.array(list(self.lines.values()), pa.int64())
        return block(0, pa.record_batch({"line": names, "count": counts}), part)

    def add_lines(self, rows: pa.Table) -> None:
        """Adds lines of ``block_of_lines``."""
        for line, count in zip(rows["line"].to_pylist(), rows["count"].to_pylist(), strict=True):
            self.lines[tuple(line)] += count
