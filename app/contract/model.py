"""A model as the API shows it, and the facts that inspection finds in it."""

from datetime import datetime
from typing import Literal

from app.contract.base import Told
from app.contract.errors import Problem

ModelFormat = Literal["onnx", "torch_export", "torchscript"]
"""`onnx` is also a tar or zip of one ONNX file with its external data."""

UploadState = Literal["inspecting", "ready", "rejected"]


class TensorSpec(Told):
    """An input or output. A dimension is a number, a symbolic name, or null where nothing is known."""

    name: str
    dtype: str
    shape: list[int | str | None]


class Layer(Told):
    """A node with a weight: `weight` is the weight's shape, `macs` at batch 1 (null where shapes are unknown).

    `table` is the name of what a Gather takes rows of: patterns may name either. Null for other layers.
    """

    name: str
    op: str
    weight: list[int] | None
    macs: int | None
    table: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What patterns may call it by."""
        return (self.name,) if self.table is None or self.table == self.name else (self.name, self.table)


class ModelFacts(Told):
    """What inspection learns. `macs` counts multiply-accumulates of one sample; null where shapes are unknown."""

    opset: int
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    parameters: int
    macs: int | None
    quantized: bool
    operators: dict[str, int]
    layers: list[Layer]


class Model(Told):
    """`GET /v1/models/{id}`. The facts are null until the model is ready. `size_bytes` is that of the model:
    of one in an archive, known once it is ready, without the packing and with external data.
    """

    id: str
    name: str
    state: UploadState
    problem: Problem | None
    format: ModelFormat
    sha256: str
    size_bytes: int
    opset: int | None
    inputs: list[TensorSpec] | None
    outputs: list[TensorSpec] | None
    parameters: int | None
    macs: int | None
    quantized: bool | None
    operators: dict[str, int] | None
    layers: list[Layer] | None
    created_at: datetime
