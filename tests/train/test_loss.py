"""SigLIP's loss block by block over a ring of processes is the loss of the whole batch."""

import socket

import pytest
import torch

from pipeline.train import loss

from .distributed import one_in_a_ring, siglip_gradients


@pytest.mark.parametrize("world", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3))])
def test_chunked_gradients_are_the_full_ones(tmp_path, world):
    if world == 1:
        torch.save([siglip_gradients(True), siglip_gradients(False)], tmp_path / "0")
    else:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        torch.multiprocessing.spawn(one_in_a_ring, (world, port, str(tmp_path)), nprocs=world)
    both = [torch.load(tmp_path / str(rank)) for rank in range(world)]
    for chunked, full in both:
        for found, want in zip(chunked, full, strict=True):
            assert torch.allclose(found, want, rtol=1e-12, atol=1e-14)
    # The mean over the processes is the loss of one, and so are the gradients.
    alone = siglip_gradients(False)
    assert torch.allclose(sum(chunked[0] for chunked, _ in both) / world, alone[0], rtol=1e-12)
    for side in (1, 2):
        assert torch.allclose(torch.cat([chunked[side] for chunked, _ in both]) / world, alone[side], rtol=1e-12)
    for number in (3, 4):
        assert torch.allclose(sum(chunked[number] for chunked, _ in both) / world, alone[number], rtol=1e-12)


def test_no_block_is_larger_than_a_processs_part(monkeypatch):
    """A ring of four, of which one is here: the logits that are ever made are of 3 by 3."""
    shapes, whole = [], loss._block
    monkeypatch.setattr(loss, "_block", lambda i, t, *rest: shapes.append((len(i), len(t))) or whole(i, t, *rest))
    monkeypatch.setattr(loss.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(loss.dist, "get_world_size", lambda: 4)
    monkeypatch.setattr(loss, "_pass_on", lambda tensor: tensor)
    images, texts = torch.randn(2, 3, 5)
    loss.chunked_siglip_loss(images.requires_grad_(), texts, torch.tensor(1.0), torch.tensor(0.0)).backward()
    assert shapes == [(3, 3)] * 4
