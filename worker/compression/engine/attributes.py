"""A node's attributes, read once when the graph becomes a module."""

from dataclasses import dataclass

import onnx_ir as ir
import torch


@dataclass(frozen=True)
class Attributes:
    """`opset` is the version of the node's operator set. A default of None says that the operator has none."""

    node: ir.Node
    opset: int

    @property
    def outputs(self) -> int:
        return len(self.node.outputs)

    def has(self, name: str) -> bool:
        return name in self.node.attributes

    def integer(self, name: str, default: int) -> int:
        return self.node.attributes[name].as_int() if self.has(name) else default

    def integers(self, name: str) -> list[int] | None:
        return list(self.node.attributes[name].as_ints()) if self.has(name) else None

    def number(self, name: str, default: float) -> float:
        return self.node.attributes[name].as_float() if self.has(name) else default

    def numbers(self, name: str) -> list[float] | None:
        return list(self.node.attributes[name].as_floats()) if self.has(name) else None

    def text(self, name: str, default: str) -> str:
        return self.node.attributes[name].as_string() if self.has(name) else default

    def texts(self, name: str) -> list[str] | None:
        return list(self.node.attributes[name].as_strings()) if self.has(name) else None

    def tensor(self, name: str) -> torch.Tensor | None:
        return (
            torch.from_numpy(self.node.attributes[name].as_tensor().numpy().copy())
            if self.has(name)
            else None
        )
