"""Two graphs that share a weight, an archive of them, and what runs them."""

import zipfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH, WORDS = 32, 20
RNG = np.random.default_rng(0)
SHARED = RNG.standard_normal((WIDTH, WIDTH)).astype(np.float32)
HEAD = RNG.standard_normal((WIDTH, WORDS)).astype(np.float32)
Models = dict[str, onnx.ModelProto]


def model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    weights: dict[str, np.ndarray],
    opset: int = 17,
    **metadata: str,
) -> onnx.ModelProto:
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    helper.set_model_props(made, metadata)
    return made


def floats(name: str, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def encoder(weight: np.ndarray = SHARED, opset: int = 17) -> onnx.ModelProto:
    """x [batch, length, 32] → h, by a weight and a nonlinearity."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"], name="project"),
        helper.make_node("Tanh", ["m"], ["h"]),
    ]
    sizes = ("batch", "length", WIDTH)
    return model(nodes, [floats("x", *sizes)], [floats("h", *sizes)], {"w": weight}, opset, task="encode")


def decoder(weight: np.ndarray = SHARED) -> onnx.ModelProto:
    """x, past [batch, length, 32] → y of other names: m is here what h is there, and w another weight."""
    nodes = [
        helper.make_node("MatMul", ["x", "tied"], ["h"], name="project"),
        helper.make_node("Add", ["h", "past"], ["m"], name="add"),
        helper.make_node("MatMul", ["m", "w"], ["y"], name="head"),
    ]
    sizes = ("batch", "length", WIDTH)
    return model(
        nodes,
        [floats("x", *sizes), floats("past", "batch", "length", WIDTH)],
        [floats("y", "batch", "length", WORDS), floats("m", *sizes)],
        {"tied": weight, "w": HEAD},
    )


def pair() -> Models:
    return {"encoder.onnx": encoder(), "decoder.onnx": decoder()}


def zipped(path: Path, models: Models, folder: str = "", **others: bytes) -> Path:
    """The archive; `others` are called with a dot for each double underscore."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, each in models.items():
            archive.writestr(f"{folder}{name}", each.SerializeToString())
        for name, content in others.items():
            archive.writestr(folder + name.replace("__", "."), content)
    return path


def external(models: Models, folder: Path, data: str = "weights.bin") -> list[Path]:
    """The same as files whose shared weight lies once in a file beside them."""
    (folder / data).write_bytes(SHARED.tobytes())
    paths = []
    for name, each in models.items():
        copy = onnx.ModelProto()
        copy.CopyFrom(each)
        for tensor in copy.graph.initializer:
            if tensor.raw_data == SHARED.tobytes():
                tensor.ClearField("raw_data")
                tensor.data_location = TensorProto.EXTERNAL
                for key, value in (("location", data), ("offset", "0"), ("length", str(SHARED.nbytes))):
                    tensor.external_data.add(key=key, value=value)
        paths.append(folder / name)
        paths[-1].write_bytes(copy.SerializeToString())
    return [*paths, folder / data]


def unpacked(path: Path, folder: Path) -> dict[str, Path]:
    """The files of an archive by name."""
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
        return {name.rpartition("/")[2]: folder / name for name in archive.namelist()}


def choosing() -> onnx.ModelProto:
    """x, flag[1] → y, as merged decoders are: a branch of an If that uses the weight, and one that uses it otherwise,
    each with the weight inside."""
    sizes = ("batch", "length", WIDTH)

    def branch(name: str, operator: str) -> onnx.GraphProto:
        nodes = [
            helper.make_node("MatMul", ["x", "w"], ["m"], name="inside"),
            helper.make_node(operator, ["m"], [name]),
        ]
        return helper.make_graph(
            nodes, name, [], [floats(name, *sizes)], [numpy_helper.from_array(SHARED, "w")]
        )

    nodes = [
        helper.make_node("Squeeze", ["flag"], ["scalar"]),
        helper.make_node(
            "If", ["scalar"], ["y"], then_branch=branch("a", "Tanh"), else_branch=branch("b", "Sigmoid")
        ),
    ]
    flag = helper.make_tensor_value_info("flag", TensorProto.BOOL, [1])
    return model(nodes, [floats("x", *sizes), flag], [floats("y", *sizes)], {})
