"""``--what-if``: what a range of thresholds would give for a finished output. Changes no table."""

import math
import uuid

from pipeline import engine, storage
from pipeline.balance import stage as balance
from pipeline.errors import UsageError
from pipeline.fitting import Fit, finished_before
from pipeline.output import check_output
from pipeline.progress import results, running, say
from pipeline.recipe import Recipe
from pipeline.report import what_if
from pipeline.report.plots import what_if_plot
from pipeline.run import Request, Run


def explore(recipe: Recipe, output: str, source: str | None, ts: list[float] | None, dead_links: float) -> None:
    """Shows what a range of ``t`` would give, and writes it as ``what-if.json`` and ``what-if.png`` into ``output``."""
    for t in ts or []:
        if not 0 < t < math.inf:
            raise UsageError(f"--t {t:g}: a number over 0 is allowed")
    given, output = output, storage.absolute(output)
    request = Request(recipe=recipe, output=output, source=storage.absolute(source) if source else output)
    check_output(output, recipe, force=False)
    finished = finished_before(request, [balance.STAGE], Fit(recipe, [balance.STAGE]))
    session = engine.open_engine(needs_spark=False)
    storage.make_folder(output)
    work = storage.join(output, f".what-if-{uuid.uuid4().hex[:8]}")  # A run may be at work in the output itself.
    try:
        with running("Looking at thresholds", session):
            run = Run(**vars(request), session=session, finished=finished, work=work)
            lines = what_if.figures(balance.explore(run, ts), dead_links)
    finally:
        storage.remove(work)
    storage.write_json(storage.join(output, "what-if.json"), {"dead_links": dead_links, "lines": lines})
    storage.write_bytes(storage.join(output, "what-if.png"), what_if_plot(lines, dead_links))
    results.print(what_if.table(lines, dead_links))
    say(f"Results: {storage.join(given, 'what-if.json')}, what-if.png")
