"""NNCF's post-training quantization, whose answer is Q/DQ nodes.

default      nncf.quantize as it is
mixed        signed activations where they have both signs
transformer  its settings for transformers, SmoothQuant among them
"""

from typing import Any

import nncf
import onnx
from script import Rows, main

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "mixed": {"preset": nncf.QuantizationPreset.MIXED},
    "transformer": {"model_type": nncf.ModelType.TRANSFORMER},
}


def quantize(model: str, rows: Rows, out: str, preset: str) -> None:
    dataset = nncf.Dataset(list(rows))
    onnx.save(nncf.quantize(onnx.load(model), dataset, subset_size=len(rows), **PRESETS[preset]), out)


main(quantize)
