"""How many samples fit into a device's memory at a time: measured before the first step.

What a pass takes, forwards and backwards, is measured of ``FEW`` samples, of twice as many, and so on up to half of the
memory; the last difference is what each sample takes. What the optimizer and the whole batch will take beside that is
added. Without a device at hand, the same is estimated with tensors that have no values (``estimate``).
"""

import weakref
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import PretrainedConfig

from pipeline.errors import UsageError
from pipeline.train.distributed import ProcessGroup
from pipeline.train.models import MODELS, Towers, kind_of, needs_attention_mask, num_patches, towers_of
from pipeline.train.recipe import TrainRecipe

FEW = 32
USED = 0.9  # of the memory that there is; the rest is for NCCL, kernels and gaps between blocks
MEASURED_ON = ("cuda",)
LOGITS = 5  # matrices of a process's samples by the whole batch: both ways, their softmax and its gradient
BATCHES = 3  # of images on the device: in use, ready, in the making


@dataclass(frozen=True)
class Need:
    """What a process needs, in bytes: for all that does not depend on the samples at a time, and for each of those."""

    fixed: float
    sample: float

    def most(self, memory: float) -> int:
        """The most samples that fit at a time."""
        return max(0, int((USED * memory - self.fixed) / self.sample))

    def of(self, samples: int) -> float:
        """What so many samples at a time need."""
        return self.fixed + self.sample * samples


class PeakMemory(TorchDispatchMode):
    """Counts the bytes of all tensors that are made within it, and the most of them that there were at a time."""

    def __init__(self):
        super().__init__()
        self.now = self.most = 0
        self.known: dict[int, weakref.ref] = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor.untyped_storage())
        return found

    def _add(self, storage: torch.UntypedStorage) -> None:
        number, size = id(storage), storage.nbytes()
        if number in self.known:
            return

        def gone(_: weakref.ref) -> None:
            self.now -= size
            del self.known[number]

        self.known[number] = weakref.ref(storage, gone)
        self.now += size
        self.most = max(self.most, self.now)


def fitting_micro_batch(towers: Towers, recipe: TrainRecipe, tokens: int, group: ProcessGroup) -> int | None:
    """The samples that each process has in memory at a time; None for all of its batch.

    ``tokens``: of the longest text. The recipe's own number is taken where it fits, and the largest power of two where
    it says ``auto``. Raises ``UsageError`` where what the recipe says does not fit, and says what does. All processes
    call this; nothing is measured on a CPU.
    """
    local, wanted = recipe.batch // group.world_size, recipe.micro_batch
    if group.device.type not in MEASURED_ON:
        return None if wanted == "auto" else wanted
    memory = min(group.gather(device_memory(group.device)))

    def peak(samples: int) -> int:
        return max(group.gather(_measure(towers, recipe, samples, tokens, group.device)))

    need = measured_need(peak, towers, recipe, group.world_size, memory)
    most = min(group.gather(need.most(memory)))
    asked = local if wanted in (None, "auto") else min(wanted, local)
    if asked <= most:
        return None if wanted == "auto" else wanted
    if wanted == "auto" and most and recipe.model.kind != "align":
        return 1 << (most.bit_length() - 1)
    name = "batch" if wanted in (None, "auto") else "micro_batch"
    raise UsageError(
        f"{name}: {asked:,} samples at a time need some {need.of(asked) / 1e9:,.0f} GB on each device, which has "
        f"{memory / 1e9:,.0f} GB; {_advice(recipe, most)}"
    )


def _advice(recipe: TrainRecipe, most: int) -> str:
    if not most:
        return "not one fits; allowed: shard_parameters, activation_checkpointing, a smaller batch, or more devices"
    if recipe.model.kind == "align":
        return f"{most:,} fit: a batch of so many times the processes is allowed, or more of these"
    return f"allowed: micro_batch of at most {most:,}, or auto"


def measured_need(
    peak: Callable[[int], int], towers: Towers, recipe: TrainRecipe, world_size: int, memory: float
) -> Need:
    """The need by ``peak(samples)``: what the device holds at most in a pass of so many samples.

    With few samples the most may be at another time of the pass (at the gradients of a large vocabulary), and says
    nothing of many: samples are doubled until half of the memory is in use, or as many as a process has.
    """
    samples, before = FEW, peak(FEW)
    while True:
        most = peak(2 * samples)
        sample = max(1.0, (most - before) / samples)
        samples, before = 2 * samples, most
        if 2 * most > USED * memory or samples >= recipe.batch // world_size:
            return Need(most - sample * samples + _beside(towers, recipe, world_size), sample)


def _beside(towers: Towers, recipe: TrainRecipe, world_size: int) -> float:
    """What a step will hold beside a pass: the optimizer's two moments, the batch's images and logits."""
    sharded = world_size if recipe.shard_parameters else 1
    local, side = recipe.batch // world_size, recipe.model.image_size
    values = 8 if recipe.ema.decay is None else 12  # two moments, and the average of the weights
    moments = sum(values * parameter.numel() / sharded for parameter in towers.parameters() if parameter.requires_grad)
    if sharded > 1 and (recipe.evaluate.every or recipe.evaluate.every_samples):
        moments += sum(4 * parameter.numel() for parameter in towers.parameters())  # whole, to be evaluated
    others = local if recipe.loss.chunked else recipe.batch
    return moments + BATCHES * local * 3 * side * side + LOGITS * 4 * local * others


def device_memory(device: torch.device) -> int:
    """The bytes that this process may use."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device)


def _measure(towers: Towers, recipe: TrainRecipe, samples: int, tokens: int, device: torch.device) -> int:
    """The most bytes on the device in a pass, of which nothing stays."""
    buffers = [buffer.clone() for buffer in towers.buffers()]
    _pass(towers, recipe, 2, tokens, device)  # Gradients are there in all passes of a step but the first.
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        _pass(towers, recipe, samples, tokens, device)
        most = torch.cuda.max_memory_allocated(device)
    else:
        gradients = [parameter.grad for parameter in towers.parameters() if parameter.grad is not None]
        held = sum(t.numel() * t.element_size() for t in (*towers.parameters(), *towers.buffers(), *gradients))
        with PeakMemory() as memory:
            _pass(towers, recipe, samples, tokens, device)
        most = memory.most + held
    for parameter in towers.parameters():
        parameter.grad = None
    for buffer, before in zip(towers.buffers(), buffers, strict=True):
        buffer.copy_(before)
    return most


def _pass(towers: Towers, recipe: TrainRecipe, samples: int, tokens: int, device: torch.device) -> None:
    """Forwards and backwards."""
    side, patches = recipe.model.image_size, num_patches(recipe, towers.model)
    images = torch.zeros(samples, 3, side, side, dtype=torch.uint8, device=device)
    ids = torch.zeros(samples, tokens, dtype=torch.int32, device=device)
    # One of four dimensions is taken as it is; of others the values would be looked at.
    mask = torch.zeros(samples, 1, tokens, tokens, device=device) if needs_attention_mask(towers.model) else None
    noise = torch.zeros(samples, patches, device=device) if patches else None
    with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
        vectors = towers(images, ids, mask, noise)
    (vectors[0].float().sum() + vectors[1].float().sum()).backward()


def norms_in_float32(towers: Towers) -> None:
    """Lets layer norms take and give float32, as autocast does on a GPU: what is kept of them is twice as much."""
    for module in towers.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.register_forward_pre_hook(lambda _module, inputs: (inputs[0].float(), *inputs[1:]))


def estimate(config: PretrainedConfig, recipe: TrainRecipe, tokens: int, world_size: int, memory: float = 80e9) -> Need:
    """The need of each of so many processes, by tensors without values: no memory is taken, and no device is needed.

    Kernels of a GPU may keep more or less than those of a CPU, for which this is. Of sharded parameters, values,
    gradients and moments are counted by a process's share.
    """
    cpu = torch.device("cpu")
    with FakeTensorMode():
        model = MODELS[kind_of(config)](config)
        if recipe.activation_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        towers = towers_of(model, recipe).train()
        norms_in_float32(towers)
        need = measured_need(lambda n: _measure(towers, recipe, n, tokens, cpu), towers, recipe, world_size, memory)
        # Of values and gradients, too, a process has its share.
        whole = sum(8 * parameter.numel() for parameter in towers.parameters())
    return Need(need.fixed - (whole * (1 - 1 / world_size) if recipe.shard_parameters else 0), need.sample)
