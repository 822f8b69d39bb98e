"""Make the ONNX graph a `torch.nn.Module`: a list of calls, walked once per forward."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import onnx_ir as ir
import torch
from torch import nn

from winnow.contract.errors import Refusal
from worker.compression.engine.coverage import function_of, operator_of
from worker.compression.engine.operator import Function
from worker.compression.engine.quantized import (
    fused,
    fused_function,
    latent,
    latent_function,
    reader_of,
    reads_signs,
)
from worker.compression.engine.recomputing import run_in_segments
from worker.compression.engine.tensors import FLOATS, to_torch
from worker.compression.engine.trainable import is_codebook, is_scale, trainable
from worker.compression.graph.opset.conversion import opset_of
from worker.compression.weight_storage.codebook_weights import HALF

Feeds = Mapping[str, torch.Tensor]
MIN_SCALE = 1e-8


@dataclass
class Call:
    """One node: slots it reads (None: left out), slots it writes (None: nobody reads), and those read last here."""

    node: ir.Node
    function: Function
    reads: tuple[int | None, ...]
    writes: tuple[int | None, ...]
    host: tuple[int, ...]
    frees: tuple[int, ...] = ()


class GraphModule(nn.Module):
    """A normalised graph as torch sees it; only what the values `wanted` (default: the outputs) need is computed.

    Parameters carry their ONNX names, dots included (`named_parameters`, `weight`); other float initializers are
    buffers, whole numbers stay on the host so that reading a shape never waits for a GPU. Weights are copies; integer
    weights behind a DequantizeLinear and signs are parameters too, as the floats that they stand for (`quantized.py`).
    `recomputes`: whether activations are computed again for the gradients, to need less memory (`recomputing.py`).

    Raises `Refusal` `unsupported_operator` naming operator and node, before anything is computed.
    """

    def __init__(self, model: ir.Model, wanted: Iterable[str] | None = None) -> None:
        super().__init__()
        outputs = [str(value.name) for value in model.graph.outputs]
        self.wanted = list(wanted) if wanted is not None else outputs
        self._slots: dict[str, int] = {}
        self._host: dict[int, torch.Tensor] = {}
        self.scales: list[nn.Parameter] = []
        self.codebooks: list[nn.Parameter] = []
        self.signs: list[nn.Parameter] = []
        self.inputs = [str(value.name) for value in model.graph.inputs]
        nodes = _without_fused(list(_needed(model.graph, set(self.wanted))), set(self.wanted))
        for value in chain(model.graph.inputs, _constants(nodes)):
            self._slot(value)
        for value in _constants(nodes):
            self._keep(value)
        self.calls = [self._call(node, model) for node in nodes]
        self._free_early()
        self.parts = nn.ModuleList(c.function for c in self.calls if isinstance(c.function, nn.Module))
        self.recomputes = False

    def forward(self, feeds: Feeds) -> dict[str, torch.Tensor]:
        """Compute the wanted values by name, from the graph's inputs by name."""
        values = self._loaded(feeds)
        if self.recomputes and torch.is_grad_enabled():
            run_in_segments(self, self.calls, self._run, values)
        else:
            self._run(self.calls, values)
        return {name: self._present(values[self._slots[name]]) for name in self.wanted}

    def _run(self, calls: Sequence[Call], values: list[torch.Tensor | None]) -> None:
        """Put what the calls compute into `values`, by slot."""
        for call in calls:
            arguments = [None if slot is None else values[slot] for slot in call.reads]
            results = call.function(*self._on_one_device(arguments, call.host))
            if not isinstance(results, tuple):
                results = (results,)
            for slot, value in zip(call.writes, results, strict=False):
                if slot is not None:
                    values[slot] = value
            for slot in call.frees:
                values[slot] = None

    def weight(self, name: str) -> nn.Parameter:
        """Return the parameter of that ONNX name. Raises `KeyError`."""
        parameter = self._parameters[name]
        assert parameter is not None
        return parameter

    def freeze(self, nodes: Container[str]) -> None:
        """Let these nodes do in training what they do in evaluation, from here on."""
        frozen = [call.function for call in self.calls if call.node.name in nodes]
        self.parts = nn.ModuleList(part for part in self.parts if part.eval() not in frozen)

    @torch.no_grad()
    def constrain(self) -> None:
        """Keep scales positive and latent signs within ±½, whatever a step of training did to them."""
        for scale in self.scales:
            scale.clamp_(min=MIN_SCALE)
        for latents in self.signs:
            latents.clamp_(-HALF, HALF)

    @property
    def relative(self) -> list[nn.Parameter]:
        """Parameters of which a small number says what many weights are: they move by shares of their own size."""
        return [*self.scales, *self.codebooks]

    @property
    def device(self) -> torch.device:
        return next(chain(self.parameters(), self.buffers()), torch.empty(0)).device

    def _loaded(self, feeds: Feeds) -> list[torch.Tensor | None]:
        values: list[torch.Tensor | None] = [None] * len(self._slots)
        for name in self.inputs:
            values[self._slots[name]] = feeds[name]
        for source in (self._parameters, self._buffers):
            for name, tensor in source.items():
                values[self._slots[name]] = tensor
        for slot, tensor in self._host.items():
            values[slot] = tensor
        return values

    def _on_one_device(
        self, arguments: list[torch.Tensor | None], host: tuple[int, ...]
    ) -> list[torch.Tensor | None]:
        """Move arguments to one device. On a GPU, what is computed with has to be where the rest is."""
        devices = {value.device for i, value in enumerate(arguments) if value is not None and i not in host}
        if len(devices) < 2:
            return arguments
        target = next(device for device in devices if device.type != "cpu")
        return [
            v if v is None or i in host else v.to(target, non_blocking=True) for i, v in enumerate(arguments)
        ]

    def _present(self, value: torch.Tensor | None) -> torch.Tensor:
        assert value is not None
        return value

    def _slot(self, value: ir.Value | None) -> int | None:
        if value is None or not value.name:
            return None
        return self._slots.setdefault(value.name, len(self._slots))

    def _keep(self, value: ir.Value) -> None:
        """Register an initializer past torch's own check of names, which forbids the dots that ONNX names have."""
        name, stored = str(value.name), value.const_value
        assert stored is not None
        tensor = to_torch(stored)
        if trainable(value):
            reader = reader_of(value)
            parameter = nn.Parameter(tensor if reader is None else latent(value, reader))
            self._parameters[name] = parameter
            if is_scale(value):
                self.scales.append(parameter)
            elif is_codebook(value):
                self.codebooks.append(parameter)
            elif reader is not None and reads_signs(reader):
                self.signs.append(parameter)
        elif stored.dtype in FLOATS:
            self._buffers[name] = tensor
        else:
            self._host[self._slots[name]] = tensor

    def _call(self, node: ir.Node, model: ir.Model) -> Call:
        opset = opset_of(model) if not node.domain else model.opset_imports.get(node.domain, 1)
        function, inputs = function_of(node, opset), list(node.inputs)
        if (quantize := fused(node)) is not None:
            function, inputs[0] = fused_function(quantize), quantize.inputs[0]
        elif (
            (value := inputs[0] if inputs else None) is not None
            and value.name in self._parameters
            and reader_of(value) is node
        ):
            function = latent_function(value, node)
        reads = tuple(self._slot(value) for value in inputs)
        writes = tuple(self._slot(value) for value in node.outputs)
        return Call(node, function, reads, writes, operator_of(node).host)

    def _free_early(self) -> None:
        """Plan to free each value after its last reader, so that evaluation holds no more than it needs."""
        needed = {self._slots[name] for name in self.wanted}
        seen: set[int] = set(needed)
        for call in reversed(self.calls):
            last = {slot for slot in (*call.reads, *call.writes) if slot is not None} - seen
            call.frees = tuple(last)
            seen |= last


def _needed(graph: ir.Graph, wanted: set[str]) -> Iterator[ir.Node]:
    """Yield the nodes that compute the wanted values, in the graph's order. Raises `Refusal` `unknown_value`."""
    known = {str(v.name) for node in graph for v in node.outputs} | {str(v.name) for v in graph.inputs}
    if missing := sorted(wanted - known):
        some = ", ".join(repr(str(node.outputs[0].name)) for node in list(graph)[-3:])
        raise Refusal(
            "unknown_value", f"The model computes no value {missing[0]!r}; its last ones are {some}."
        )
    names, needed = set(wanted), set()
    for node in reversed(graph):
        if any(value.name in names for value in node.outputs):
            needed.add(node)
            names |= {value.name for value in node.inputs if value is not None and value.name}
    return (node for node in graph if node in needed)


def _without_fused(nodes: list[ir.Node], wanted: set[str]) -> list[ir.Node]:
    """Leave out the QuantizeLinears that are run together with the DequantizeLinears behind them."""
    return [
        node
        for node in nodes
        if node.op_type != "QuantizeLinear"
        or node.outputs[0].name in wanted
        or any(fused(use.node) is not node for use in node.outputs[0].uses())
    ]


def _constants(nodes: Iterable[ir.Node]) -> list[ir.Value]:
    values = (value for node in nodes for value in node.inputs)
    return list({v.name: v for v in values if v is not None and v.is_initializer()}.values())
