"""The numbers of a channel: what its parts are in the initializers that they lie in."""

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from worker.compression.graph.channels import Channel, Group, Part
from worker.compression.runtime.observe import Array


class Stored:
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

    def slice(self, part: Part, array: Array | None = None) -> Array:
        """float64, flat; of another array of the same shape where one is given."""
        source = self.array(part.initializer) if array is None else array
        return np.take(source, part.indices, part.axis).astype(np.float64).ravel()


def made_by(channel: Channel) -> Iterator[Part]:
    """The parts that a channel comes from; not those of the layers that read it."""
    return (part for part in channel.parts if part.role != "input")


def filters(stored: Stored, group: Group) -> list[Array]:
    """The weights that make each channel, one vector for each, without biases and other vectors."""
    return [
        np.concatenate([np.zeros(0), *(stored.slice(part) for part in _weights(stored, channel))])
        for channel in group.channels
    ]


def _weights(stored: Stored, channel: Channel) -> Iterator[Part]:
    return (p for p in channel.parts if p.role == "output" and stored.array(p.initializer).ndim > 1)
