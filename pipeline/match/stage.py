"""The stage ``match``: ``pairs`` to ``matched``, with the entry lists that its ids are of."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import record, storage, tables
from pipeline.balance.counts import COUNTS, ListCounts
from pipeline.buckets.files import Files
from pipeline.entries.lists import EntryList, list_digests, list_names, load_lists
from pipeline.errors import UsageError
from pipeline.language.codes import aliases
from pipeline.language.identify import LID_176, load_model, model_file
from pipeline.language.label import NOT_KEPT
from pipeline.match.matchers import Matchers
from pipeline.match.spark import KEPT, NO_LIST, NO_MATCH, ToIdentify, write_matched
from pipeline.recipe import Recipe
from pipeline.run import LISTS, Outcome, Request, Run
from pipeline.stage import Stage
from pipeline.tables import Account

MOST_LANGUAGES = 50


def run(run: Run) -> Outcome:
    """Writes ``matched``. The notes say how large the lists are, what was left out of their files, and which languages
    have none.
    """
    recipe, lists = run.recipe, run.found.lists
    files = {name: file.name for name, file in run.found.files().items()}
    for file in run.found.files().values():
        run.session.sparkContext.addFile(file.as_uri())
    one_list = recipe.language.identify == "none"
    sizes = {name: len(found.entries) for name, found in lists.items()}
    source, folder = Files.of(run.folder("pairs")), tables.new_folder(run.output, "matched")
    schema = tables.with_columns(source.schema(), **tables.MATCH)
    found = write_matched(
        run.session, source, folder, schema, sizes, files, recipe.match.engine, recipe.seed, one_list,
        _to_identify(run), recipe.match.unmatched == "keep",
    )  # fmt: skip
    _write_lists(run)
    tables.write_arrow(ListCounts.of_totals(sizes, found).as_table(), run.output, f"matched/{COUNTS}")
    without_list = {language: rows for (reason, language), rows in found.lines.most_common() if reason == NO_LIST}
    notes = {
        "entries": {
            name: {"entries": len(found.entries), "blank": found.blank, "repeated": found.repeated}
            for name, found in lists.items()
        }
    }
    if without_list:
        most = sorted(without_list, key=lambda name: (-without_list[name], name))[:MOST_LANGUAGES]
        notes["without_list"] = {name: without_list[name] for name in most}
    kept = found.lines[KEPT, None]
    dropped = {NO_LIST: sum(without_list.values())} | {why: found.lines[why, None] for why in (NOT_KEPT, NO_MATCH)}
    dropped = {reason: rows for reason, rows in dropped.items() if rows}
    return Account(kept + sum(dropped.values()), kept, dropped), notes


def _to_identify(run: Run) -> ToIdentify | None:
    """What the tasks need for ``language.match_first``."""
    recipe = run.recipe
    if not recipe.language.match_first:
        return None
    model = model_file(recipe.language.model)
    run.session.sparkContext.addFile(model.as_uri())
    return ToIdentify(recipe.language, model.name, aliases(list_names(recipe)))


def _write_lists(run: Run) -> None:
    folder = storage.join(tables.staging(run.output, "matched"), LISTS)
    storage.make_folder(folder)
    for name, found in run.found.lists.items():
        sink = pa.BufferOutputStream()
        pq.write_table(_as_table(found), sink, compression="zstd")
        storage.write_bytes(storage.join(folder, f"{name}.parquet"), sink.getvalue().to_pybytes())


def _as_table(found: EntryList) -> pa.Table:
    ids = pa.array(np.arange(len(found.entries), dtype=np.int32))
    return pa.table({"entry_id": ids, "entry": found.entries})


def _check(request: Request) -> Matchers:
    """Loads the lists. Where nothing is matched yet their matchers are built while the JVM starts."""
    recipe = request.recipe
    found = Matchers(load_lists(recipe), recipe.match.form, recipe.match.engine)
    if recipe.language.match_first:
        if len(found.lists) != 1:
            raise UsageError(f"language.match_first: needs exactly one list, found {len(found.lists)}")
        load_model(str(model_file(recipe.language.model)))
    if request.force or record.load(request.output, STAGE.name) is None:
        found.start()
    return found


def _depends(recipe: Recipe) -> dict[str, Any]:
    """Not on the engine: both find the same. Lists that are not there are not told: a later stage alone needs none."""
    lists = {"entries": digests} if (digests := list_digests(recipe)) else {}
    language = {"identify": recipe.language.identify}
    if recipe.language.match_first:
        language = recipe.language.told() | {"aliases": aliases(list_names(recipe))}
    match = recipe.match.model_dump(exclude={"engine"})
    return {"seed": recipe.seed, "match": match, "language": language, **lists}


def _files(recipe: Recipe, found: Matchers) -> list:
    language = recipe.language
    own_model = language.match_first and language.model != LID_176
    return storage.list_files(str(model_file(language.model))) if own_model else []


STAGE = Stage(
    name="match",
    title="Matching texts with entries",
    tables={"matched": "the pairs with the ids of the entries that their texts match, and their draw"},
    beside=(f"matched/{LISTS}", f"matched/{COUNTS}"),
    reads=("ingest",),
    run=run,
    depends=_depends,
    check=_check,
    files=_files,
)
