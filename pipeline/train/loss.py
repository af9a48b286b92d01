"""The contrastive losses, of this process's part of a batch against the texts and images of all processes.

Each process works out the rows of its own samples, so its memory is linear in its part of the batch; the mean over the
processes is the loss of the whole batch, and so is the gradient.
"""

import torch
import torch.distributed as dist
import torch.nn.functional as F


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


def siglip_loss(images, texts, scale, bias, label_smoothing: float = 0.0) -> torch.Tensor:
    """The sigmoid loss of every image with every text, over the number of images (Zhai et al. 2023, alg. 1)."""
    logits = scale * images @ gather(texts).T + bias
    signs = -torch.ones_like(logits)
    rows = torch.arange(len(images), device=images.device)
    signs[rows, rows + _first_row(len(images))] = 1
    return -F.logsigmoid(signs * logits).sum() / len(images)


LOSSES = {"clip": clip_loss, "siglip": siglip_loss}
