"""Scores weights by what they do to the model's outputs, to first order, without labels.

    s = Σ_samples ‖∂y/∂w · w‖²  =  E_r [ (w · ∂⟨r, y⟩/∂w)² ],   r ~ N(0, I)

One backward pass a batch: the random r of different samples cancel in the mean (Molchanov et al. 2019,
arXiv:1906.10771, with the output's change in place of the loss). Outputs count alike, whatever their scale.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import onnx_ir as ir
import torch

from worker.compression.data.samples import Samples
from worker.compression.engine.working import as_module
from worker.compression.ir.arrays import Array
from worker.compression.layers.linear import Linear

BATCH: Final = 8
"""Samples of one draw of r: fewer are truer, more are faster."""


def taylor(model: ir.Model, layers: Sequence[Linear], samples: Samples) -> dict[str, Array]:
    """Score each weight, by the layer's name, float64 [groups, out, in]. Zeros for what no output depends on.

    Raises `Refusal` `unsupported_operator`.
    """
    module = as_module(model).eval()
    noise = torch.Generator().manual_seed(0)
    parameters = dict(module.named_parameters())
    scores = {layer.name: np.zeros(layer.shape) for layer in layers}
    learned = [layer for layer in layers if str(layer.weight.name) in parameters]
    weights = [parameters[str(layer.weight.name)] for layer in learned]
    for feeds in samples.unpadded().batches(BATCH):
        outputs = module({name: torch.from_numpy(np.array(x)) for name, x in feeds.items()})
        projected = [_projected(y, noise) for y in outputs.values() if y.requires_grad]
        if not projected:
            break
        gradients = torch.autograd.grad(torch.stack(projected).sum(), weights, allow_unused=True)
        for layer, weight, gradient in zip(learned, weights, gradients, strict=True):
            if gradient is not None:
                moved = (weight.detach() * gradient).double().numpy()
                scores[layer.name] += layer.laid_out(moved) ** 2
    return scores


def _projected(y: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
    """⟨r, y⟩ of a random r, y scaled to a mean square of 1."""
    scale = y.detach().square().mean().sqrt().clamp(min=1e-12)
    return (y * torch.randn(y.shape, generator=noise)).sum() / scale
