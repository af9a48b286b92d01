"""``removals.json``: when something was taken out, and how much of each kind and table. Not what."""

from typing import Any

from pipeline import storage

NAME = "removals.json"


def removals(output: str) -> list[dict[str, Any]]:
    """The removals of an output, the first one first."""
    found = storage.read_json(storage.join(output, NAME))
    return found if isinstance(found, list) else []


def tell(output: str, told: dict[str, Any]) -> None:
    """Adds a removal, once."""
    before = removals(output)
    if all(line["id"] != told["id"] for line in before):
        storage.write_json(storage.join(output, NAME), [*before, told])
