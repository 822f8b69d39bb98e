"""Both of torch's exporters, silent, for batches of any size."""

import logging
import warnings
from collections.abc import Sequence
from io import BytesIO
from typing import Any, Final, Literal

import onnx
import torch
from torch import Tensor, nn

Exporter = Literal["torchscript", "dynamo"]
EXPORTERS: Final[tuple[Exporter, ...]] = ("torchscript", "dynamo")


def export_onnx(
    network: nn.Module,
    inputs: Sequence[Tensor],
    exporter: Exporter,
    opset: int | None = None,
    output: str = "y",
) -> onnx.ModelProto:
    """The network as the exporter writes it: the first axis of its inputs (`x`, then `x1`, `x2`, …) is open, its output
    is `output`. The example should have two samples, as one is taken for a broadcast."""
    names = ["x", *(f"x{number}" for number in range(1, len(inputs)))]
    options: dict[str, Any] = {"input_names": names, "output_names": [output], "opset_version": opset}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(action="ignore"):
        if exporter == "dynamo":
            batch = torch.export.Dim("N")
            shapes = tuple({0: batch} for _ in inputs)
            made = torch.onnx.export(
                network, tuple(inputs), dynamic_shapes=shapes, dynamo=True, verbose=False, **options
            )
            proto: onnx.ModelProto = made.model_proto
            return proto
        file = BytesIO()
        axes = {name: {0: "N"} for name in names}
        torch.onnx.export(network, tuple(inputs), file, dynamic_axes=axes, dynamo=False, **options)
        return onnx.load_from_string(file.getvalue())
