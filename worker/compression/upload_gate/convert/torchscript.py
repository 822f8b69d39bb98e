"""Convert TorchScript to ONNX. Off unless the operator allows it: loading a script can read and write files."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec
from worker.compression.upload_gate.convert.written import OPSET, write
from worker.compression.upload_gate.convert.zipped import opened, refuse_pickled

if TYPE_CHECKING:
    import torch

BATCH: Final = 2
"""What a dynamic first dimension is while the model is traced. Not 1: that would be taken for a broadcast."""

LENGTHS: Final = (16, 64, 224)
"""What other dynamic dimensions are, the first with which the model runs: images can be too small for a network."""


def convert(path: Path, target: Path, declared: list[TensorSpec], *, allowed: bool, max_bytes: int) -> None:
    """Write the script in `path` as one ONNX file with the declared inputs, in their order.

    Raises `Refusal`: `pickle_refused`, `torchscript_disabled`, `inputs_undeclared`, `invalid_model`,
    `conversion_failed`.
    """
    with opened(path, max_bytes=max_bytes) as files:
        if not any(name.startswith("code/") for name in files.names):
            refuse_pickled(files)
            raise Refusal("invalid_model", "The archive holds no TorchScript code.")
    if not allowed:
        raise Refusal(
            "torchscript_disabled",
            "This service does not load TorchScript, because a script can touch the file system. Save the model with "
            "torch.export.save as a .pt2 instead, or ask the operator to set WINNOW_ALLOW_TORCHSCRIPT=true.",
        )
    if not declared:
        raise Refusal(
            "inputs_undeclared",
            "TorchScript does not say what its inputs are. Add input=image:float32[N,1,28,28] to the upload, once for "
            "each input, in order; a letter is a dynamic dimension.",
            field="input",
        )
    write(_exported(path, target, declared), target)


def _exported(path: Path, target: Path, declared: list[TensorSpec]) -> ir.Model:
    import torch

    try:
        module = torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            examples, outputs = _tried(module, declared)
            torch.onnx.export(
                module,
                examples,
                str(target),
                dynamo=False,
                opset_version=OPSET,
                input_names=[spec.name for spec in declared],
                output_names=outputs,
                dynamic_axes={spec.name: axes for spec in declared if (axes := _dynamic(spec))},
            )
    except MemoryError:
        raise
    except Exception as error:
        raise Refusal("conversion_failed", _reason(error, declared), field="input") from error
    model: ir.Model = ir.load(target)
    return model


def _tried(module: Any, declared: list[TensorSpec]) -> tuple[tuple["torch.Tensor", ...], list[str]]:
    """Find inputs with which the module runs, and names for its results."""
    batches = {spec.shape[0] for spec in declared if spec.shape}
    for length in LENGTHS:
        examples = tuple(_example(spec, batches, length) for spec in declared)
        try:
            return examples, _output_names(module(*examples))
        except RuntimeError:
            if length == LENGTHS[-1]:
                raise
    raise AssertionError("LENGTHS is not empty")


def _example(spec: TensorSpec, batches: set[int | str | None], length: int) -> "torch.Tensor":
    import torch

    shape = [dim if isinstance(dim, int) else BATCH if dim in batches else length for dim in spec.shape]
    return torch.zeros(shape, dtype=getattr(torch, spec.dtype))


def _dynamic(spec: TensorSpec) -> dict[int, str]:
    return {axis: dim for axis, dim in enumerate(spec.shape) if isinstance(dim, str)}


def _output_names(result: Any) -> list[str]:
    """Name results `output`, or `output_0`, `output_1`, … in the order in which nested containers flatten."""
    from torch.utils import _pytree

    count = len(_pytree.tree_leaves(result))
    return ["output"] if count == 1 else [f"output_{index}" for index in range(count)]


def _reason(error: Exception, declared: list[TensorSpec]) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    cause = next((line for line in reversed(lines) if "Error" in line), lines[0])
    inputs = ", ".join(f"{spec.name}:{spec.dtype}{spec.shape}" for spec in declared)
    return f"TorchScript could not be turned into ONNX with the inputs {inputs}: {cause[:300]}"
