"""Loading and saving: memory-mapped weights, one file, lineage."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from tests.support import graphs
from tests.support.ort import run
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.onnx_files import model_files


def test_external_weights_stay_outside_memory_until_saved_into_one_file(tmp_path: Path) -> None:
    path = graphs.with_external_data(tmp_path)
    model = model_files.load(path)
    assert isinstance(model.graph.initializers["w1"].const_value, ir.ExternalTensor)
    one = tmp_path / "one" / "model.onnx"
    one.parent.mkdir()
    model_files.save(normalise(model), one)
    assert [file.name for file in one.parent.iterdir()] == ["model.onnx"]
    feeds = graphs.feeds(graphs.mlp())
    np.testing.assert_array_equal(run(path, feeds), run(one, feeds))


def test_weights_beyond_one_protobuf_lie_beside_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_files, "MAX_SINGLE_FILE_BYTES", 1000)
    path = tmp_path / "large.onnx"
    model_files.save(ir.from_proto(graphs.mlp()), path)
    assert {file.name for file in tmp_path.iterdir()} == {"large.onnx", "large.onnx.data"}
    feeds = graphs.feeds(graphs.mlp())
    np.testing.assert_array_equal(run(graphs.mlp(), feeds), run(path, feeds))


def test_external_data_in_functions_is_found_beside_the_file(tmp_path: Path) -> None:
    model = graphs.with_functions()
    weight = onnx.numpy_helper.from_array(np.full(10, 0.5, np.float32), "shift")
    function = model.functions[0]
    function.node.insert(0, onnx.helper.make_node("Constant", [], ["shift"], name="c", value=weight))
    function.node[2].input[1] = "shift"
    model.graph.node[0].CopyFrom(onnx.helper.make_node("Relu", ["features"], ["h"], name="first"))
    model.graph.initializer[2].CopyFrom(onnx.numpy_helper.from_array(np.eye(64, 10, dtype=np.float32), "w2"))
    feeds = graphs.feeds(model)
    expected = run(model, feeds)
    tensor = function.node[0].attribute[0].t
    (tmp_path / "w.bin").write_bytes(tensor.raw_data)
    onnx.external_data_helper.set_external_data(tensor, "w.bin", offset=0, length=40)
    tensor.ClearField("raw_data")
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    np.testing.assert_array_equal(expected, run(normalise_and_save(path), feeds))


def normalise_and_save(path: Path) -> Path:
    target = path.with_name("saved.onnx")
    model_files.save(normalise(model_files.load(path)), target)
    return target


def test_saving_over_the_file_that_was_loaded_keeps_its_weights(tmp_path: Path) -> None:
    path = graphs.with_external_data(tmp_path)
    feeds = graphs.feeds(graphs.mlp())
    expected = run(path, feeds)
    model_files.save(model_files.load(path), path)
    np.testing.assert_array_equal(expected, run(path, feeds))


def test_a_stamp_survives_saving_and_leaves_other_metadata_alone(tmp_path: Path) -> None:
    model = ir.from_proto(graphs.dirty())
    model_files.stamp(model, {"source_sha256": "abc", "winnow.job": "job_1"})
    model_files.save(model, tmp_path / "model.onnx")
    kept = model_files.load(tmp_path / "model.onnx").metadata_props
    assert kept["winnow.source_sha256"] == "abc"
    assert kept["winnow.job"] == "job_1"
    assert kept["stride"] == "32"
