"""Measures how the outputs bend with each layer's weights: the Hessian's trace by Hutchinson's method (HAWQ-V2).

For the loss ½‖f(W) − f(W₀)‖², which is zero at W₀, the Hessian is JᵀJ exactly, and with random signs v on the outputs

    Tr(JᵀJ)_l = E_v ‖∂(v · f) / ∂W_l‖²              (Hutchinson 1990; Dong et al. 2020, arXiv:1911.03852)
    Ω_l       = Tr(H_l) / n_l · ‖Q(W_l) − W_l‖²

One backward pass gives all layers at once, and no labels are needed. It weighs what rounding does to the weights;
activations have no part in it.
"""

from collections.abc import Callable, Sequence

import onnx_ir as ir
import torch

from worker.compression.data.samples import Samples
from worker.compression.engine.working import as_module
from worker.compression.layers.linear import Linear

PROBES_PER_BATCH = 4
"""Of random signs for each batch."""
BATCH = 4


def hessian_traces(
    model: ir.Model,
    layers: Sequence[Linear],
    samples: Samples,
    seed: int,
    report_progress: Callable[[float], None],
) -> dict[str, float]:
    """Estimate the mean trace Tr(H_l) / n_l of each layer, by its name, over the samples.

    Raises `Refusal` `unsupported_operator` for what the engine cannot run.
    """
    module = as_module(model).eval()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module.to(device)
    weights = {layer.name: module.weight(str(layer.weight.name)) for layer in layers}
    generator = torch.Generator().manual_seed(seed)
    sums = dict.fromkeys(weights, 0.0)
    done = probes = 0
    samples = samples.unpadded()
    for feeds, rows in samples.counted_batches(BATCH):
        inputs = {name: torch.as_tensor(x, device=device) for name, x in feeds.items()}
        outputs = [y for y in module(inputs).values() if y.is_floating_point() and y.requires_grad]
        for probe in range(PROBES_PER_BATCH if outputs else 0):
            signs = [torch.randint(0, 2, y.shape, generator=generator).to(y) * 2 - 1 for y in outputs]
            product = torch.stack([(y * v).sum() for y, v in zip(outputs, signs, strict=True)]).sum()
            gradients = torch.autograd.grad(
                product, list(weights.values()), retain_graph=probe < PROBES_PER_BATCH - 1, allow_unused=True
            )
            for name, gradient in zip(weights, gradients, strict=True):
                sums[name] += 0.0 if gradient is None else float(gradient.square().sum())
            probes += 1
        done += rows
        report_progress(min(1.0, done / len(samples)))
    return {name: sums[name] / max(1, probes) / weights[name].numel() for name in weights}
