"""ONNX Neural Compressor.

default  static quantization as its quick start has it, written as Q/DQ nodes, weights per channel
smooth   the same after SmoothQuant
dynamic  dynamic quantization
"""

from onnx_neural_compressor import data_reader
from onnx_neural_compressor.quantization import QuantFormat, config
from onnx_neural_compressor.quantization import quantize as run
from script import Rows, main


class Reader(Rows, data_reader.CalibrationDataReader):  # type: ignore[misc]
    """Its readers are told apart by their class."""


def quantize(model: str, rows: Rows, out: str, preset: str) -> None:
    rows.__class__ = Reader
    if preset == "dynamic":
        run(model, out, config.DynamicQuantConfig(per_channel=True))
        return
    settings = config.StaticQuantConfig(
        calibration_data_reader=rows,
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        calibration_sampling_size=len(rows),
        extra_options={"SmoothQuant": True} if preset == "smooth" else None,
    )
    run(model, out, settings)


main(quantize)
