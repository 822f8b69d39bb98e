"""Hostile and broken files are refused with a sentence before any library works on them."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.support import graphs
from winnow.contract.errors import Refusal
from worker.compression.upload_gate.check import check_onnx

Spoil = Callable[[onnx.ModelProto], object]


def refusal(path: Path, external: Path | None = None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        check_onnx(path, external)
    return caught.value


def written(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    "build",
    [
        graphs.cnn,
        graphs.lstm,
        graphs.dirty,
        graphs.with_constant_nodes,
        graphs.with_functions,
        graphs.with_initializers_as_inputs,
        graphs.with_sparse_initializers,
    ],
    ids=lambda build: build.__name__,
)
def test_honest_models_pass(build: Callable[[], onnx.ModelProto], tmp_path: Path) -> None:
    check_onnx(written(build(), tmp_path))


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (b"", "invalid_model", "empty"),
        (b"<!DOCTYPE html><html></html>", "invalid_model", "web page"),
        (b"\n\n <html>", "invalid_model", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "invalid_model", "git lfs pull"),
        (b"\x80\x04\x95", "pickle_refused", "pickle"),
        (b"\x00" * 100, "invalid_model", "not an ONNX model"),
        (b"hello world, this is no model", "invalid_model", "not an ONNX model"),
        (helper.make_opsetid("", 18).SerializeToString(), "invalid_model", "no graph"),
    ],
)
def test_what_is_no_onnx_is_refused(content: bytes, code: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(content)
    caught = refusal(path).problem
    assert caught.code == code
    assert says in caught.detail


def test_a_truncated_file_is_refused_wherever_it_was_cut(tmp_path: Path) -> None:
    content = graphs.cnn().SerializeToString()
    for length in range(1, len(content), 97):
        path = tmp_path / "cut.onnx"
        path.write_bytes(content[:length])
        assert refusal(path).problem.code == "invalid_model"


def raw_too_short(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]


def typed_too_short(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].CopyFrom(
        helper.make_tensor("conv1.weight", TensorProto.FLOAT, [4], [1, 2, 3, 4])
    )
    model.graph.initializer[0].dims[0] = 5


def huge_shape(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [2**40, 2**40]


def negative_shape(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = -8


def unknown_dtype(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_type = 99


@pytest.mark.parametrize("spoil", [raw_too_short, typed_too_short, huge_shape, negative_shape, unknown_dtype])
def test_a_tensor_that_does_not_hold_what_it_declares_is_refused_by_name(
    spoil: Spoil, tmp_path: Path
) -> None:
    model = graphs.cnn()
    spoil(model)
    caught = refusal(written(model, tmp_path)).problem
    assert caught.code == "invalid_model"
    assert "conv1.weight" in caught.detail


@pytest.mark.parametrize(
    "tensor",
    [
        helper.make_tensor("t", TensorProto.INT4, [5], [1, 2, 3, 4, 5]),
        helper.make_tensor("t", TensorProto.FLOAT16, [2], [1, 2]),
        helper.make_tensor("t", TensorProto.COMPLEX64, [2], [1j, 2]),
        helper.make_tensor("t", TensorProto.STRING, [2], [b"a", b"b"]),
        helper.make_tensor("t", TensorProto.BOOL, [], [True]),
        helper.make_tensor("t", TensorProto.UINT64, [0], []),
        numpy_helper.from_array(np.zeros((2, 3), np.int16), "t"),
    ],
    ids=lambda tensor: TensorProto.DataType.Name(tensor.data_type),
)
def test_tensors_of_every_layout_pass(tensor: onnx.TensorProto, tmp_path: Path) -> None:
    model = graphs.mlp()
    model.graph.initializer.append(tensor)
    check_onnx(written(model, tmp_path))


def test_a_sparse_tensor_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    model = graphs.with_sparse_initializers()
    model.graph.sparse_initializer[0].dims[:] = [2**20, 2**20]
    assert refusal(written(model, tmp_path)).problem.code == "model_too_complex"


# --- external data --------------------------------------------------------------------------------------------------


def test_external_data_beside_the_file_passes(tmp_path: Path) -> None:
    check_onnx(graphs.with_external_data(tmp_path), tmp_path)


def test_external_data_is_refused_where_there_can_be_none(tmp_path: Path) -> None:
    caught = refusal(graphs.with_external_data(tmp_path)).problem
    assert caught.code == "unsafe_external_data"
    assert "tar or zip" in caught.detail


@pytest.mark.parametrize(
    "location",
    [
        "../model.data",
        "/etc/passwd",
        "sub/model.data",
        "..",
        ".",
        "",
        "a\\b",
        "missing.bin",
        "*/_ORT_MEM_ADDR_/*",
        "x\0y",
    ],
)
def test_only_a_plain_name_of_an_existing_file_is_followed(location: str, tmp_path: Path) -> None:
    path = relocated(graphs.with_external_data(tmp_path), "location", location)
    assert refusal(path, tmp_path).problem.code == "unsafe_external_data"


@pytest.mark.parametrize("key", ["offset", "length"])
@pytest.mark.parametrize("value", ["-4", "999999", "1e3", "٣", "99999999999999999999", ""])
def test_offset_and_length_stay_inside_the_file(key: str, value: str, tmp_path: Path) -> None:
    path = relocated(graphs.with_external_data(tmp_path), key, value)
    assert refusal(path, tmp_path).problem.code == "unsafe_external_data"


def relocated(path: Path, key: str, value: str) -> Path:
    model = onnx.load(str(path), load_external_data=False)
    entries = {entry.key: entry for entry in model.graph.initializer[0].external_data}
    entries[key].value = value
    path.write_bytes(model.SerializeToString())
    return path


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = graphs.with_external_data(tmp_path)
    model = onnx.load(str(path), load_external_data=False)
    model.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")
    path.write_bytes(model.SerializeToString())
    assert refusal(path, tmp_path).problem.code == "unsafe_external_data"


@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symlink", "hardlink"])
def test_links_are_refused(link: Callable[[Path, Path], None], tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    folder = tmp_path / "model"
    folder.mkdir()
    path = graphs.with_external_data(folder)
    (folder / "model.data").rename(outside)
    link(outside, folder / "model.data")
    assert refusal(path, folder).problem.code == "unsafe_external_data"


@pytest.mark.parametrize("place", ["subgraph", "function", "sparse", "attribute"])
def test_external_tensors_are_found_in_every_place(place: str, tmp_path: Path) -> None:
    evil = TensorProto(name="evil", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    evil.external_data.add(key="location", value="../secret")
    constant = graphs.node("Constant", "", "c", value=evil)
    match place:
        case "subgraph":
            model = graphs.branches()
            model.graph.node[0].attribute[0].g.initializer.append(evil)
        case "function":
            model = graphs.with_functions()
            model.functions[0].node.append(constant)
        case "sparse":
            model = graphs.with_sparse_initializers()
            model.graph.sparse_initializer[0].values.CopyFrom(evil)
        case _:
            model = graphs.mlp()
            model.graph.node.append(constant)
    caught = refusal(written(model, tmp_path), tmp_path).problem
    assert caught.code == "unsafe_external_data"
    assert "evil" in caught.detail


# --- operators ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "operator"),
    [
        ("com.microsoft.extensions", "DecodeImage"),
        ("my.company", "Conv"),
        ("", "NotAnOperator"),
        ("ai.onnx", "NotAnOperator"),
        ("com.microsoft", "NotAnOperator"),
        ("com.microsoft", "EPContext"),
        ("com.microsoft.nchwc", "Conv"),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_foreign_operators_are_refused_by_domain_operator_and_node(
    domain: str, operator: str, nested: bool, tmp_path: Path
) -> None:
    model = graphs.branches()
    graph = model.graph.node[0].attribute[0].g if nested else model.graph
    graph.node.append(graphs.node(operator, "x", "z", name="culprit", domain=domain))
    caught = refusal(written(model, tmp_path)).problem
    assert caught.code == "custom_operator"
    assert caught.layer == "culprit"
    assert operator in caught.detail
    assert repr(domain) in caught.detail or domain == ""


def test_operators_of_onnx_runtime_pass(tmp_path: Path) -> None:
    model = graphs.mlp()
    model.graph.node.append(graphs.node("Gelu", "logits", "g", domain="com.microsoft"))
    check_onnx(written(model, tmp_path))


# --- functions ------------------------------------------------------------------------------------------------------


def doubling(count: int) -> onnx.ModelProto:
    """`count` functions, each calling the one before twice: 2^count nodes when inlined."""
    functions = ["Neg (x)", *(f"f.F{i} (t)" for i in range(count))]
    bodies = [f"t = f.F{i - 1} (x)  y = {last}" if i else f"y = {last}" for i, last in enumerate(functions)]
    head = '<domain: "f", opset_import: ["": 18, "f": 1]>'
    text = f"(float[1] x) => (float[1] y) {{ y = f.F{count} (x) }}" + "".join(
        f"{head} F{i} (x) => (y) {{ {body} }}" for i, body in enumerate(bodies)
    )
    return graphs.parse(text, domains={"f": 1})


def test_doubling_functions_are_refused_by_counting(tmp_path: Path) -> None:
    path = written(doubling(25), tmp_path)
    assert path.stat().st_size < 4000
    assert refusal(path).problem.code == "model_too_complex"


def test_a_few_doublings_are_fine(tmp_path: Path) -> None:
    check_onnx(written(doubling(5), tmp_path))


def test_a_long_chain_of_functions_is_refused_without_exhausting_the_stack(tmp_path: Path) -> None:
    model = doubling(3000)
    for function in model.functions[1:]:
        del function.node[1]
        function.node[0].output[0] = "y"
    assert refusal(written(model, tmp_path)).problem.code == "invalid_model"


def test_a_function_that_calls_itself_is_refused(tmp_path: Path) -> None:
    model = graphs.with_functions()
    model.functions[0].node[1].CopyFrom(graphs.node("Layer", "t w b", "y", domain="local"))
    caught = refusal(written(model, tmp_path)).problem
    assert caught.code == "invalid_model"
    assert "calls itself" in caught.detail


def test_bytes_of_expanded_functions_are_bounded_too(tmp_path: Path) -> None:
    model = doubling(13)
    payload = helper.make_tensor("big", TensorProto.UINT8, [2**19], b"\0" * 2**19, raw=True)
    model.functions[0].node.insert(0, graphs.node("Constant", "", "c", value=payload))
    assert refusal(written(model, tmp_path)).problem.code == "model_too_complex"


@pytest.mark.parametrize("text", [b"node_a", b"Conv", b"weight_one", b"logits_x", b"location"])
def test_a_text_that_is_not_utf8_is_refused_wherever_it_stands(text: bytes, tmp_path: Path) -> None:
    """protobuf answers it as bytes, on which whatever compares names would fail."""
    node = graphs.node("Conv", "x weight_one", "logits_x", "node_a")
    weight = TensorProto(name="weight_one", data_type=1, dims=[1], raw_data=bytes(4))
    weight.external_data.add(key="location", value="w")
    model = helper.make_model(
        helper.make_graph([node], "g", [], [helper.make_empty_tensor_value_info("logits_x")], [weight])
    )
    content = model.SerializeToString()
    assert text in content
    (tmp_path / "model.onnx").write_bytes(content.replace(text, b"\xff" + text[1:]))
    found = refusal(tmp_path / "model.onnx", tmp_path)
    assert found.problem.code == "invalid_model"
    assert "not UTF-8" in found.problem.detail
