"""ONNX Runtime's quantizers, after its own preprocessing, as its documentation tells; or as they are called by most.

u8s8     static Q/DQ, unsigned activations, weights per channel; weights in 7 bits where the CPU has no VNNI
s8s8     static Q/DQ, signed activations, weights per channel: "the first choice"
dynamic  weights per channel, activations quantized at run time
bare     quantize_static(model, out, rows): every operator, s8/s8, per tensor, minimum and maximum
partial  the same of Conv, Gemm and MatMul alone
"""

import tempfile
from pathlib import Path

from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from script import Rows, main

ACTIVATIONS = {"u8s8": QuantType.QUInt8, "s8s8": QuantType.QInt8}

BARE: dict[str, dict[str, list[str]]] = {
    "bare": {},
    "partial": {"op_types_to_quantize": ["Conv", "Gemm", "MatMul"]},
}


def quantize(model: str, rows: Rows, out: str, preset: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if preset in BARE:
            quantize_static(model, out, rows, **BARE[preset])
            return
        prepared = _prepared(model, str(Path(folder) / "prepared.onnx"))
        if preset == "dynamic":
            quantize_dynamic(prepared, out, per_channel=True, reduce_range=not _vnni())
            return
        quantize_static(
            prepared,
            out,
            rows,
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=preset == "u8s8" and not _vnni(),
            activation_type=ACTIVATIONS[preset],
            weight_type=QuantType.QInt8,
        )


def _prepared(model: str, path: str) -> str:
    """Symbolic shape inference fails on some models; the documentation says to leave it out then."""
    for skipped in (False, True):
        try:
            quant_pre_process(model, path, skip_symbolic_shape=skipped)
            return path
        except Exception as error:  # whatever it is, the next try is made without
            print(f"preprocessing failed: {error}")
    return model


def _vnni() -> bool:
    return "vnni" in Path("/proc/cpuinfo").read_text()


main(quantize)
