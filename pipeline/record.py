"""What a stage did: its record in the output folder, by which a later run knows that it need not be done again."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline import storage
from pipeline.secrets import without_secrets

FOLDER, MANIFEST = ".stages", "manifest.json"
# The hashes of what is said of a set. Unlike the manifest's they are of one run, as the summary tells how long it took.
DESCRIBED = ".described.json"
# Part of every record: raise it when records change, or a stage's output for the same recipe and input.
VERSION = 3


@dataclass(frozen=True)
class Record:
    """A finished stage: rows in = out + sum of ``dropped``; its tables' files; ``notes`` for summary and README.

    ``depends``: the part of the recipe that it was made with, by key. ``fingerprint`` stands for that, for the files of
    its input and for the stages that it read. ``before`` has both of all stages before it, near and far, by name.
    """

    stage: str
    fingerprint: str
    depends: dict[str, Any]
    before: dict[str, dict[str, Any]]
    rows_in: int
    rows_out: int
    dropped: dict[str, int]
    seconds: float
    files: list[dict[str, Any]] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    version: int = VERSION

    def origins(self) -> dict[str, dict[str, Any]]:
        """Fingerprint and ``depends`` of the stages before and of this one, by name."""
        return self.before | {self.stage: {"fingerprint": self.fingerprint, "depends": self.depends}}

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


FIELDS = set(Record.__dataclass_fields__)


def fingerprint(*parts: Any) -> str:
    """A hash of plain values: equal for equal values on any machine."""
    text = json.dumps([VERSION, *parts], sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def load(output: str, stage: str) -> Record | None:
    """The record of a finished stage; None where there is none, or one that another version wrote."""
    value = storage.read_json(_path(output, stage))
    if not isinstance(value, dict) or set(value) != FIELDS or value["version"] != VERSION:
        return None
    return Record(**value)


def save(output: str, record: Record) -> None:
    """Writes a record; the stage is finished with it."""
    storage.make_folder(storage.join(output, FOLDER))
    storage.write_json(_path(output, record.stage), without_secrets(asdict(record)))


def remove(output: str, stage: str) -> None:
    """Forgets a stage: the manifest first, which is there only while all that it lists is."""
    storage.remove(storage.join(output, MANIFEST))
    storage.remove(_path(output, stage))


def _path(output: str, stage: str) -> str:
    return storage.join(output, FOLDER, f"{stage}.json")
