"""What keeps a GPU busy, as far as a machine without one can tell: compiled graphs, copies ahead, few waits."""

import sys
import threading
from contextlib import contextmanager
from functools import partial

import pytest
import torch
import torch.distributed as dist
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pipeline.errors import PipelineError
from pipeline.train import loop, throughput
from pipeline.train.architecture import new_config
from pipeline.train.flops import flop_counter
from pipeline.train.fsdp import shard_parameters
from pipeline.train.loader import Batch
from pipeline.train.models import Towers, model_of
from pipeline.train.prefetch import CudaCopies, Prefetcher

from .runs import lines
from .test_step import ALIGN, TOKENS, batch

CPU = torch.device("cpu")
ONE_LAYER = {
    "model__vision": "{hidden_size: 64, intermediate_size: 128, num_hidden_layers: 1, num_attention_heads: 2, patch_size: 8}",
    "model__text": "{hidden_size: 64, intermediate_size: 128, num_hidden_layers: 1, num_attention_heads: 2}",
}


@pytest.mark.parametrize(
    ("peak", "changes"),
    [(None, {}), (1e12, {}), (None, {"loss__name": "siglip", "loss__chunked": "true", "ema__decay": 0.5})],
    ids=["no peak", "peak", "chunked loss and averages"],
)
def test_a_step_is_compiled_whether_or_not_operations_are_counted(recipe, train, tmp_path, monkeypatch, peak, changes):
    graphs = []

    def counting(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    monkeypatch.setattr(loop, "COMPILED_ON", ("cpu",))
    monkeypatch.setattr(throughput, "peak_flops", lambda device: peak)
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=counting))
    last = train(recipe(compile="true", steps=1, **ONE_LAYER | changes), tmp_path / "run")
    assert len(graphs) == 2  # a layer of each tower
    assert (last["mfu"] is not None) == (peak is not None)


@pytest.mark.parametrize(
    ("changes", "most"),
    [
        ({}, 3),
        pytest.param({"micro_batch": 4}, 6, marks=pytest.mark.slow),
        pytest.param({"micro_batch": 6, "patch_dropout": 0.5}, 8, marks=pytest.mark.slow),
        ({"activation_checkpointing": "true"}, 3),
        pytest.param({"model__kind": "metaclip2"}, 3, marks=pytest.mark.slow),
        pytest.param(
            {"model__kind": "siglip", "model__projection": 64, "loss__name": "siglip"}, 3, marks=pytest.mark.slow
        ),
        pytest.param(ALIGN, 3, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_layers_share_their_graphs_and_the_run_is_the_same(recipe, train, tmp_path, monkeypatch, changes, most):
    """The fault: a graph of all layers, made anew for the first texts of another length, kept a GPU waiting for minutes.

    ``most``: a graph for each tower, for gradients or none, for one length of texts, and one for any.
    """
    graphs = []

    def counting(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    train(recipe(steps=6, **changes), tmp_path / "plain")
    torch._dynamo.reset()
    monkeypatch.setattr(loop, "COMPILED_ON", ("cpu",))
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=counting))
    train(recipe(compile="true", steps=6, **changes), tmp_path / "compiled")
    assert 0 < len(graphs) <= most
    plain, made = (lines(tmp_path / name / "metrics.jsonl") for name in ("plain", "compiled"))
    assert [line["loss"] for line in made] == pytest.approx([line["loss"] for line in plain], rel=1e-5)
    names = [saved_names(tmp_path / name) for name in ("plain", "compiled")]
    assert names[0] == names[1]


def saved_names(folder):
    return set(torch.load(folder / "checkpoints" / "step-00000006.pt", weights_only=True)["towers"])


def test_what_cannot_be_compiled_is_said(recipe, train, tmp_path, monkeypatch):
    def broken(_graph, _inputs):
        raise RuntimeError("no such kernel")

    torch._dynamo.reset()
    monkeypatch.setattr(loop, "COMPILED_ON", ("cpu",))
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=broken))
    with pytest.raises(PipelineError, match="compile: .*no such kernel.*--set compile=false"):
        train(recipe(compile="true", steps=1, **ONE_LAYER), tmp_path / "run")


@pytest.mark.parametrize("changes", [{}, {"patch_dropout": 0.5}, {"model__kind": "metaclip2"}, ALIGN], ids=str)
def test_the_models_own_operations_are_counted(recipe, changes):
    """As many as one plain pass of the real model takes, however a step is made."""
    made = recipe(**changes)
    config = new_config(made.model, TOKENS)
    towers = Towers(model_of(config), made.patch_dropout)
    images, ids = batch(4)
    noise = torch.rand(4, 16) if made.patch_dropout else None
    # Of other kernels for attention torch knows no figure on a CPU.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        found = towers(images, ids, torch.ones_like(ids).long() if made.model.kind == "align" else None, noise)
        (found[0].sum() + found[1].sum()).backward()
    assert flop_counter(config, made)(ids.shape[1]) == counter.get_total_flops() / 4 > 0
    if made.model.kind != "align":
        often = recipe(**changes, micro_batch=2, activation_checkpointing="true", compile="true")
        assert flop_counter(config, often)(ids.shape[1]) == counter.get_total_flops() / 4


def numbered(count, made):
    for number in range(count):
        made.append(number)
        yield Batch(torch.full((2, 3, 4, 4), number, dtype=torch.uint8), torch.zeros(2, 3), [str(number)] * 2, {})


def test_batches_are_made_ahead_in_order():
    made: list[int] = []
    loader = Prefetcher(numbered(9, made), CPU)
    assert not made
    first = next(loader)
    while len(made) < 3:  # Two are ready or in the making while the first is used.
        threading.Event().wait(0.01)
    assert [first.keys[0], *(found.keys[0] for found in loader)] == [str(number) for number in range(9)]
    loader.close()


def test_a_prefetcher_hands_on_errors_and_ends():
    def failing():
        yield from numbered(1, [])
        raise OSError("no such tar")

    loader = Prefetcher(failing(), CPU)
    next(loader)
    with pytest.raises(OSError, match="no such tar"):
        next(loader)
    endless = Prefetcher(numbered(10**9, []), CPU)
    next(endless)
    endless.close()
    assert not endless.thread.is_alive()


def test_copies_are_on_a_stream_of_their_own_and_the_host_does_not_wait(monkeypatch):
    """The calls that a GPU would get."""
    calls = []

    class Stream:
        def __init__(self, device=None):
            self.name = "step" if device is None else "copies"

        def record_event(self):
            calls.append(("recorded", self.name))
            return "event"

        def wait_event(self, event):
            calls.append(("waits for", event, self.name))

    @contextmanager
    def within(stream):
        calls.append(("within", stream.name))
        yield
        calls.append(("without", stream.name))

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", within)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream())
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda self, stream: calls.append(("held for", stream.name)))
    copies = CudaCopies(CPU)
    moved, event = copies.start(next(numbered(1, [])))
    copies.wait(moved, event)
    assert calls == [("within", "copies"), ("without", "copies"), ("recorded", "copies"),
                     ("waits for", "event", "step"), ("held for", "step"), ("held for", "step")]  # fmt: skip


def test_the_host_waits_for_the_device_once_a_log_line(recipe, train, tmp_path, monkeypatch):
    """What our code reads of tensors is as much for twelve steps as for six with as many log lines."""
    reads: list[str] = []
    for name in ("item", "tolist", "__float__", "__bool__", "__int__"):
        theirs = getattr(torch.Tensor, name)

        def read(self, theirs=theirs, name=name):
            file = sys._getframe(1).f_code.co_filename
            if "pipeline/train" in file and not file.endswith(("metrics.py", "checkpoint.py")):
                reads.append(f"{name} {file}")
            return theirs(self)

        monkeypatch.setattr(torch.Tensor, name, read)
    counts = []
    for steps in (6, 12):
        reads.clear()
        made = recipe(steps=steps, log__every=steps // 2, log__checkpoint=steps, **ONE_LAYER)
        train(made, tmp_path / str(steps))
        counts.append(len(reads))
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_sharded_layers_are_gathered_in_the_precision_of_the_recipe(recipe, precision):
    made = recipe(**ONE_LAYER)
    towers = Towers(model_of(new_config(made.model, TOKENS)))
    dist.init_process_group("gloo", rank=0, world_size=1, store=dist.HashStore())
    try:
        shard_parameters(towers, precision)
        seen = []
        layer = towers.model.vision_model.encoder.layers[0].mlp.fc1
        layer.register_forward_pre_hook(lambda module, inputs: seen.append(module.weight.dtype))
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            images, texts, scale, _ = towers(*batch(4))
        (images.sum() + texts.sum() + scale).backward()
        assert seen == [getattr(torch, precision)]
        assert {p.grad.dtype for p in towers.parameters() if p.grad is not None} == {torch.float32}
    finally:
        dist.destroy_process_group()
