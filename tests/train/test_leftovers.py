"""A process ends also where a loader of its was never read to its end."""

import subprocess
import sys

SCRIPT = """
import sys
from torch.utils.data import DataLoader
from pipeline.train.stopping import ignore_signals

held = iter(DataLoader(list(range(1000)), num_workers=2, worker_init_fn=ignore_signals))
next(held)
sys.held = held
print("through")
"""


def test_a_process_ends_with_workers_that_take_no_signal():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=90, check=False)
    assert done.stdout == "through\n"
