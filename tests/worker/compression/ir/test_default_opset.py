"""The opset of a file is that of ONNX's own operators, by either of the names that their domain has."""

import pytest
from onnx import ModelProto, helper

from worker.compression.ir.default_opset import default_opset


@pytest.mark.parametrize(
    ("imports", "opset"),
    [
        ({"": 17}, 17),
        ({"ai.onnx": 17}, 17),
        ({"ai.onnx.ml": 3, "": 13, "com.microsoft": 1}, 13),
        ({"ai.onnx.ml": 3}, 1),
        ({}, 1),
    ],
)
def test_the_opset_is_that_of_the_default_domain(imports: dict[str, int], opset: int) -> None:
    entries = [helper.make_opsetid(domain, version) for domain, version in imports.items()]
    assert default_opset(ModelProto(opset_import=entries)) == opset
