"""Gradients of a batch: in chunks, and by two processes, they are those of the whole batch at once."""

import socket

import pytest
import torch
import torch.nn.functional as F

from pipeline.train.loss import clip_loss, siglip_loss
from pipeline.train.models import TokenizerConfig

from .distributed import gradients, one_of_two

TOKENS = TokenizerConfig(60, 58, 59, 0, 12)


def batch(count=16):
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    ids = torch.randint(1, 58, (count, 12), generator=generator)
    ids[:, 0] = 58
    for row in range(count):
        ids[row, 5 + row % 6] = 59
        ids[row, 6 + row % 6 :] = 0
    return images, ids


def compare(found, want, double, widened=1):
    """``widened``: how much a model magnifies the rounding of one operation beyond what CLIP's towers do."""
    (loss, gradients), (want_loss, want_gradients) = found, want
    assert gradients.keys() == want_gradients.keys()
    difference = torch.cat([(gradients[n] - want_gradients[n]).flatten() for n in want_gradients])
    whole = torch.cat([g.flatten() for g in want_gradients.values()])
    # Both bounds are for losses and gradients of about one: SigLIP's fresh loss is 13.
    assert abs(loss - want_loss) <= (widened * 1e-12 if double else 1e-6) * max(1.0, abs(want_loss))
    # The bound is for gradients of about one; these small random models have some of up to 9 (ALIGN's of 15,000).
    assert difference.abs().max() <= 1e-6 * max(1.0, whole.abs().max())
    assert difference.norm() / whole.norm() <= (widened * 1e-12 if double else 1e-5)
    assert whole.norm() > 0.01


ALIGN = {
    "model__kind": "align",
    "model__image_size": 32,
    "model__projection": 80,
    "model__vision": "{width_coefficient: 0.25, depth_coefficient: 0.2}",
    "model__text": "{hidden_size: 64, intermediate_size: 128, num_hidden_layers: 2, num_attention_heads: 2, "
    "hidden_dropout_prob: 0.0, attention_probs_dropout_prob: 0.0}",
    "loss__label_smoothing": 0.1,
}

SIGLIP = {"model__kind": "siglip", "model__projection": 64, "loss__name": "siglip"}


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model__kind": "metaclip2"},
        {"loss__name": "siglip"},
        {"patch_dropout": 0.5},
        {"loss__label_smoothing": 0.1},
        {"loss__name": "siglip", "loss__chunked": "true"},
        SIGLIP,
    ],
    ids=lambda c: "-".join(map(str, c.values())) or "clip",
)
@pytest.mark.parametrize("micro", [4, 6])
def test_cached_gradients_are_the_whole_batchs(recipe, changes, double, micro):
    whole = gradients(recipe(**changes), TOKENS, *batch(), double)
    cached = gradients(recipe(**changes, micro_batch=micro), TOKENS, *batch(), double)
    compare(cached, whole, double)


def test_cached_gradients_have_the_same_dropout(recipe):
    # Attention dropout draws from torch's generator: the second pass of a chunk must draw what the first drew.
    text = "{hidden_size: 64, intermediate_size: 128, num_hidden_layers: 2, num_attention_heads: 2, attention_dropout: 0.3}"
    made = recipe(model__text=text, micro_batch=4)
    images, ids = batch()
    first = gradients(made, TOKENS, images, ids, True)
    again = gradients(made, TOKENS, images, ids, True)
    plain = gradients(recipe(micro_batch=4), TOKENS, images, ids, True)
    compare(first, again, True)
    assert abs(first[0] - plain[0]) > 1e-4


def test_two_processes_are_one(recipe, tmp_path):
    kinds = [
        {},
        ALIGN,
        {"shard_parameters": "true", "micro_batch": 2, "loss__name": "siglip"},
        {"loss__name": "siglip"},
        {"patch_dropout": 0.5},
        {"micro_batch": 2},
        {"shard_parameters": "true"},
        {"loss__name": "siglip", "loss__chunked": "true"},
        {"loss__name": "siglip", "loss__chunked": "true", "micro_batch": 2},
        {"image__frozen": "true"},
        {"text__frozen": "true", "shard_parameters": "true", "micro_batch": 2},
        SIGLIP | {"shard_parameters": "true", "patch_dropout": 0.5},
    ]
    cases = [
        (recipe(**changes), TOKENS, *batch(), double, changes is ALIGN)
        for double, some in ((True, kinds), (False, kinds[:3]))
        for changes in some
    ]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(one_of_two, (port, cases, str(tmp_path / "found.pt")), nprocs=2)
    for case, found in zip(cases, torch.load(tmp_path / "found.pt"), strict=True):
        compare(found, gradients(*case), case[4], 100 if case[5] else 1)


def test_losses_by_hand():
    images, texts = (F.normalize(torch.randn(5, 7, generator=torch.Generator().manual_seed(k)), dim=1) for k in (1, 2))
    logits = 3.0 * images @ texts.T
    by_hand = 0.0
    for i in range(5):
        by_hand -= (torch.log_softmax(logits, 1)[i, i] + torch.log_softmax(logits, 0)[i, i]) / 10
    assert torch.isclose(clip_loss(images, texts, 3.0), by_hand)
    total = 0.0
    for i in range(5):
        for j in range(5):
            sign = 1 if i == j else -1
            total -= torch.log(torch.sigmoid(sign * (logits[i, j] - 2.0))) / 5
    assert torch.isclose(siglip_loss(images, texts, 3.0, -2.0), total)
