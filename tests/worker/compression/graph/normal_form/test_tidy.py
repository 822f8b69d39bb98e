"""Tidying removes every debug record, changes nothing else, and tells exactly what it saved."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from tests.support import graphs
from tests.support.ort import run
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.graph.normal_form.tidy import tidy
from worker.compression.onnx_files import model_files


def test_no_trace_is_left_and_the_models_own_metadata_stays() -> None:
    model = ir.from_proto(graphs.dirty())
    tidy(model)
    content = ir.to_proto(model).SerializeToString()
    assert b"alice" not in content
    assert b"stack_trace" not in content
    assert model.metadata_props == {"names": "{0: 'cat', 1: 'dog'}", "stride": "32"}


def test_no_trace_is_left_after_normalising_either(tmp_path: Path) -> None:
    path = tmp_path / "dirty.onnx"
    path.write_bytes(graphs.dirty().SerializeToString())
    model = normalise(model_files.load(path))
    assert tidy(model) > 0
    model_files.save(model, path)
    assert b"alice" not in path.read_bytes()


def test_traces_in_functions_are_removed() -> None:
    proto = graphs.with_functions()
    graphs.soil(proto)
    model = ir.from_proto(proto)
    tidy(model)
    assert b"alice" not in ir.to_proto(model).SerializeToString()


def test_the_bytes_saved_are_those_of_the_file() -> None:
    proto = graphs.dirty()
    model = ir.from_proto(proto)
    saved = tidy(model)
    assert saved == proto.ByteSize() - ir.to_proto(model).ByteSize()


def test_a_clean_model_saves_nothing() -> None:
    assert tidy(ir.from_proto(graphs.cnn())) == 0


def test_outputs_are_bit_identical() -> None:
    feeds = graphs.feeds(graphs.dirty())
    model = ir.from_proto(graphs.dirty())
    tidy(model)
    np.testing.assert_array_equal(run(graphs.dirty(), feeds), run(model, feeds))


@pytest.mark.parametrize(
    ("key", "value", "stays"),
    [
        ("names", "['cat', 'dog']", True),
        ("description", "Trained on /data", True),
        ("author", "someone", True),
        ("pkg.torch.export.ExportedProgram.graph_signature", "x", False),
        ("stack_trace", "x", False),
        ("note", 'File "/home/alice/train.py", line 3', False),
        ("script", "/home/alice/train.py", False),
    ],
)
def test_top_level_metadata_stays_unless_it_is_a_debug_record(key: str, value: str, stays: bool) -> None:
    model = ir.from_proto(graphs.mlp())
    model.metadata_props[key] = value
    tidy(model)
    assert (key in model.metadata_props) is stays


def test_initializers_among_the_inputs_are_weights_and_no_variables() -> None:
    """As files below IR version 4 have to list them; an input without a value stays."""
    text = "(float[N,2] x, float[2,3] w) => (float[N,3] y) { y = MatMul (x, w) }"
    made = graphs.parse(text, {}, opset=9, ir_version=3)
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((2, 3), np.float32), "w"))
    net = ir.from_proto(made)
    tidy(net)
    assert [v.name for v in net.graph.inputs] == ["x"]
    assert net.ir_version == 4
    onnx.checker.check_model(ir.to_proto(net))
