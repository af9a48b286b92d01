"""What only a GPU can show; everything here is skipped without one.

``python -m pytest tests/train/test_gpu.py`` on a machine that has one. A GPU adds up in another order, so that runs are
compared within bounds and not bit for bit.
"""

import socket

import numpy as np
import pytest
import torch
import torch.distributed as dist
from PIL import Image
from torch._dynamo.utils import counters
from torch.nn.parallel import DistributedDataParallel

from pipeline.errors import UsageError
from pipeline.train import loop
from pipeline.train.distributed import ProcessGroup
from pipeline.train.encoder import Encoder
from pipeline.train.fsdp import average_scalars, shard_parameters
from pipeline.train.memory import _measure, device_memory, fitting_micro_batch, measured_need
from pipeline.train.models import TokenizerConfig, build_model, towers_of
from pipeline.train.optimizer import build_optimizer
from pipeline.train.recipe import load_train_recipe
from pipeline.train.step import forward_backward, make_inputs

from .distributed import gradients
from .runs import lines
from .test_step import ALIGN, SIGLIP, TOKENS, batch, compare

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
VIT = TokenizerConfig(49408, 49406, 49407, 0, 77)


@pytest.fixture
def gpu(monkeypatch):
    """One process with a GPU, whose float32 is float32."""
    for backend in (torch.backends.cuda.matmul, torch.backends.cudnn):
        monkeypatch.setattr(backend, "allow_tf32", False)
    yield ProcessGroup(0, 1, 1, torch.device("cuda", 0))
    torch.use_deterministic_algorithms(False)
    torch.compiler.reset()
    torch.cuda.empty_cache()


KINDS = {
    "clip": {},
    "metaclip2": {"model__kind": "metaclip2"},
    "siglip": SIGLIP,
    "align": ALIGN,
    "dropped": {"patch_dropout": 0.5},
    "cached": {"micro_batch": 6, "patch_dropout": 0.5},
    "chunked": {"loss__name": "siglip", "loss__chunked": "true", "micro_batch": 4},
    "frozen": {"image__frozen": "true", "micro_batch": 4},
}


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize("changes", KINDS.values(), ids=KINDS)
def test_gradients_are_those_of_a_cpu(recipe, gpu, changes, double):
    case = (recipe(**changes), TOKENS, *batch(), double, changes is ALIGN)
    (loss, found), (want_loss, want) = gradients(*case, device="cuda"), gradients(*case)
    if double:
        compare((loss, found), (want_loss, want), double, 100_000 if changes is ALIGN else 1)
        return
    assert loss == pytest.approx(want_loss, rel=1e-4)
    difference, whole = (
        torch.cat([g.flatten() for g in each]) for each in ([found[n] - want[n] for n in want], want.values())
    )
    assert difference.norm() / whole.norm() < 1e-3


def losses(folder) -> list[float]:
    return [line["loss"] for line in lines(folder / "metrics.jsonl")]


@pytest.mark.parametrize(
    ("changes", "bound"),
    [
        ({"data__workers": 2}, 1e-3),
        ({"precision": "bfloat16"}, 2e-2),
        ({"precision": "bfloat16", "activation_checkpointing": "true", "micro_batch": 4}, 2e-2),
        ({"ema__decay": 0.9, "text__lr": 0.0001}, 1e-3),
    ],
    ids=["float32", "bfloat16", "checkpointed", "averaged"],
)
def test_a_run_is_that_of_a_cpu(recipe, train, gpu, tmp_path, changes, bound):
    train(recipe(**changes | {"precision": "float32"}), tmp_path / "cpu", log_samples=True)
    loop.train(recipe(**changes), tmp_path / "gpu", gpu, log_samples=True)
    assert losses(tmp_path / "gpu") == pytest.approx(losses(tmp_path / "cpu"), rel=bound)
    assert lines(tmp_path / "gpu" / "samples.jsonl") == lines(tmp_path / "cpu" / "samples.jsonl")


def test_a_run_goes_on_where_it_stopped(recipe, gpu, tmp_path):
    made = recipe(data__workers=2, precision="bfloat16", patch_dropout=0.5, ema__decay=0.9)
    loop.train(made, tmp_path / "whole", gpu, log_samples=True)
    loop.train(made, tmp_path / "parts", gpu, log_samples=True, stop_after=2)
    loop.train(made, tmp_path / "parts", gpu, log_samples=True)
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "whole"), rel=1e-3)
    assert lines(tmp_path / "parts" / "samples.jsonl") == lines(tmp_path / "whole" / "samples.jsonl")


@pytest.mark.parametrize("changes", [{}, {"micro_batch": 4, "patch_dropout": 0.5}], ids=["whole", "cached"])
def test_a_compiled_run_is_compiled_and_the_same(recipe, gpu, tmp_path, changes):
    loop.train(recipe(**changes), tmp_path / "plain", gpu)
    counters.clear()
    loop.train(recipe(compile="true", **changes), tmp_path / "compiled", gpu)
    assert counters["stats"]["unique_graphs"] > 0
    assert losses(tmp_path / "compiled") == pytest.approx(losses(tmp_path / "plain"), rel=1e-3)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("sharded", [False, True], ids=["ddp", "fsdp"])
def test_one_process_with_nccl_is_one_without(recipe, gpu, sharded, precision):
    """All that one GPU can show of several: their code runs, and changes nothing."""
    made = recipe(shard_parameters=str(sharded).lower(), precision=precision)
    want_loss, want = gradients(made, TOKENS, *batch(), False, device="cuda")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    dist.init_process_group("nccl", init_method=f"tcp://127.0.0.1:{port}", rank=0, world_size=1)
    try:
        torch.manual_seed(0)
        towers = towers_of(build_model(made.model, TOKENS), made).to(gpu.device).train()
        if sharded:
            shard_parameters(towers, precision)
        module = towers if sharded else DistributedDataParallel(towers, device_ids=[0], gradient_as_bucket_view=True)
        images, ids = (tensor.to(gpu.device) for tensor in batch())
        loss = forward_backward(module, make_inputs(towers, images, ids, TOKENS.pad, 0, 0, 0), made)
        if sharded:
            average_scalars(towers)
        found = {n: p.grad.full_tensor() if sharded and p.numel() > 1 else p.grad for n, p in towers.named_parameters()}
        bound = 1e-4 if precision == "float32" else 5e-2
        assert float(loss) == pytest.approx(want_loss, rel=bound)
        difference = torch.cat([(found[name].cpu() - value).flatten() for name, value in want.items()])
        assert difference.norm() / torch.cat([value.flatten() for value in want.values()]).norm() < bound
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize(("name", "samples"), [("vit-b-32", 1024), ("vit-b-16", 384)])
def test_what_a_step_needs_is_foreseen(gpu, name, samples):
    """The optimizer's moments and the whole batch's logits included."""
    made = load_train_recipe(name, [f"batch={samples}", "micro_batch=null"], ["none"])
    towers = towers_of(build_model(made.model, VIT), made).to(gpu.device).train()
    peak = lambda n: _measure(towers, made, n, 77, gpu.device)  # noqa: E731
    need = measured_need(peak, towers, made, 1, device_memory(gpu.device))
    taken = peak_of_steps(towers, made, gpu)
    assert taken <= need.of(made.batch) <= 1.15 * taken, (name, taken, need)


def test_what_fits_is_found_and_fits(gpu):
    made = load_train_recipe("vit-b-16", ["batch=8192", "micro_batch=auto"], ["none"])
    towers = towers_of(build_model(made.model, VIT), made).to(gpu.device).train()
    found = fitting_micro_batch(towers, made, 77, gpu)
    assert found in (256, 512, 1024)
    memory = device_memory(gpu.device)
    assert peak_of_steps(towers, made.model_copy(update={"micro_batch": found}), gpu, steps=1) < memory
    with pytest.raises(
        UsageError, match="micro_batch: 8,192 samples at a time need some .* allowed: micro_batch of at most"
    ):
        fitting_micro_batch(towers, made.model_copy(update={"micro_batch": 8192}), 77, gpu)


def peak_of_steps(towers, made, gpu, steps=2) -> int:
    """The most bytes on the GPU at a time."""
    optimizer, _ = build_optimizer(towers, made, gpu.device)
    side = made.model.image_size
    images = torch.randint(0, 256, (made.batch, 3, side, side), dtype=torch.uint8, device=gpu.device)
    ids = torch.randint(1, 49406, (made.batch, 77), dtype=torch.int32, device=gpu.device)
    ids[:, -1] = VIT.eos
    torch.cuda.reset_peak_memory_stats(gpu.device)
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        forward_backward(towers, make_inputs(towers, images, ids, VIT.pad, 0, 0, 0), made)
        optimizer.step()
    return torch.cuda.max_memory_allocated(gpu.device)


def test_vectors_are_those_of_a_cpu(model):
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (40, 32, 3), dtype=np.uint8)) for _ in range(40)]
    texts = ["a red square", "a blue circle", "", "photograph " * 200]
    cpu = Encoder(model, "cpu")
    for precision, least in (("float32", 1 - 1e-5), (None, 0.995)):
        found = Encoder(model, "cuda", precision)
        assert found.half == (precision is None)
        assert (found.encode_images(images) * cpu.encode_images(images)).sum(1).min() > least
        assert (found.encode_texts(texts) * cpu.encode_texts(texts)).sum(1).min() > least
