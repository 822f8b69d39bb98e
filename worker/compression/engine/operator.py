"""What an operator is to the engine: a function that reads a node's attributes once and returns a torch function."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

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


Function = Callable[..., Any]
"""Tensors in, in the order of the node's inputs (None where one is left out); a tensor out, or a tuple of them for
a node with several outputs. A `torch.nn.Module` where training and evaluation differ."""
Build = Callable[[Attributes], Function]
"""Raises `Unsupported` for a form of the operator that the engine does not know."""


class Operator(NamedTuple):
    """`since` is the oldest version of the operator that `build` reads: older graphs are raised for working.

    `weights` are inputs that training may change when they are float initializers; `host` are inputs that are read as
    Python numbers (shapes, axes, bounds) and stay on the CPU.
    """

    build: Build
    since: int = 1
    weights: tuple[int, ...] = ()
    host: tuple[int, ...] = ()


class Unsupported(Exception):
    """Why a node cannot be run: what stands after "… is not supported: "."""
