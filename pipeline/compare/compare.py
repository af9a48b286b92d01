"""The main path of a comparison: curate by each recipe, one tokenizer, the same training and evaluation, the report."""

from pathlib import Path

from pipeline import storage
from pipeline.compare.comparison import Comparison
from pipeline.compare.figures import figures
from pipeline.compare.page import page
from pipeline.compare.plots import plots
from pipeline.compare.runs import check_sizes, curate_all, forget_other_runs, make_tokenizer, train_and_evaluate
from pipeline.compare.table import overlap_table, table
from pipeline.lock import held
from pipeline.progress import results, say

REPORT, PAGE = "compare.json", "compare.html"


def compare(comparison: Comparison, force: bool = False) -> None:
    """Compares, and writes ``compare.json``, ``compare.html`` and plots into the output. Goes on where it was ended.

    Raises ``UsageError`` before any work where anything is wrong, or compute would not be equal.
    """
    comparison.check()
    comparison.refuse(force)
    comparison.output.mkdir(parents=True, exist_ok=True)
    with held(str(comparison.output)):
        comparison.start()
        sets = curate_all(comparison, force)
        check_sizes(comparison, sets)
        tokenizer = make_tokenizer(comparison, sets, force)
        for label, folder in sets.items():
            forget_other_runs(comparison, label, folder)
        runs: dict[str, list[Path]] = {label: [] for label in sets}
        for seed in range(comparison.seeds):  # A comparison that is ended early has as many seeds of each.
            for label, folder in sets.items():
                runs[label].append(train_and_evaluate(comparison, label, folder, seed, tokenizer, force))
        found = figures(comparison, sets, runs)
        drawn = plots(found)
        storage.write_json(str(comparison.output / REPORT), found)
        for name, content in drawn.items():
            storage.write_bytes(str(comparison.output / name), content)
        storage.write_bytes(str(comparison.output / PAGE), page(found, drawn))
    results.print(table(found))
    results.print(overlap_table(found))
    say(f"Results: {comparison.output / REPORT}, {PAGE}")
