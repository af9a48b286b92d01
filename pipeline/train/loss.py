"""The contrastive losses, of this process's part of a batch against the texts and images of all processes.

Each process works out the rows of its own samples, so its memory is linear in its part of the batch; the mean over the
processes is the loss of the whole batch, and so is the gradient.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.distributed as dist
import torch.nn.functional as F

from pipeline.train.recipe import Loss


class _Gather(torch.autograd.Function):
    """All processes' rows, in the order of their ranks; a gradient goes back to where its rows came from."""

    @staticmethod
    def forward(ctx, rows):
        ctx.count = len(rows)
        gathered = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(gathered, rows.contiguous())
        return torch.cat(gathered)

    @staticmethod
    def backward(ctx, gradient):
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        first = dist.get_rank() * ctx.count
        return gradient[first : first + ctx.count]


def gather(rows: torch.Tensor) -> torch.Tensor:
    """All processes' rows, with gradients; the rows themselves where there is one process."""
    return _Gather.apply(rows) if dist.is_initialized() and dist.get_world_size() > 1 else rows


def _first_row(count: int) -> int:
    return dist.get_rank() * count if dist.is_initialized() else 0


def clip_loss(images, texts, scale, bias=None, label_smoothing: float = 0.0) -> torch.Tensor:
    """The mean of the cross entropies of images over texts and of texts over images (Radford et al. 2021, fig. 3).

    ``images`` and ``texts``: unit vectors, pair by pair. ALIGN's loss is the same with ``label_smoothing``.
    """
    labels = torch.arange(len(images), device=images.device) + _first_row(len(images))
    return sum(
        F.cross_entropy(scale * rows @ gather(others).T, labels, label_smoothing=label_smoothing)
        for rows, others in ((images, texts), (texts, images))
    ) / 2  # fmt: skip


def siglip_loss(images, texts, scale, bias) -> torch.Tensor:
    """The sigmoid loss of every image with every text, over the number of images (Zhai et al. 2023, alg. 1)."""
    return _block(images, gather(texts), scale, bias, _first_row(len(images)))


def chunked_siglip_loss(images, texts, scale, bias) -> torch.Tensor:
    """As ``siglip_loss``, in memory of one process's images by its texts (Zhai et al. 2023, section 3.3).

    The processes stand in a ring, in which each passes the texts that it has seen to the next.
    """
    return _Ring.apply(images, texts, scale, bias)


def _block(images, texts, scale, bias, first: int | None) -> torch.Tensor:
    """The loss of images with some texts, of which those from ``first`` on, if any, are their own."""
    logits = scale * images @ texts.T + bias
    signs = -torch.ones_like(logits)
    if first is not None:
        rows = torch.arange(len(images), device=images.device)
        signs[rows, rows + first] = 1
    return -F.logsigmoid(signs * logits).sum() / len(images)


class _Ring(torch.autograd.Function):
    """The loss of a process's images with the texts of all, block by block.

    A block's gradients are taken when it is there, so that no two are in memory; that of texts goes round with them.
    """

    @staticmethod
    def forward(ctx, images, texts, scale, bias):
        count = dist.get_world_size() if dist.is_initialized() else 1
        of_images, of_scale, of_bias = (torch.zeros_like(value) for value in (images, scale, bias))
        loss, passing = images.new_zeros(()), torch.stack([texts, torch.zeros_like(texts)])
        for turn in range(count):
            with torch.enable_grad():
                inputs = [value.detach().requires_grad_() for value in (images, passing[0], scale, bias)]
                block = _block(*inputs, 0 if turn == 0 else None)
            found = torch.autograd.grad(block, inputs)
            loss += block.detach()
            of_images += found[0]
            passing[1] += found[1]
            of_scale += found[2]
            of_bias += found[3]
            passing = _pass_on(passing)
        ctx.save_for_backward(of_images, passing[1], of_scale, of_bias)
        return loss

    @staticmethod
    def backward(ctx, gradient):
        return tuple(gradient * found for found in ctx.saved_tensors)


def _pass_on(tensor: torch.Tensor) -> torch.Tensor:
    """What the process before had; after as many turns as there are processes, each has its own again."""
    if not dist.is_initialized() or (count := dist.get_world_size()) == 1:
        return tensor
    rank, received = dist.get_rank(), torch.empty_like(tensor)
    sending = dist.P2POp(dist.isend, tensor.contiguous(), (rank + 1) % count)
    receiving = dist.P2POp(dist.irecv, received, (rank - 1) % count)
    for work in dist.batch_isend_irecv([sending, receiving]):
        work.wait()
    return received


def loss_of(options: Loss) -> Callable[..., torch.Tensor]:
    """The loss of a recipe, of images, texts, scale and bias."""
    if options.name == "siglip":
        return chunked_siglip_loss if options.chunked else siglip_loss
    return partial(clip_loss, label_smoothing=options.label_smoothing)
