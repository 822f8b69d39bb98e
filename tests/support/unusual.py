"""Small valid graphs that are declared in ways which few exporters use, and some that are no tensors of numbers."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.support import graphs

Info = onnx.ValueInfoProto
FLOAT = TensorProto.FLOAT


def linear(batch: int | str | None = "N", answer: int | str | None = "N") -> onnx.ModelProto:
    """x[batch,8] → y[answer,4], the batch declared as one likes: -1, 0, a name, None."""
    return _model([_matmul("y")], [_info("x", [batch, 8])], [_info("y", [answer, 4])])


def scaled() -> onnx.ModelProto:
    """x[N,8] times a matrix, times a number `factor[]` that is an input: → y[N,4]."""
    nodes = [_matmul("z"), helper.make_node("Mul", ["z", "factor"], ["y"], name="scaling")]
    return _model(nodes, [_info("x", ["N", 8]), _info("factor", [])], [_info("y", ["N", 4])])


def same_names() -> onnx.ModelProto:
    """Two nodes that are called `twin`."""
    nodes = [_matmul("z"), helper.make_node("Relu", ["z"], ["y"], name="twin")]
    nodes[0].name = "twin"
    return _model(nodes, [_info("x", ["N", 8])], [_info("y", ["N", 4])])


def named_sizes() -> onnx.ModelProto:
    """Names of sizes that nothing tells (`unk__750`), open ones, and a documented model of two layers.

    x[N,64] → y[?,32], kept[unk__750,32].
    """
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("MatMul", ["b", "w2"], ["y"], name="second"),
        helper.make_node("ReduceMax", ["y"], ["top"], name="top", axes=[1], keepdims=0),
        helper.make_node("Greater", ["top", "zero"], ["chosen"], name="chosen"),
        helper.make_node("Compress", ["y", "chosen"], ["kept"], name="kept", axis=0),
    ]
    model = _model(nodes, [_info("x", ["N", 64])], [_info("y", [None, 32]), _info("kept", ["unk__750", 32])])
    rng = np.random.default_rng(0)
    for name, shape in (("w1", (64, 96)), ("w2", (96, 32))):
        model.graph.initializer.append(
            numpy_helper.from_array(rng.standard_normal(shape).astype("float32"), name)
        )
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((), "float32"), "zero"))
    model.doc_string, model.graph.doc_string = "Scores of four kinds.", "Read the paper first."
    model.graph.node[0].doc_string = graphs.TRACE
    return model


def anchors() -> onnx.ModelProto:
    """x[N,8] → y[N,4], and a table of 8 anchors[8,4] that is the same for every batch."""
    nodes = [
        _matmul("y"),
        helper.make_node("ReduceSum", ["x"], ["sum"], name="sum", keepdims=0),
        helper.make_node("Mul", ["sum", "w"], ["anchors"], name="anchors"),
    ]
    return _model(nodes, [_info("x", ["N", 8])], [_info("y", ["N", 4]), _info("anchors", [8, 4])])


def time_major(time: int | str = "time", batch: int | str = "lanes") -> onnx.ModelProto:
    """`graphs.lstm` with other names or sizes: signal[time,batch,6] → scores[time,batch,4]."""
    model = graphs.lstm()
    for value in (model.graph.input[0], model.graph.output[0]):
        for dim, size in zip(value.type.tensor_type.shape.dim, (time, batch), strict=False):
            dim.Clear()
            setattr(dim, "dim_param" if isinstance(size, str) else "dim_value", size)
    return model


def zipmap() -> onnx.ModelProto:
    """What skl2onnx writes for a forest: a label, and probabilities as a sequence of maps."""
    trees = helper.make_node(
        "TreeEnsembleClassifier", ["x"], ["label", "scores"], domain="ai.onnx.ml", name="trees",
        nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2], nodes_featureids=[0, 0, 0], nodes_values=[0.0, 0.0, 0.0],
        nodes_hitrates=[1.0, 1.0, 1.0], nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"], nodes_truenodeids=[1, 0, 0],
        nodes_falsenodeids=[2, 0, 0], nodes_missing_value_tracks_true=[0, 0, 0], class_treeids=[0, 0],
        class_nodeids=[1, 2], class_ids=[0, 1], class_weights=[1.0, 1.0], classlabels_int64s=[0, 1],
        post_transform="NONE",
    )  # fmt: skip
    maps = helper.make_node("ZipMap", ["scores"], ["p"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])
    kind = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(FLOAT, []))
    outputs = [
        helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
        helper.make_value_info("p", helper.make_sequence_type_proto(kind)),
    ]
    return _model([trees, maps], [_info("x", [None, 4])], outputs)


def map_input() -> onnx.ModelProto:
    kind = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(FLOAT, []))
    node = helper.make_node("DictVectorizer", ["x"], ["y"], domain="ai.onnx.ml", int64_vocabulary=[0, 1])
    return _model([node], [helper.make_value_info("x", kind)], [_info("y", [1, 2])])


def container(operator: str, *, beside: bool = False) -> onnx.ModelProto:
    """A sequence or optional as output, alone or beside a tensor."""
    element = helper.make_tensor_type_proto(FLOAT, ["N", 4])
    made = {"SequenceConstruct": helper.make_sequence_type_proto, "Optional": helper.make_optional_type_proto}
    nodes = [_matmul("y"), helper.make_node(operator, ["y"], ["z"], name="wrapped")]
    outputs = [_info("y", ["N", 4])] if beside else []
    outputs.append(helper.make_value_info("z", made[operator](element)))
    return _model(nodes, [_info("x", ["N", 8])], outputs, opset=15)


def sequence_input() -> onnx.ModelProto:
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, ["N", 8]))
    node = helper.make_node("ConcatFromSequence", ["x"], ["y"], axis=0)
    return _model([node], [helper.make_value_info("x", kind)], [_info("y", ["M", 8])])


def strings(where: str) -> onnx.ModelProto:
    """A Cast from strings (`in`) or to strings (`out`)."""
    inside, outside = (TensorProto.STRING, FLOAT) if where == "in" else (FLOAT, TensorProto.STRING)
    node = helper.make_node("Cast", ["x"], ["y"], to=outside)
    shape = ["N", 8]
    infos = (helper.make_tensor_value_info(n, t, shape) for n, t in (("x", inside), ("y", outside)))
    return _model([node], [next(infos)], [next(infos)])


def _matmul(output: str) -> onnx.NodeProto:
    return helper.make_node("MatMul", ["x", "w"], [output], name="layer")


def _info(name: str, shape: list[int | str | None]) -> Info:
    return helper.make_tensor_value_info(name, FLOAT, shape)


def _model(
    nodes: list[onnx.NodeProto], inputs: list[Info], outputs: list[Info], opset: int = 13
) -> onnx.ModelProto:
    w = np.random.default_rng(0).standard_normal((8, 4)).astype("float32")
    graph = helper.make_graph(nodes, "g", inputs, outputs, [numpy_helper.from_array(w, "w")])
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)
