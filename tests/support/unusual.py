"""Small valid graphs that are declared in ways which few exporters use, and some that are no tensors of numbers."""

import numpy as np
import onnx

from tests.support import graphs


def linear(batch: int | str | None = "N", answer: int | str | None = "N") -> onnx.ModelProto:
    """x[batch,8] → y[answer,4], the batch declared as one likes: -1, 0, a name, None."""
    model = _model("(float[N,8] x) => (float[N,4] y) { [layer] y = MatMul (x, w) }")
    _declare(model.graph.input[0], batch)
    _declare(model.graph.output[0], answer)
    return model


def scaled() -> onnx.ModelProto:
    """x[N,8] times a matrix, times a number `factor[]` that is an input: → y[N,4]."""
    return _model("""(float[N,8] x, float factor) => (float[N,4] y) {
        [layer] z = MatMul (x, w)
        [scaling] y = Mul (z, factor)
    }""")


def same_names() -> onnx.ModelProto:
    """Two nodes that are called `twin`."""
    return _model("(float[N,8] x) => (float[N,4] y) { [twin] z = MatMul (x, w)  [twin] y = Relu (z) }")


def named_sizes() -> onnx.ModelProto:
    """Names of sizes that nothing tells (`unk__750`), open ones, and a documented model of two layers.

    x[N,64] → y[?,32], kept[unk__750,32].
    """
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.standard_normal((64, 96)).astype("float32"),
        "w2": rng.standard_normal((96, 32)).astype("float32"),
        "zero": np.zeros((), "float32"),
    }
    model = _model(
        """(float[N,64] x) => (float[?,32] y, float[unk__750,32] kept) {
            [first] a = MatMul (x, w1)
            [relu] b = Relu (a)
            [second] y = MatMul (b, w2)
            [top] top = ReduceMax <axes=[1], keepdims=0> (y)
            [chosen] chosen = Greater (top, zero)
            [kept] kept = Compress <axis=0> (y, chosen)
        }""",
        weights,
    )
    model.doc_string, model.graph.doc_string = "Scores of four kinds.", "Read the paper first."
    model.graph.node[0].doc_string = graphs.TRACE
    return model


def anchors() -> onnx.ModelProto:
    """x[N,8] → y[N,4], and a table of 8 anchors[8,4] that is the same for every batch."""
    return _model("""(float[N,8] x) => (float[N,4] y, float[8,4] anchors) {
        [layer] y = MatMul (x, w)
        [sum] sum = ReduceSum <keepdims=0> (x)
        [anchors] anchors = Mul (sum, w)
    }""")


def time_major(time: int | str = "time", batch: int | str = "lanes") -> onnx.ModelProto:
    """`graphs.lstm` with other names or sizes: signal[time,batch,6] → scores[time,batch,4]."""
    model = graphs.lstm()
    for value in (model.graph.input[0], model.graph.output[0]):
        for dim, size in zip(value.type.tensor_type.shape.dim, (time, batch), strict=False):
            _size(dim, size)
    return model


def zipmap() -> onnx.ModelProto:
    """What skl2onnx writes for a forest: a label, and probabilities as a sequence of maps."""
    return _model("""(float[?,4] x) => (int64[?] label, seq(map(int64, float)) p) {
        [trees] label, scores = ai.onnx.ml.TreeEnsembleClassifier <
            nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2], nodes_featureids=[0, 0, 0],
            nodes_values=[0.0, 0.0, 0.0], nodes_hitrates=[1.0, 1.0, 1.0],
            nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"], nodes_truenodeids=[1, 0, 0],
            nodes_falsenodeids=[2, 0, 0], nodes_missing_value_tracks_true=[0, 0, 0], class_treeids=[0, 0],
            class_nodeids=[1, 2], class_ids=[0, 1], class_weights=[1.0, 1.0],
            classlabels_int64s=[0, 1], post_transform="NONE"
        > (x)
        p = ai.onnx.ml.ZipMap <classlabels_int64s=[0, 1]> (scores)
    }""")


def map_input() -> onnx.ModelProto:
    return _model("""(map(int64, float) x) => (float[1,2] y) {
        y = ai.onnx.ml.DictVectorizer <int64_vocabulary=[0, 1]> (x)
    }""")


def container(operator: str, *, beside: bool = False) -> onnx.ModelProto:
    """A sequence or optional as output, alone or beside a tensor."""
    kind = {"SequenceConstruct": "seq", "Optional": "optional"}[operator]
    tensor = "float[N,4] y, " if beside else ""
    text = f"""(float[N,8] x) => ({tensor}{kind}(float[N,4]) z) {{
        [layer] y = MatMul (x, w)
        [wrapped] z = {operator} (y)
    }}"""
    return _model(text, opset=15)


def sequence_input() -> onnx.ModelProto:
    return _model("(seq(float[N,8]) x) => (float[M,8] y) { y = ConcatFromSequence <axis=0> (x) }")


def strings(where: str) -> onnx.ModelProto:
    """A Cast from strings (`in`) or to strings (`out`)."""
    if where == "in":
        return _model("(string[N,8] x) => (float[N,8] y) { y = Cast <to=1> (x) }")
    return _model("(float[N,8] x) => (string[N,8] y) { y = Cast <to=8> (x) }")


def _declare(value: onnx.ValueInfoProto, batch: int | str | None) -> None:
    _size(value.type.tensor_type.shape.dim[0], batch)


def _size(dim: onnx.TensorShapeProto.Dimension, size: int | str | None) -> None:
    dim.Clear()
    if size is not None:
        setattr(dim, "dim_param" if isinstance(size, str) else "dim_value", size)


def _model(text: str, weights: dict[str, np.ndarray] | None = None, opset: int = 13) -> onnx.ModelProto:
    w = np.random.default_rng(0).standard_normal((8, 4)).astype("float32")
    return graphs.parse(
        text, {"w": w, **(weights or {})}, opset=opset, ir_version=8, domains={"ai.onnx.ml": 3}
    )
