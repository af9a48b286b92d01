"""Runs of the trainer, for tests of several files: what one leaves, and how two processes are started."""

import json
import socket
import sys

import torch
from transformers import AutoModel


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def outcome(folder):
    """What two runs that are one must share: the samples in order, the losses to the last bit, the final weights."""
    losses = [(line["step"], line["loss"], line["gradient_norm"]) for line in lines(folder / "metrics.jsonl")]
    weights = AutoModel.from_pretrained(folder / "model").state_dict()
    return lines(folder / "samples.jsonl"), losses, weights


def same(first, second):
    assert first[0] == second[0]
    assert first[1] == second[1]
    assert all(torch.equal(first[2][name], second[2][name]) for name in first[2])


def two_processes() -> list[str]:
    """The start of a command that runs a module as two processes on a free port of loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = ["--master-addr", "127.0.0.1", "--master-port", str(port)]
    return [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *where]
