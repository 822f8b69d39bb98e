"""OpenVINO is an extra: tests that need it are skipped where it is not installed."""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

import onnx
import pytest

needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed")

NO_SUCH_THING: Final = """<ir_version: 8, opset_import: ["": 17, "com.microsoft": 1]>
    unknown (float[N,4] x) => (float[N,4] y) { y = com.microsoft.NoSuchThing (x) }"""


def with_unknown_operator(path: Path) -> Path:
    """Write a model that no runtime knows."""
    onnx.save(onnx.parser.parse_model(NO_SUCH_THING), path)
    return path
