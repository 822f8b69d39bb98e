"""What each part of one sample adds to one output, by captum.

    integrated gradients   (x − 0) ∫ ∂f(a x)/∂x da        Sundararajan et al. 2017, arXiv:1703.01365
    occlusion              f(x) − f(x with the part at 0)  Zeiler and Fergus 2014, arXiv:1311.2901

Both begin at zeros, as the model is fed with them.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import onnx_ir as ir
import torch

from winnow.contract.errors import Refusal
from worker.compression.engine.working import as_module
from worker.compression.ir.arrays import Array
from worker.compression.measure.network import Feed, Network
from worker.compression.result.fidelity.attributions import Method

Forward = Callable[[torch.Tensor], torch.Tensor]
Make = Callable[[Feed], Forward]
"""For the other inputs of a feed: from one input [n, …] to what the output answers [n, k]."""

STEPS: Final = 20
ROUNDS: Final = ("QuantizeLinear", "Integer", "QLinear", "QGemm", "QAttention", "Round", "NBits")
"""In the names of operators without a gradient, or whose numbers are rounded on the way."""


def differentiable(graph: ir.Model, name: str, output: str) -> Make | None:
    """Make the graph a function that has gradients; None where it rounds, or the engine does not know an operator."""
    nodes = ir.traversal.RecursiveGraphIterator(graph.graph)
    if any(word in node.op_type.replace("DequantizeLinear", "") for node in nodes for word in ROUNDS):
        return None
    try:
        module = as_module(graph, [output]).eval()
    except Refusal:
        return None

    def make(feed: Feed) -> Forward:
        given = {key: torch.from_numpy(np.ascontiguousarray(x)) for key, x in feed.items()}
        return lambda x: module(given | {name: x})[output].reshape(len(x), -1)

    return make


def runnable(network: Network, name: str, output: str) -> Make:
    """The same without gradients, by the runtime."""

    def make(feed: Feed) -> Forward:
        def forward(x: torch.Tensor) -> torch.Tensor:
            (y,) = network.run(feed | {name: x.detach().numpy()}, [output])
            return torch.from_numpy(np.ascontiguousarray(y, np.float32)).reshape(len(x), -1)

        return forward

    return make


def attributed(
    method: Method, forward: Forward, x: Array, parts: Array, target: int, *, at_once: int = 1
) -> Array:
    """Attribute output `target` to the elements of x [1, …]; an array of its shape. `at_once`: rows that the models
    take in one run."""
    from captum.attr import FeatureAblation, IntegratedGradients

    tensor = torch.from_numpy(np.ascontiguousarray(x, np.float32))
    how: Any
    if method == "integrated_gradients":
        how = IntegratedGradients(forward).attribute(
            tensor, target=target, n_steps=STEPS, internal_batch_size=at_once
        )
    else:
        mask = torch.from_numpy(np.ascontiguousarray(parts))[None]
        with torch.no_grad():
            how = FeatureAblation(forward).attribute(tensor, target=target, feature_mask=mask)
        how = how / torch.bincount(mask.reshape(-1))[mask]  # what a part adds, spread over it
    result: Array = how.detach().numpy()
    return result
