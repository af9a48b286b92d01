"""LAMB: which tensors it scales the step of."""

import pytest
import torch

from pipeline.train.optimizer import Lamb


@pytest.mark.parametrize(
    ("value", "moved"),
    [
        (torch.zeros(4), 0.1),  # a bias as it is at first
        (torch.full((4,), 5.0), 0.1),
        (torch.tensor(2.0), 0.1),
        (torch.zeros(2, 2), 0.1),  # its norm is none: Adam's step
        (torch.full((2, 2), 5.0), 0.5),  # norms 10 and 2
    ],
    ids=["zero bias", "bias", "scale", "zero matrix", "matrix"],
)
def test_lamb_adapts_matrices_alone(value, moved):
    """The fault: a bias, zero at first, was scaled by its own tiny norm from its second step on, and did not move."""
    parameter = torch.nn.Parameter(value.clone())
    optimizer = Lamb([parameter], lr=0.1, eps=0.0)
    parameter.grad = torch.ones_like(parameter)
    optimizer.step()  # Adam's first step is 1 by every value, whatever the gradient.
    assert torch.allclose(value - parameter.detach(), torch.full_like(value, moved), rtol=1e-5)
    if parameter.ndim < 2:
        before = parameter.detach().clone()
        parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        assert torch.allclose(before - parameter.detach(), torch.full_like(value, 0.1), rtol=1e-5)
