"""The plot of a run, drawn by a process of its own while the rest is written: it takes a core for two seconds.

``python -m pipeline.report.drawing`` reads the figures as JSON and writes the PNG.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any


def start_drawing(figures: dict[str, Any], title: str) -> Callable[[], bytes]:
    """Begins to draw ``distribution_plot``; what is returned waits for the PNG.

    Where a process cannot be had, or fails, it is drawn here then.
    """
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return lambda: _drawn(figures, title)
    with contextlib.suppress(OSError), process.stdin as given:  # An error says that it has ended.
        given.write(json.dumps([figures, title]).encode())

    def wait() -> bytes:
        with process.stdout as drawn:
            content = drawn.read()
        return content if process.wait() == 0 else _drawn(figures, title)

    return wait


def _drawn(figures: dict[str, Any], title: str) -> bytes:
    from pipeline.report.plots import distribution_plot

    return distribution_plot(figures, title)


if __name__ == "__main__":
    import pipeline.report.plots  # noqa: F401, while the figures are on their way

    sys.stdout.buffer.write(_drawn(*json.load(sys.stdin)))
