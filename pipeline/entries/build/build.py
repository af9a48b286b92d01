"""The main path of a build: candidates from every source of the recipe, merged, numbered, written with a manifest.

Follows MetaCLIP's four sources (Xu et al. 2023, section 3.1: WordNet synsets, Wikipedia unigrams and bigrams, titles)
and, by recipe, MetaCLIP 2's caps for each language (Chuang et al. 2025).
"""

import hashlib
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.entries.build.assemble import assemble, sources_of
from pipeline.entries.build.recipe import SOURCES, BuildRecipe
from pipeline.entries.build.sources import Sources
from pipeline.entries.lists import list_table, load_list
from pipeline.errors import UsageError
from pipeline.recipe_file import local_path

MANIFEST = "manifest.json"


def build(recipe: BuildRecipe, output: str, open_session: Callable) -> dict[str, Any]:
    """Writes ``<name>.parquet`` (entry_id, entry, source, score) and its part of ``manifest.json`` into ``output``.

    Returns that part: sources with counts and SHA-256 of their files, versions, thresholds, licences, the list's own
    digests, the chain of bases. The same sources give the same bytes. ``open_session`` is called where something is
    counted in Spark. Raises ``UsageError`` before any work where a file or package is missing.
    """
    sources = Sources(recipe, open_session)
    sources.check()
    found = [*sources.wordnet(), *sources.counted(), *sources.titles(), *sources.named()]
    base, chain = _base(recipe)
    entries, facts = assemble(found, recipe.priority, recipe.max_characters, recipe.spaced, base)
    if entries.num_rows == 0:
        raise UsageError(f"recipe {recipe.name}: no entry came of its sources; lower the limits")
    sink = pa.BufferOutputStream()
    pq.write_table(
        entries, sink, compression="zstd", compression_level=19, use_dictionary=["source", "score"],
        column_encoding={"entry": "DELTA_BYTE_ARRAY", "entry_id": "DELTA_BINARY_PACKED"},
    )  # fmt: skip
    content = sink.getvalue().to_pybytes()
    part = {
        "file": f"{recipe.name}.parquet",
        "language": recipe.language,
        "entries": entries.num_rows,
        "entries_sha256": entries_digest(entries["entry"]),
        "sha256": hashlib.sha256(content).hexdigest(),
        "sources": {name: {"what": SOURCES[name], "parts": facts[name]} for name in recipe.priority if name in facts},
        "base": chain,
        "credit": recipe.credit,
        "recipe": recipe.model_dump(exclude={"credit"}),
    }
    storage.make_folder(output)
    storage.write_bytes(storage.join(output, part["file"]), content)
    manifest = storage.read_json(storage.join(output, MANIFEST)) or {"lists": {}}
    manifest["lists"] = dict(sorted((manifest["lists"] | {recipe.name: part}).items()))
    storage.write_json(storage.join(output, MANIFEST), manifest)
    return part


def entries_digest(entries: pa.ChunkedArray) -> str:
    """The SHA-256 of the entries in order, a line each: what a list is, however it is stored."""
    digest = hashlib.sha256()
    for entry in entries.to_pylist():
        digest.update(entry.encode() + b"\n")
    return digest.hexdigest()


def _base(recipe: BuildRecipe) -> tuple[dict[str, tuple[str, float | None]] | None, list[dict[str, Any]]]:
    """The entries of the recipe's base with their source and score, and the chain of bases that led to it."""
    if recipe.base is None:
        return None, []
    path = local_path(recipe.base)
    if not path.is_file():
        raise UsageError(f"base: {recipe.base}: no such file")
    has_sources = path.suffix.lower() == ".parquet" and {"entry", "source", "score"} <= set(pq.read_schema(path).names)
    entries = sources_of(
        list_table(path, "base") if has_sources else pa.table({"entry": load_list("base", path).entries})
    )
    manifest = storage.read_json(str(path.parent / MANIFEST)) or {"lists": {}}
    before = next((part["base"] for part in manifest["lists"].values() if part["file"] == path.name), [])
    link = {"file": path.name, "entries": len(entries), "sha256": storage.sha256(str(path))}
    return entries, [*before, link]
