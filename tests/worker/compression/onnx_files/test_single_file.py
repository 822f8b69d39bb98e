"""A file written piece by piece is the file that protobuf writes; it can be looked at without its weights."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from ml_dtypes import uint4
from onnx import numpy_helper

from tests.support import graphs
from worker.compression.ir.mapped_tensors import MappedTensors
from worker.compression.onnx_files import model_files, single_file
from worker.compression.onnx_files.sizes import bytes_of


def proto(elements: int) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    weights = {
        "floats": rng.standard_normal(elements).astype(np.float32),
        "halves": rng.integers(0, 16, elements).astype(uint4),
        "shape": np.array([elements]),
    }
    text = f"""(float[{elements}] x) => (float[{elements}] y) {{
        sum = Add (x, floats)
        numbers = Cast <to=1> (halves)
        product = Mul (sum, numbers)
        y = Reshape (product, shape)
    }}"""
    return graphs.parse(text, weights, opset=21)


@pytest.mark.parametrize("elements", [3, 5001, 200_000])
def test_what_is_written_is_what_protobuf_reads(elements: int, tmp_path: Path) -> None:
    expected = proto(elements)
    single_file.write(ir.from_proto(expected), tmp_path / "m.onnx")
    found = onnx.load(str(tmp_path / "m.onnx"))
    onnx.checker.check_model(found, full_check=True)
    assert [t.name for t in found.graph.initializer] == ["floats", "halves", "shape"]
    for a, b in zip(found.graph.initializer, expected.graph.initializer, strict=True):
        np.testing.assert_array_equal(numpy_helper.to_array(a), numpy_helper.to_array(b))
    assert list(found.graph.node) == list(expected.graph.node)


def test_external_weights_end_up_inside(tmp_path: Path) -> None:
    expected = proto(50_000)
    onnx.save(proto(50_000), str(tmp_path / "m.onnx"), save_as_external_data=True, location="m.data")
    model_files.save(model_files.load(tmp_path / "m.onnx"), tmp_path / "one.onnx")
    (tmp_path / "m.data").unlink()
    found = onnx.load(str(tmp_path / "one.onnx"))
    for a, b in zip(found.graph.initializer, expected.graph.initializer, strict=True):
        np.testing.assert_array_equal(numpy_helper.to_array(a), numpy_helper.to_array(b))


def test_a_file_is_weighed_with_its_external_data_and_without_reading_weights(tmp_path: Path) -> None:
    onnx.save(proto(50_000), str(tmp_path / "m.onnx"))
    onnx.save(proto(50_000), str(tmp_path / "e.onnx"), save_as_external_data=True, location="e.data")
    assert bytes_of(tmp_path / "m.onnx") == (tmp_path / "m.onnx").stat().st_size
    assert bytes_of(tmp_path / "e.onnx") == sum((tmp_path / n).stat().st_size for n in ("e.onnx", "e.data"))
    assert single_file.without_raw_data(tmp_path / "m.onnx").ByteSize() < 1000


def test_spilled_tensors_are_the_arrays(tmp_path: Path) -> None:
    spill, rng = MappedTensors(tmp_path / "w.data"), np.random.default_rng(0)
    codes, floats = rng.integers(0, 16, (99, 101), np.uint8), rng.standard_normal((70, 80)).astype(np.float32)
    halves = spill.append("halves", codes, ir.DataType.UINT4)
    assert halves.nbytes == 5000
    np.testing.assert_array_equal(halves.numpy().astype(np.uint8), codes)
    np.testing.assert_array_equal(spill.append("floats", floats).numpy(), floats)
    np.testing.assert_array_equal(spill.append("small", floats[:2, :2]).numpy(), floats[:2, :2])
