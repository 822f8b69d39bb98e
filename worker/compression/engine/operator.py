"""What an operator is to the engine: a function that reads a node's attributes once and returns a torch function."""

from collections.abc import Callable
from typing import Any, NamedTuple

from worker.compression.engine.attributes import Attributes

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
