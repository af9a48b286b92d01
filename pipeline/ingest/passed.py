"""Which columns of the input a run reads: whether the files have them, in which types, and what they are named.

Names are as Spark has them, which knows no case.
"""

import pyarrow as pa

from pipeline.errors import UsageError
from pipeline.ingest.columns import closed, is_list, is_number, is_text, promoted, stored, without_coding
from pipeline.ingest.presets import FIELDS, Preset

# The columns of our own tables, which no pass-through column may be named like.
RESERVED = {*FIELDS, "pair_id", "image_id", "language_score", "copies", "entry_list", "entries", "draw"}
RESERVED |= {"keep_probability", "dropped"}
# Columns that stages add on their way: the places of images, what filtering finds, weights of balancing again.
RESERVED |= {"status", "tar", "image_offset", "image_size", "original_width", "original_height"}
RESERVED |= {"original_sha256", "image_key", "place", "ambiguous"}
RESERVED |= {"holds", "frequent", "blocked", "sets", "why", "weight", "first_probability"}
RESERVED |= {"chosen_text", "image_texts", "scored_key", "bucket_start"}


def check_columns(path: str, schema: pa.Schema, preset: Preset, passed: list[str]) -> None:
    """Raises ``UsageError`` where a file lacks a column, has it twice, or in a type that no field is of."""
    names = schema.names
    if not names:
        return  # An empty text file.
    for column in [*preset.columns.values(), *passed]:
        if names.count(column) > 1:
            raise UsageError(f"--input {path}: there are {names.count(column)} columns {column!r}; one is allowed")
    for name, column in preset.columns.items():
        if column not in names:
            if name in preset.optional:
                continue
            raise UsageError(f"input.columns: {path}: no column {column!r} for {name}; it has {', '.join(names)}")
        kind = schema.field(column).type
        fits, allowed = _allowed(name, kind)
        if not fits:
            raise UsageError(f"input.columns: {path}: column {column!r} for {name} is {kind}; {allowed} is allowed")


def _allowed(name: str, kind: pa.DataType) -> tuple[bool, str]:
    """Whether a column of a type can be a field, and what can."""
    if name in ("url", "text", "language"):
        return is_text(kind), "a string"
    if name in ("width", "height"):
        return is_number(kind), "a number"
    plain = stored(kind) is not None and not is_list(without_coding(kind))
    return plain, "a plain value"


def passed_schema(wanted: list[str], schemas: list[tuple[str, pa.Schema]], json_lines: bool) -> pa.Schema:
    """The types of the pass-through columns over all files: (path, schema); ``json_lines``: there are such files too.

    Raises ``UsageError`` for a name that cannot be one of a table, and for types that no table holds.
    """
    _check_names(wanted)
    fields = []
    for name in wanted:
        kinds = [(path, schema.field(name).type) for path, schema in schemas if name in schema.names]
        if not kinds and not json_lines:
            raise UsageError(f"input.pass_through: no column {name!r} in the input; it has {_names(schemas)}")
        for path, kind in kinds:
            if stored(kind) is None:
                raise UsageError(
                    f"input.pass_through: {path}: column {name!r} is {kind}; plain values and lists are allowed"
                )
        texts = [pa.string()] if json_lines else []
        kind = promoted([stored(kind) for _, kind in kinds] + texts)
        if kind is None:
            listed = next(f"{kind} in {path}" for path, kind in kinds if is_list(without_coding(kind)))
            other = next(
                (f"{kind} in {path}" for path, kind in kinds if not is_list(without_coding(kind))),
                "something else" if not texts else "text in JSON lines",
            )
            raise UsageError(
                f"input.pass_through: column {name!r} is {listed}, but {other}; lists in all or none are allowed"
            )
        fields.append(pa.field(name, closed(kind)))
    return pa.schema(fields)


def _names(schemas: list[tuple[str, pa.Schema]]) -> str:
    return ", ".join(schemas[0][1].names)


def _check_names(wanted: list[str]) -> None:
    """Raises ``UsageError`` for names that a table cannot have: of a column of ours, none, twice, with dots."""
    seen: dict[str, str] = {}
    for name in wanted:
        if name.lower() in RESERVED:
            raise UsageError(f"input.pass_through: {name!r} is a column of ours; map it with input.columns")
        if not name.strip():
            raise UsageError(f"input.pass_through: {name!r} is no name; a column with a name is allowed")
        if "." in name or "`" in name:
            raise UsageError(
                f"input.pass_through: {name!r}: Spark takes dots and backticks for something else; "
                "names without them are allowed, so rename the column in the input"
            )
        if name.lower() in seen:
            raise UsageError(
                f"input.pass_through: {name!r} beside {seen[name.lower()]!r}; a name is allowed once, in any case"
            )
        seen[name.lower()] = name
