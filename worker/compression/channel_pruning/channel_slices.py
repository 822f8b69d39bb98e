"""Reads the numbers of a channel: the slices of initializers that its parts name."""

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from worker.compression.graph.channels import Channel, Group, Part
from worker.compression.ir.arrays import Array


class Initializers:
    """Initializers by name, those inside branches too, each read once."""

    def __init__(self, model: ir.Model) -> None:
        self._initializers = {
            name: value for graph in model.graphs() for name, value in graph.initializers.items()
        }
        self._arrays: dict[str, Array] = {}

    def array(self, name: str) -> Array:
        if name not in self._arrays:
            tensor = self._initializers[name].const_value
            assert tensor is not None, f"initializer {name} has no value"
            self._arrays[name] = tensor.numpy()
        return self._arrays[name]

    def slice(self, part: Part) -> Array:
        """Take a part's numbers from its initializer, float64 and flat."""
        return np.take(self.array(part.initializer), part.indices, part.axis).astype(np.float64).ravel()


def producing_parts(channel: Channel) -> Iterator[Part]:
    """List the parts that make a channel; not those of the layers that read it."""
    return (part for part in channel.parts if part.role != "input")


def gating_parts(group: Group, channel: Channel) -> list[Part]:
    """List the parts that scale all that a channel passes on: of a head the slice of the projection behind it, of
    others what makes them.

    An attention head Att(x) W behind a gate ξ, Att(x) · ξ W, is worth |∂L/∂ξ| = |Σ ∂L/∂W · W| (Michel et al. 2019,
    arXiv:1905.10650). What makes Q and K does not scale it.
    """
    behind = [part for part in channel.parts if part.role == "input"] if group.unit == "head" else []
    return behind or list(producing_parts(channel))


def channel_filters(initializers: Initializers, group: Group) -> list[Array]:
    """Join the weights that make each channel into one vector for each, without biases and other vectors."""
    return [
        np.concatenate([np.zeros(0), *(initializers.slice(part) for part in _weights(initializers, channel))])
        for channel in group.channels
    ]


def _weights(initializers: Initializers, channel: Channel) -> Iterator[Part]:
    return (p for p in channel.parts if p.role == "output" and initializers.array(p.initializer).ndim > 1)
