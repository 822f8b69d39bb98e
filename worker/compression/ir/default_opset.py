"""Read the version of ONNX's own operators that a file uses."""

from typing import Final

import onnx

DEFAULT_DOMAINS: Final = ("", "ai.onnx")


def default_opset(proto: onnx.ModelProto) -> int:
    """The version of the default operator set, 1 where none is imported."""
    return max((entry.version for entry in proto.opset_import if entry.domain in DEFAULT_DOMAINS), default=1)
