"""``croissant.json``: the tables of an output for programs, in the Croissant format of MLCommons, version 1.0.

Paths are relative to the file. There is a FileObject with its SHA-256 for each Parquet file, a FileSet for each table,
and a RecordSet with the fields. Of shards there are the index tables, which say where in which tar each member is, and
the list of the tars with theirs; readers of Croissant do not look into tars of a set of files.
"""

import json
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.types as kinds

from pipeline.report.card.columns import is_list, is_nested, meaning
from pipeline.report.card.contents import SHARDS, Contents
from pipeline.report.card.header import TAGS, languages
from pipeline.report.card.languages import tag
from pipeline.report.card.readme import CITATION

CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
PARQUET, JSON, TAR = "application/x-parquet", "application/json", "application/x-tar"
KEYS = {"pairs": "pair_id", "matched": "pair_id", "curated": "pair_id", "filtered": "pair_id", "final": "pair_id",
        "clusters": "pair_id", SHARDS: "key"}  # fmt: skip


def croissant(contents: Contents) -> str:
    """The text of ``croissant.json``."""
    recipe, tables = contents.recipe, [table for table in contents.readable if table in contents.schemas]
    lists = [found for name in languages(contents) if (found := tag(name))]
    licence = recipe.license_link or recipe.license_name or recipe.license
    said = {"license": licence} if recipe.license not in (None, "unknown") else {}
    found = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": recipe.name,
        "description": "Image-text pairs for training CLIP models, curated the MetaCLIP way. README.md says more.",
        **said,
        **({"creditText": credit} if (credit := (recipe.credit or "").strip()) else {}),
        **({"inLanguage": sorted(set(lists))} if lists else {}),
        "keywords": TAGS,
        "citeAs": CITATION,
        "distribution": [part for table in tables for part in _files(contents, table)],
        "recordSet": [_records(contents, table) for table in tables],
    }
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def _files(contents: Contents, table: str) -> list[dict[str, Any]]:
    """A table's files, and the set of them. The pattern leaves out hidden folders, whose names begin with ``_``."""
    parts = [_set(f"{table}-files", contents.tables[table], PARQUET, f"{table}/[!_]*.parquet")]
    if table != SHARDS:
        return parts + [_file(line, PARQUET) for line in contents.parquet(table)]
    parts[0]["description"] += ": their index tables"
    parts += [_file(line, JSON) for line in contents.files if line["path"] == f"{SHARDS}/manifest.json"]
    return [*parts, _set(f"{table}-tars", contents.tables[table], TAR, f"{table}/[0-9]*.tar")]


def _file(line: dict[str, Any], kind: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": quote(line["path"]),
        "name": line["path"],
        "contentUrl": line["path"],
        "contentSize": f"{line['bytes']} B",
        "encodingFormat": kind,
        "sha256": line["sha256"],
    }


def _set(name: str, what: str, kind: str, pattern: str) -> dict[str, Any]:
    return {"@type": "cr:FileSet", "@id": name, "name": name, "description": what, "encodingFormat": kind,
            "includes": pattern}  # fmt: skip


def _records(contents: Contents, table: str) -> dict[str, Any]:
    columns = [column for column in contents.schemas[table] if not is_nested(column.type)]
    key = {"key": {"@id": f"{table}/{KEYS[table]}"}} if table in KEYS else {}
    return {
        "@type": "cr:RecordSet",
        "@id": table,
        "name": table,
        "description": contents.tables[table],
        **(key if KEYS.get(table) in {column.name for column in columns} else {}),
        "field": [_field(contents, table, column) for column in columns],
    }


def _field(contents: Contents, table: str, column: pa.Field) -> dict[str, Any]:
    kind, repeated = column.type, {}
    while is_list(kind):
        kind, repeated = kind.value_type, {"repeated": True}
    what = meaning(table, column.name, contents.recipe.input.pass_through)
    return {
        "@type": "cr:Field",
        "@id": f"{table}/{quote(column.name, safe='')}",
        "name": column.name,
        **({"description": what} if what else {}),
        "dataType": data_type(kind),
        **repeated,
        "source": {"fileSet": {"@id": f"{table}-files"}, "extract": {"column": column.name}},
    }


def data_type(kind: pa.DataType) -> str:
    """Croissant's name of a plain Arrow type."""
    if kinds.is_boolean(kind):
        return "sc:Boolean"
    if kinds.is_integer(kind) or (kinds.is_decimal(kind) and kind.scale == 0):
        return "sc:Integer"
    if kinds.is_floating(kind) or kinds.is_decimal(kind):
        return "sc:Float"
    if kinds.is_date(kind):
        return "sc:Date"
    return "sc:DateTime" if kinds.is_timestamp(kind) else "sc:Text"
