"""What a stage did: its record in the output folder, by which a later run knows that it need not be done again."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline import storage

FOLDER = ".stages"
# Part of every fingerprint: raise it when a stage's output changes for the same recipe and input.
VERSION = 1


@dataclass
class Record:
    """A finished stage: rows in = out + sum of ``dropped``; its tables' files; ``notes`` for summary and README."""

    stage: str
    fingerprint: str
    rows_in: int
    rows_out: int
    dropped: dict[str, int]
    seconds: float
    files: list[dict[str, Any]] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    def summary(self, skipped: bool) -> dict[str, Any]:
        """The stage's line in ``summary.json``."""
        return {
            "stage": self.stage,
            "in": self.rows_in,
            "dropped": self.dropped,
            "out": self.rows_out,
            "seconds": round(self.seconds, 3),
            "skipped": skipped,
            **{key: value for key, value in self.notes.items() if key != "distribution"},
        }


def fingerprint(*parts: Any) -> str:
    """A hash of plain values: equal for equal values on any machine."""
    text = json.dumps([VERSION, *parts], sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def load(output: str, stage: str) -> Record | None:
    """The record of a finished stage, or None."""
    value = storage.read_json(_path(output, stage))
    return Record(**value) if value else None


def save(output: str, record: Record) -> None:
    """Writes a record; the stage is finished with it."""
    storage.make_folder(storage.join(output, FOLDER))
    storage.write_json(_path(output, record.stage), asdict(record))


def remove(output: str, stage: str) -> None:
    """Forgets a stage."""
    storage.remove(_path(output, stage))


def _path(output: str, stage: str) -> str:
    return storage.join(output, FOLDER, f"{stage}.json")
