"""Put batch normalisation back behind convolutions for training, and fold it away again.

Exported networks come with it folded into the weights, and such weights diverge at rates that others train well at.
Behind each convolution y = w·x + b goes a normalisation that changes nothing to begin with,

    γ (y − μ) / √(σ² + ε) + β    with    γ = √(σ² + ε),  β = μ

μ, σ² measured on data. At the end it goes back into the weights (Jacob et al. 2018, arXiv:1712.05877):

    w ← w γ / √(σ² + ε),    b ← (b − μ) γ / √(σ² + ε) + β
"""

from collections.abc import Iterable

import onnx_ir as ir
import torch
from torch import nn

from worker.compression.engine.module import Call, Feeds, GraphModule
from worker.compression.engine.operator import Function
from worker.compression.engine.operators.modes import several
from worker.compression.engine.recomputing import Statistics
from worker.compression.ir.values import input_at

EPSILON = 1e-5
MOMENTUM = 0.1
"""Of the running statistics, as torch counts it."""
LAYERS_WITH_WEIGHTS = frozenset(
    {"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN", "BatchNormalization"}
)


class Normalised(Statistics):
    """A convolution and its normalisation, [N, C, …]. While it observes, it measures and changes nothing."""

    def __init__(self, convolution: Function, like: torch.Tensor) -> None:
        super().__init__()
        self.convolution, self.observing, self.seen = convolution, True, 0
        channels = like.shape[0]
        self.weight = nn.Parameter(like.new_ones(channels))
        self.bias = nn.Parameter(like.new_zeros(channels))
        self.mean: torch.Tensor
        self.variance: torch.Tensor
        self.register_buffer("mean", like.new_zeros(channels))
        self.register_buffer("variance", like.new_zeros(channels))

    def forward(
        self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        y: torch.Tensor = self.convolution(x, weight, bias)
        if self.observing:
            self._observe(y)
            return y
        training = self.training and several(y)
        return nn.functional.batch_norm(
            y, self.mean, self.variance, self.weight, self.bias, training, self.share(MOMENTUM), EPSILON
        )

    def _observe(self, y: torch.Tensor) -> None:
        """Update the mean over the batches of each batch's mean and variance: what training will run with."""
        axes = [axis for axis in range(y.ndim) if axis != 1]
        variance, mean = torch.var_mean(y.detach().float(), axes, correction=0)
        self.seen += 1
        self.mean += (mean - self.mean) / self.seen
        self.variance += (variance - self.variance) / self.seen

    @torch.no_grad()
    def begin(self) -> None:
        """Start normalising, so that nothing changes to begin with."""
        self.observing = False
        self.weight.copy_((self.variance + EPSILON).sqrt())
        self.bias.copy_(self.mean)

    def folded(
        self, weight: torch.Tensor, bias: torch.Tensor | None, axis: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return weight and bias of the convolution alone that does the same."""
        factor = self.weight / (self.variance + EPSILON).sqrt()
        shape = [-1 if i == axis else 1 for i in range(weight.ndim)]
        shifted = -self.mean if bias is None else bias - self.mean
        return weight * factor.view(shape), shifted * factor + self.bias


@torch.no_grad()
def restore(module: GraphModule, batches: Iterable[Feeds], frozen: frozenset[str] = frozenset()) -> int:
    """Put normalisations behind all convolutions that can have one, measured on these feeds; return how many.

    No output of the module in evaluation changes by more than rounding. `frozen` are nodes left as they are.
    """
    calls = [
        call for call in module.calls if _can_be_normalised(call, module) and call.node.name not in frozen
    ]
    for call in calls:
        call.function = Normalised(call.function, module.weight(_weight(call)))
        module.parts.append(call.function)
    module.eval()
    for feeds in batches:
        module(feeds)
    for call in calls:
        assert isinstance(call.function, Normalised)
        call.function.begin()
    return len(calls)


@torch.no_grad()
def fold(module: GraphModule) -> dict[str, torch.Tensor]:
    """Fold every restored normalisation into its convolution; return the new biases by the node's name."""
    added: dict[str, torch.Tensor] = {}
    for call in module.calls:
        if not isinstance(call.function, Normalised):
            continue
        weight, bias = module.weight(_weight(call)), _bias(call, module)
        folded, shifted = call.function.folded(weight, bias, 0)
        weight.copy_(folded)
        if bias is not None:
            bias.copy_(shifted)
            call.function = call.function.convolution
        else:
            added[str(call.node.name)] = shifted
            call.function = _with_bias(call.function.convolution, shifted)
    module.parts = nn.ModuleList(part for part in module.parts if not isinstance(part, Normalised))
    return added


def _with_bias(convolution: Function, bias: torch.Tensor) -> Function:
    return lambda x, weight, none=None: convolution(x, weight, bias)


def _can_be_normalised(call: Call, module: GraphModule) -> bool:
    """Whether it is a convolution with a weight of its own, not the last layer, and not normalised already."""
    node, parameters = call.node, dict(module.named_parameters())
    if node.op_type != "Conv" or _weight(call) not in parameters:
        return False
    weight, bias = node.inputs[1], input_at(node, 2)
    assert weight is not None
    shared = any(value is not None and len(value.uses()) > 1 for value in (weight, bias))
    unknown = bias is not None and str(bias.name) not in parameters
    followed = any(use.node.op_type == "BatchNormalization" for use in node.outputs[0].uses())
    return not (shared or unknown or followed) and _feeds_a_layer(node.outputs[0])


def _feeds_a_layer(value: ir.Value) -> bool:
    """Whether some layer comes after it: an output's own scale is not to be normalised away."""
    waiting, seen = [value], {value}
    while waiting:
        for use in waiting.pop().uses():
            if use.node.op_type in LAYERS_WITH_WEIGHTS:
                return True
            fresh = [output for output in use.node.outputs if output not in seen]
            seen.update(fresh)
            waiting.extend(fresh)
    return False


def _weight(call: Call) -> str:
    value = call.node.inputs[1]
    return "" if value is None else str(value.name)


def _bias(call: Call, module: GraphModule) -> nn.Parameter | None:
    value = input_at(call.node, 2)
    return None if value is None else module.weight(str(value.name))
