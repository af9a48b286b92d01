"""The language of rows, as tables hold it, and those of languages that a recipe does not keep.

It is the work of ``ingest``, or with ``language.match_first`` of ``match``, which has to look at fewer texts.
"""

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.language.codes import UNKNOWN, is_kept, label
from pipeline.language.identify import identify
from pipeline.recipe import Language

NOT_KEPT = "language_not_kept"


def with_codes(rows: pa.RecordBatch, options: Language, model: str | None) -> pa.RecordBatch:
    """A batch with ``language`` and ``language_score`` of its kept rows, as the model gives them.

    Without the file of a ``model``, the language is that of the input, and none where a later stage is to identify it.
    """
    language, score = rows.column("language"), pa.nulls(rows.num_rows, pa.float64())
    if model:
        texts = rows.column("text")
        if "dropped" in rows.schema.names:
            texts = pc.if_else(pc.is_null(rows.column("dropped")), texts, None)
        pages = rows.column("page_language") if options.page_language == "prior" else None
        language, score = identify(texts, model, options.clean, pages)
    elif options.match_first:
        language = pa.nulls(rows.num_rows, pa.string())
    values = {"language": language, "language_score": score}
    others = {name: rows.column(name) for name in rows.schema.names}
    return pa.RecordBatch.from_pydict(others | values)


def label_rows(rows: pa.RecordBatch, options: Language, aliases: dict[str, str]) -> pa.RecordBatch:
    """A batch with its codes in ``language`` replaced by the labels of kept rows, and others marked in ``dropped``.

    Under the threshold, or where no code is known, a text is ``und``. ``aliases``: see ``pipeline.language.codes``.
    """
    by_model = options.identify == "fasttext"
    codes, dropped = pc.fill_null(rows.column("language"), UNKNOWN), rows.column("dropped")
    if by_model:
        unsure = pc.fill_null(pc.less(rows.column("language_score"), options.threshold), False)
        codes = pc.if_else(unsure, UNKNOWN, codes)
    distinct = codes.dictionary_encode()
    known = distinct.dictionary.to_pylist()
    labels = pa.array([label(code, aliases, by_model) for code in known], pa.string())
    kept = pa.array([not options.keep or is_kept(code, options.keep, by_model) for code in known], pa.bool_())
    here = pc.is_null(dropped)
    language = pc.if_else(here, labels.take(distinct.indices), None)
    other = pc.and_(here, pc.invert(kept.take(distinct.indices)))
    values = {"language": language, "dropped": pc.if_else(other, NOT_KEPT, dropped)}
    return pa.RecordBatch.from_arrays(
        [values.get(name, rows.column(name)) for name in rows.schema.names], schema=rows.schema
    )
