"""onnxsim's `quantize_auto`, as it is: it chooses what to quantize, and judges by relative error."""

import onnx
import onnxsim
from script import Rows, main


def quantize(model: str, rows: Rows, out: str, preset: str) -> None:
    made = onnxsim.quantize_auto(onnx.load(model), calibration_data=list(rows))
    onnx.save(made[0] if isinstance(made, tuple) else made, out)


main(quantize)
