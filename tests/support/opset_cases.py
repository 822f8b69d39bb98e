"""One node of every operator that ONNX changed since opset 7, over its versions and the values of its attributes.

A family says inputs and attribute values once, in the words of the newest version. What an older version does not know
is left out, and what it took as an attribute (axes, pads, scales, …) is one there.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import product
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

FIRST, LAST = 7, 28
"""The opsets that ONNX Runtime 1.32 runs."""


@dataclass(frozen=True)
class Constant:
    """An input that is an initializer; `attribute` is what older versions call it, where that is another name."""

    name: str
    value: Any
    attribute: str = ""


@dataclass(frozen=True)
class Family:
    """`inputs` are arrays (inputs of the graph), `Constant`s, or None for one left out. `grid`: attribute → values;
    the value None leaves it out."""

    operator: str
    inputs: tuple[Any, ...]
    grid: dict[str, list[Any]] = field(default_factory=dict)
    outputs: int = 1


@dataclass(frozen=True)
class Case:
    operator: str
    opset: int
    attributes: dict[str, Any]
    inputs: tuple[Any, ...]
    outputs: int

    @property
    def name(self) -> str:
        def shown(value: Any) -> Any:
            return type(value).__name__ if isinstance(value, onnx.GraphProto | onnx.TensorProto) else value

        given = ", ".join(f"{key}={shown(value)}" for key, value in self.attributes.items())
        kinds = "/".join(sorted({str(x.dtype) for x in self.inputs if isinstance(x, np.ndarray)}))
        return f"{self.operator}@{self.opset}({given}) {kinds}"

    @property
    def feeds(self) -> dict[str, np.ndarray]:
        arrays = {f"x{i}": x for i, x in enumerate(self.inputs) if isinstance(x, np.ndarray)}
        return arrays | {"choice": np.array(True)}

    @cached_property
    def answers(self) -> list[Any] | None:
        """What ONNX Runtime computes for the node alone; None where it refuses."""
        infos = [onnx.ValueInfoProto(name=f"y{i}") for i in range(self.outputs)]
        return run(self._around([self._node("y")], infos, symbolic=False), self.feeds)

    def model(self, *, inside: bool = False, symbolic: bool = False) -> onnx.ModelProto:
        """The node alone; or `inside` a branch of an If, reading the inputs from the graph around it; `symbolic`: no
        size of an input is known."""
        results = self._infos("y")
        if not inside:
            return self._around([self._node("y")], results, symbolic=symbolic)
        one, other = (helper.make_graph([self._node(k)], k, [], self._infos(k)) for k in ("then", "else"))
        chosen = helper.make_node(
            "If", ["choice"], [x.name for x in results], "if", then_branch=one, else_branch=other
        )
        return self._around([chosen], results, symbolic=symbolic)

    def _node(self, prefix: str) -> onnx.NodeProto:
        inputs = ["" if x is None else f"x{i}" for i, x in enumerate(self.inputs)]
        outputs = [f"{prefix}{i}" for i in range(self.outputs)]
        return helper.make_node(self.operator, inputs, outputs, name=f"{prefix}_node", **self.attributes)

    def _infos(self, prefix: str) -> list[onnx.ValueInfoProto]:
        assert self.answers is not None
        return [_info(f"{prefix}{i}", x, symbolic=True) for i, x in enumerate(self.answers)]

    def _around(
        self, nodes: list[onnx.NodeProto], results: list[onnx.ValueInfoProto], *, symbolic: bool
    ) -> onnx.ModelProto:
        inputs = [_info(name, x, symbolic=symbolic) for name, x in self.feeds.items()]
        constants = [
            numpy_helper.from_array(np.asarray(x.value), f"x{i}")
            for i, x in enumerate(self.inputs)
            if isinstance(x, Constant)
        ]
        graph = helper.make_graph(nodes, "g", inputs, results, constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)


def cases(operator: str) -> Iterator[Case]:
    """Of each version of the operator, at the first opset that has it."""
    seen = set()
    for opset in versions(operator):
        schema = onnx.defs.get_schema(operator, opset, "")
        for family in families():
            if family.operator != operator:
                continue
            for values in product(*family.grid.values()):
                case = _case(family, opset, schema, dict(zip(family.grid, values, strict=True)))
                if case is not None and (key := (case.name, len(case.inputs), _shapes(case))) not in seen:
                    seen.add(key)
                    yield case


def versions(operator: str) -> list[int]:
    """The opsets from `FIRST` on at which the operator got a new version; `FIRST` itself where it was there before."""
    found = set()
    for opset in range(FIRST, LAST + 1):
        try:
            schema = onnx.defs.get_schema(operator, opset, "")
        except onnx.defs.SchemaError:
            continue
        if not schema.deprecated:
            found.add(max(FIRST, schema.since_version))
    return sorted(found)


def run(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[Any] | None:
    """What ONNX Runtime answers without its optimizers, None where it refuses."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        content = model.SerializeToString()
        return list(onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"]).run(None, feeds))
    except Exception:
        return None


def error(expected: list[Any], actual: list[Any] | None) -> float:
    """The largest difference as a share of the largest magnitude; infinite where shapes, types or NaNs differ."""
    if actual is None or len(expected) != len(actual):
        return float("inf")
    return max(_error(x, y) for x, y in zip(expected, actual, strict=True))


def _error(x: Any, y: Any) -> float:
    if isinstance(x, list):
        return error(x, y) if isinstance(y, list) and (x or not y) else float("inf")
    if x is None or y is None:
        return 0.0 if x is y else float("inf")
    if x.shape != y.shape or x.dtype != y.dtype:
        return float("inf")
    if x.dtype.kind not in "fiub":
        return 0.0 if np.array_equal(x, y) else float("inf")
    a, b = x.astype(np.float64), y.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return 0.0
    if not (np.isfinite(a) == np.isfinite(b)).all():
        return float("inf")
    return float(np.abs(a - b)[~same].max() / max(np.abs(a[np.isfinite(a)]).max(initial=0), 1e-30))


def _case(family: Family, opset: int, schema: Any, attributes: dict[str, Any]) -> Case | None:
    given = {k: v for k, v in attributes.items() if v is not None and k in schema.attributes}
    inputs: list[Any] = []
    for position, x in enumerate(family.inputs):
        name = (x.attribute or x.name) if isinstance(x, Constant) else ""
        if name in schema.attributes:
            value = np.asarray(x.value)
            given[name] = value.tolist()
        elif _takes(schema, position):
            inputs.append(x)
        elif x is not None and not isinstance(x, Constant):
            return None  # this version does not have it at all
    while inputs and inputs[-1] is None:
        inputs.pop()
    return Case(family.operator, opset, given, tuple(inputs), min(family.outputs, schema.max_output))


def _info(name: str, x: Any, *, symbolic: bool) -> onnx.ValueInfoProto:
    if isinstance(x, list):
        element = helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(x[0].dtype), None)
        return helper.make_value_info(name, helper.make_sequence_type_proto(element))
    dims = [f"{name}_{axis}" if symbolic else size for axis, size in enumerate(x.shape)]
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), dims)


def _takes(schema: Any, position: int) -> bool:
    return position < schema.max_input


def _shapes(case: Case) -> str:
    return str(
        [np.asarray(x.value).tolist() if isinstance(x, Constant) else np.shape(x) for x in case.inputs]
    )


def _x(*shape: int, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    """Random, with negative numbers, nothing equal to another."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def _i(*shape: int, high: int, low: int = 0, dtype: str = "int64", seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).integers(low, high, shape).astype(dtype)


def _positive(*shape: int, dtype: str = "float32") -> np.ndarray:
    return (np.abs(_x(*shape)) + 0.5).astype(dtype)


def _axes(*values: int) -> Constant:
    return Constant("axes", np.array(values, np.int64))


def _ints(name: str, *values: int, attribute: str = "") -> Constant:
    return Constant(name, np.array(values, np.int64), attribute)


UNARY = [
    "Abs",
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "Ceil",
    "Celu",
    "Cos",
    "Cosh",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "IsNaN",
    "IsInf",
    "LeakyRelu",
    "Log",
    "Mish",
    "Neg",
    "NonZero",
    "Reciprocal",
    "Relu",
    "Round",
    "Selu",
    "Shape",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Size",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
    "Hardmax",
    "LogSoftmax",
    "Softmax",
    "Flatten",
    "LpNormalization",
    "GlobalAveragePool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "Dropout",
    "EyeLike",
    "Det",
    "MeanVarianceNormalization",
    "LRN",
    "DepthToSpace",
    "SpaceToDepth",
    "Transpose",
    "AveragePool",
    "MaxPool",
    "LpPool",
]
GRIDS: dict[str, dict[str, list[Any]]] = {
    "Celu": {"alpha": [None, 0.7]},
    "Elu": {"alpha": [None, 0.7]},
    "EyeLike": {"k": [None, 1], "dtype": [None, 1, 7]},
    "Flatten": {"axis": [None, 0, 1, 2, -1]},
    "GlobalLpPool": {"p": [None, 1, 3]},
    "HardSigmoid": {"alpha": [None, 0.3], "beta": [None, 0.4]},
    "Hardmax": {"axis": [None, 0, 1, 2, 3, -1, -2]},
    "IsInf": {"detect_negative": [None, 0], "detect_positive": [None, 0]},
    "LRN": {"size": [3], "alpha": [None, 0.1], "beta": [None, 0.5], "bias": [None, 2.0]},
    "LeakyRelu": {"alpha": [None, 0.3]},
    "LogSoftmax": {"axis": [None, 0, 1, 2, 3, -1, -2]},
    "LpNormalization": {"axis": [None, 0, 1, -1], "p": [None, 1, 2]},
    "MeanVarianceNormalization": {"axes": [None, [0, 2], [1, 2, 3]]},
    "Selu": {"alpha": [None, 1.1], "gamma": [None, 1.3]},
    "Shape": {"start": [None, 1, -2], "end": [None, 3, -1]},
    "Softmax": {"axis": [None, 0, 1, 2, 3, -1, -2]},
    "ThresholdedRelu": {"alpha": [None, 0.3]},
    "DepthToSpace": {"blocksize": [2], "mode": [None, "DCR", "CRD"]},
    "SpaceToDepth": {"blocksize": [2]},
    "Transpose": {"perm": [None, [0, 2, 3, 1]]},
}
POOL: dict[str, list[Any]] = {
    "kernel_shape": [[3, 3], [2, 3]],
    "strides": [None, [2, 2]],
    "pads": [None, [1, 1, 1, 1], [0, 1, 1, 0]],
    "auto_pad": [None, "SAME_UPPER", "SAME_LOWER", "VALID"],
    "ceil_mode": [None, 1],
    "dilations": [None, [2, 2]],
}
GRIDS["AveragePool"] = {**POOL, "count_include_pad": [None, 1]}
GRIDS["MaxPool"] = {**POOL, "storage_order": [None, 1]}
GRIDS["LpPool"] = {**POOL, "p": [None, 1]}
BINARY = [
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Pow",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "PRelu",
    "Mod",
    "Max",
    "Min",
    "Mean",
    "Sum",
    "MatMul",
    "BitShift",
]
REDUCE = [
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
]
COORDINATES = [
    None, "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
    "tf_half_pixel_for_nn", "tf_crop_and_resize",
]  # fmt: skip
NEAREST = [None, "round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]


@cache
def families() -> list[Family]:
    return [
        *_elementwise(),
        *_reductions(),
        *_layers(),
        *_resampling(),
        *_movement(),
        *_selection(),
        *_quantized(),
        *_control(),
    ]


def _elementwise() -> Iterator[Family]:
    for operator in UNARY:
        x = _x(2, 4, 6, 6)
        if operator in ("Acosh", "Log", "Sqrt"):
            x = _positive(2, 4, 6, 6) + 0.5
        if operator in ("Acos", "Asin", "Atanh"):
            x = np.tanh(x)
        if operator == "EyeLike":
            x = _x(4, 5)
        if operator in ("IsInf", "IsNaN"):
            x = np.array([np.inf, -np.inf, 1.5, np.nan], "float32")
        yield Family(operator, (x,), GRIDS.get(operator, {}), outputs=2 if operator == "MaxPool" else 1)
    for operator in ("AveragePool", "MaxPool", "LpPool"):
        short = {"kernel_shape": [[3]], "strides": [[2]], "pads": [None, [1, 1]], "ceil_mode": [None, 1]}
        yield Family(
            operator,
            (_x(1, 2, 8),),
            {**short, **({"count_include_pad": [None, 1]} if operator[0] == "A" else {})},
        )
    for operator in (
        "Abs",
        "Neg",
        "Relu",
        "Sign",
        "Identity",
        "Shape",
        "Size",
        "NonZero",
        "Flatten",
        "Transpose",
    ):
        for dtype in ("int32", "int64", "int8", "float64"):
            yield Family(operator, (_i(3, 4, high=9, low=-9).astype(dtype),))
    for operator in ("Identity", "Flatten", "Transpose"):
        yield Family(operator, (_i(3, 4, high=9, dtype="uint8"),))
    for operator in BINARY:
        a, b = _x(2, 3, 4), _x(2, 3, 4, seed=1)
        if operator == "Pow":
            a = _positive(2, 3, 4)
        if operator == "MatMul":
            b = _x(2, 4, 5)
            yield Family(operator, (a, _x(4, 5)))
        if operator == "BitShift":
            small = _i(2, 3, high=5, dtype="uint32")
            yield Family(operator, (small, small), {"direction": ["LEFT", "RIGHT"]})
            continue
        grid: dict[str, list[Any]] = {"fmod": [1]} if operator == "Mod" else {}
        yield Family(operator, (a, b), grid)
        if operator != "MatMul":
            yield Family(operator, (a, _positive(3, 1)), grid)
            yield Family(operator, (a, _positive(1)), grid)
        if operator in ("Max", "Min", "Mean", "Sum"):
            yield Family(operator, (a, b, _x(2, 3, 4, seed=2)))
            yield Family(operator, (a,))
        for dtype in ("int32", "int64", "float64"):
            integers = _i(2, 3, 4, high=9, low=1).astype(dtype)
            yield Family(
                operator,
                (integers, integers[0].T if operator == "MatMul" else integers[::-1]),
                {"fmod": [None, 1]} if operator == "Mod" else {},
            )
    for bounds in ((-0.5, 0.7), (-0.5, None), (None, 0.7), (None, None)):
        low, high = (
            None if b is None else Constant(n, np.float32(b))
            for b, n in zip(bounds, ("min", "max"), strict=True)
        )
        yield Family("Clip", (_x(3, 4), low, high))
    yield Family("Dropout", (_x(3, 4), Constant("ratio", np.float32(0.3))), outputs=2)
    yield Family("Dropout", (_x(3, 4),), outputs=2)
    for old, new in (
        ("float32", 7),
        ("float32", 6),
        ("float32", 1),
        ("int64", 1),
        ("bool", 1),
        ("float32", 9),
        ("float32", 10),
    ):
        yield Family("Cast", ((_x(3, 4) * 3).astype(old),), {"to": [new], "saturate": [None]})
        kind = helper.tensor_dtype_to_np_dtype(new)
        yield Family("CastLike", ((_x(3, 4) * 3).astype(old), np.zeros(1, kind)))
    yield Family(
        "CumSum", (_x(3, 4), Constant("axis", np.int64(1))), {"exclusive": [None, 1], "reverse": [None, 1]}
    )
    yield Family("Where", (_x(3, 4) > 0, _x(3, 4), _x(3, 4, seed=1)))
    yield Family("Where", (_x(3, 4) > 0, _i(3, 4, high=9), _i(1, 4, high=9)))


def _reductions() -> Iterator[Family]:
    grid = {"keepdims": [None, 0, 1], "noop_with_empty_axes": [None, 0, 1]}
    for operator in REDUCE:
        for axes in ((), (0,), (1, 2), (-1,), (0, -2)):
            x = _positive(2, 3, 4) if "Log" in operator else _x(2, 3, 4)
            yield Family(operator, (x, _axes(*axes)) if axes else (x,), grid)
        yield Family(operator, (_i(2, 3, 4, high=5, low=1, dtype="int32"), _axes(1)), grid)
    for operator in ("ArgMax", "ArgMin"):
        for x in (_x(2, 3, 4), _i(2, 3, 4, high=3, dtype="int32")):
            yield Family(
                operator, (x,), {"axis": [None, 1, -1], "keepdims": [None, 0], "select_last_index": [None, 1]}
            )


def _layers() -> Iterator[Family]:
    conv: dict[str, list[Any]] = {
        "strides": [None, [2, 2]],
        "pads": [None, [1, 0, 1, 2]],
        "auto_pad": [None, "SAME_UPPER", "SAME_LOWER"],
        "dilations": [None, [2, 2]],
        "group": [None, 2],
    }
    for group, shape in ((None, (6, 4, 3, 3)), (2, (6, 2, 3, 3))):
        yield Family("Conv", (_x(1, 4, 7, 8), _x(*shape), _x(6)), {**conv, "group": [group]})
    grid = {**conv, "group": [None], "output_padding": [None, [1, 0]], "output_shape": [None]}
    yield Family("ConvTranspose", (_x(1, 4, 5, 6), _x(4, 3, 3, 3), _x(3)), grid)
    yield Family(
        "ConvTranspose", (_x(1, 4, 5, 6), _x(4, 3, 3, 3)), {"output_shape": [[12, 14]], "strides": [[2, 2]]}
    )
    offset = _x(1, 18, 5, 6) * 0.3
    yield Family("DeformConv", (_x(1, 4, 7, 8), _x(6, 4, 3, 3), offset, _x(6)))
    gemm: dict[str, list[Any]] = {
        "alpha": [None, 0.5],
        "beta": [None, 0.3],
        "transA": [None, 0],
        "transB": [None, 0],
    }
    for bias in (_x(5), _x(3, 5), _x(1, 5), _x(3, 1), _x(1)):
        yield Family("Gemm", (_x(3, 4), _x(4, 5), bias), gemm)
    yield Family("Gemm", (_x(4, 3), _x(5, 4), _x(5)), {"transA": [1], "transB": [1]})
    yield Family("Gemm", (_x(3, 4), _x(4, 5)))
    for x in (_x(2, 3, 4, 4), _x(2, 3, 5), _x(4, 3)):
        grid = {"epsilon": [None, 0.1], "momentum": [None, 0.5]}
        yield Family("BatchNormalization", (x, _x(3), _x(3, seed=1), _x(3, seed=2), _positive(3)), grid)
    yield Family("InstanceNormalization", (_x(2, 3, 4, 4), _x(3), _x(3, seed=1)), {"epsilon": [None, 0.1]})
    for scale in (_x(2), _x(4)):
        grid = {"num_groups": [2], "epsilon": [None, 0.1]}
        yield Family("GroupNormalization", (_x(2, 4, 3, 3), scale, scale + 1), grid)
    yield from _recurrent()
    q = _x(1, 2, 3, 4)
    yield Family(
        "Attention", (q, q + 1, q - 1), {"is_causal": [None, 1], "scale": [None, 0.3], "softcap": [None, 2.0]}
    )
    yield Family("Attention", (q, q + 1, q - 1, _x(3, 3)))
    yield Family("Attention", (q, q + 1, q - 1, _x(3, 3) > 0))
    yield Family(
        "MaxRoiPool",
        (_x(1, 2, 8, 8), np.array([[0, 1, 1, 6, 6]], "float32")),
        {"pooled_shape": [[2, 2]], "spatial_scale": [None, 0.5]},
    )
    rois = np.array([[1, 1, 6, 6], [0, 2, 3, 7]], "float32")
    grid = {
        "coordinate_transformation_mode": [None, "half_pixel", "output_half_pixel"], "mode": [None, "avg", "max"],
        "output_height": [2], "output_width": [3], "sampling_ratio": [None, 2], "spatial_scale": [None, 0.7],
    }  # fmt: skip
    yield Family("RoiAlign", (_x(1, 2, 8, 8), rois, np.zeros(2, np.int64)), grid)
    labels = _i(3, high=5)
    for operator, x in (
        ("NegativeLogLikelihoodLoss", -_positive(3, 5)),
        ("SoftmaxCrossEntropyLoss", _x(3, 5)),
    ):
        grid = {"reduction": [None, "sum", "none"], "ignore_index": [None, 2]}
        yield Family(operator, (x, labels), grid)
        yield Family(operator, (x, labels, _positive(5)), grid)


def _recurrent() -> Iterator[Family]:
    for operator, gates in (("RNN", 1), ("GRU", 3), ("LSTM", 4)):
        for direction, many in (("forward", 1), ("reverse", 1), ("bidirectional", 2)):
            weights = (_x(many, gates * 3, 4), _x(many, gates * 3, 3), _x(many, 2 * gates * 3))
            grid: dict[str, list[Any]] = {
                "hidden_size": [3], "direction": [direction], "clip": [None, 0.5], "layout": [None, 1],
                "linear_before_reset": [None, 1], "input_forget": [None, 1],
            }  # fmt: skip
            outputs = 3 if operator == "LSTM" else 2
            yield Family(operator, (_x(5, 2, 4), *weights), grid, outputs)
            lengths = np.array([5, 3], "int32")
            yield Family(
                operator, (_x(5, 2, 4), *weights, lengths, _x(many, 2, 3)), {**grid, "clip": [None]}, outputs
            )


def _resampling() -> Iterator[Family]:
    x = _x(1, 2, 5, 6)
    for factors in ((1, 1, 2, 2), (1, 1, 3, 2), (1, 1, 1.5, 2.5), (1, 1, 0.6, 0.5), (1, 1, 2, 0.7)):
        scales = Constant("scales", np.array(factors, "float32"))
        yield Family("Upsample", (x, scales), {"mode": [None, "nearest", "linear"]})
        yield Family(
            "Upsample", (_i(1, 2, 5, 6, high=99, dtype="int32"), scales), {"mode": ["nearest", "linear"]}
        )
        yield from _resize(x, scales, None)
    yield Family(
        "Upsample",
        (_x(5, 6), Constant("scales", np.array([2, 3], "float32"))),
        {"mode": ["nearest", "linear"]},
    )
    yield Family(
        "Upsample",
        (_x(1, 2, 3, 4, 5), Constant("scales", np.array([1, 1, 2, 2, 2], "float32"))),
        {"mode": ["nearest", "linear"]},
    )
    yield from _resize(x, None, _ints("sizes", 1, 2, 9, 4))
    grids = {"align_corners": [None, 1], "padding_mode": [None, "border", "reflection"]}
    for mode in (None, "bilinear", "nearest", "bicubic", "linear", "cubic"):
        yield Family("GridSample", (_x(1, 2, 4, 5), np.tanh(_x(1, 3, 3, 2)) * 1.2), {**grids, "mode": [mode]})


def _resize(x: np.ndarray, scales: Constant | None, sizes: Constant | None) -> Iterator[Family]:
    """Version 10 takes X and scales; from 11 on a region of interest stands between them."""
    nearest = {
        "mode": [None, "nearest"],
        "coordinate_transformation_mode": COORDINATES,
        "nearest_mode": NEAREST,
    }
    linear = {"mode": ["linear"], "coordinate_transformation_mode": COORDINATES, "antialias": [None, 1]}
    cubic = {
        "mode": ["cubic"], "coordinate_transformation_mode": COORDINATES[:6], "cubic_coeff_a": [None, -0.5],
        "exclude_outside": [None, 1],
    }  # fmt: skip
    region = Constant("roi", np.array([0, 0, 0.1, 0.2, 1, 1, 0.8, 0.9], "float32"))
    for grid in (nearest, linear, cubic):
        yield Family("Resize", (x, region, scales, sizes), grid)
    if scales is not None:
        yield Family("Resize", (x, scales), {"mode": [None, "nearest", "linear"]})
    yield Family("Resize", (x, None, scales, sizes), {"mode": ["linear", "nearest"], "axes": [None]})
    if sizes is not None:
        policies = {
            "mode": ["linear"],
            "keep_aspect_ratio_policy": [None, "stretch", "not_larger", "not_smaller"],
        }
        yield Family("Resize", (x, None, None, _ints("sizes", 9, 4)), {**policies, "axes": [[2, 3]]})


def _movement() -> Iterator[Family]:
    x = _x(2, 3, 4)
    for axis in (0, 1, -1):
        yield Family("Concat", (x, x + 1), {"axis": [axis]})
        for operator in ("Gather",):
            yield Family(operator, (x, _i(2, high=2)), {"axis": [axis]})
            yield Family(operator, (x, np.array([[-1, 0]])), {"axis": [axis]})
    yield Family("Gather", (x, _i(2, high=2)))
    yield Family("GatherElements", (x, _i(2, 3, 2, high=2)), {"axis": [None, 1, -1]})
    yield Family("GatherND", (x, _i(2, 1, high=2)), {"batch_dims": [None, 1]})
    for axes in ((0,), (2,), (0, 2), (-3,)):
        yield Family("Squeeze", (_x(1, 3, 1), _axes(*axes)))
    yield Family("Squeeze", (_x(1, 3, 1),))
    for axes in ((0,), (1, 3), (-1,)):
        yield Family("Unsqueeze", (x, _axes(*axes)))
    yield Family("Reshape", (x, _ints("shape", 4, -1)))
    yield Family("Reshape", (x, _ints("shape", 0, -1)), {"allowzero": [None]})
    yield Family("Expand", (x[:, :1], _ints("shape", 2, 3, 4)))
    yield Family("Tile", (x, _ints("repeats", 1, 2, 3)))
    for axis, parts in ((0, (1, 1)), (1, (1, 2)), (-1, (1, 3)), (2, (2, 2))):
        yield Family("Split", (x, _ints("split", *parts)), {"axis": [axis]}, outputs=2)
    yield Family("Split", (x,), {"axis": [None, 2, -1]}, outputs=2)
    yield Family("Split", (x,), {"axis": [2], "num_outputs": [2]}, outputs=2)
    yield Family("SplitToSequence", (x, _ints("split", 1, 2)), {"axis": [1], "keepdims": [None]})
    yield Family("SplitToSequence", (x,), {"axis": [1], "keepdims": [None, 0]})
    for starts, ends, axes, steps in (
        ((0, 1), (2, 3), (0, 1), None), ((1,), (-1,), (2,), None), ((-2,), (1000,), (-1,), None),
        ((0, 0, 1), (1, 2, 3), None, None),
        ((3,), (0,), (2,), (-1,)), ((0,), (4,), (2,), (2,)),
    ):  # fmt: skip
        extra = [
            None if axes is None else _ints("axes", *axes),
            None if steps is None else _ints("steps", *steps),
        ]
        yield Family("Slice", (x, _ints("starts", *starts), _ints("ends", *ends), *extra))
    for pads in ((0, 1, 0, 0, 2, 1), (0, 0, -1, 0, 1, 1)):
        grid = {"mode": [None, "constant", "reflect", "edge", "wrap"]}
        yield Family("Pad", (x, _ints("pads", *pads)), grid)
        yield Family(
            "Pad", (x, _ints("pads", *pads), Constant("constant_value", np.float32(1.5), "value")), grid
        )
    yield Family("ReverseSequence", (_x(4, 3), np.array([4, 2, 1])), {"time_axis": [0], "batch_axis": [1]})
    value = numpy_helper.from_array(np.array([2.5], "float32"))
    yield Family("ConstantOfShape", (np.array([2, 3]),), {"value": [None, value]})
    yield Family("Range", (np.array(1, "float32"), np.array(9, "float32"), np.array(2, "float32")))
    yield Family("Range", (np.array(1), np.array(9), np.array(2)))
    yield Family("Einsum", (_x(3, 4), _x(4, 5)), {"equation": ["ij,jk->ik"]})
    yield Family("Constant", (), {"value": [value]})
    yield Family("Constant", (), {"value_floats": [[1.0, 2.0]]})
    signal = _x(1, 8, 1)
    for axis in (None, 1, -2):
        grid = {"axis": [axis], "onesided": [None, 1], "inverse": [None]}
        yield Family("DFT", (signal,), grid)
        yield Family("DFT", (_x(1, 8, 2),), {**grid, "onesided": [None], "inverse": [None, 1]})
    yield Family("DFT", (_x(1, 4, 8, 1), None, Constant("axis", np.int64(2))), {"onesided": [None, 1]})


def _selection() -> Iterator[Family]:
    x = _x(3, 5)
    for dtype in ("float32", "int64", "float64"):
        values = np.random.default_rng(0).permutation(15).reshape(3, 5).astype(dtype)
        yield Family(
            "TopK",
            (values, _ints("k", 2)),
            {"axis": [None, 0, -1], "largest": [None, 0], "sorted": [None]},
            2,
        )
    # `k` was one number as an attribute
    for axis in (None, 0, -1, 1):
        yield Family(
            "TopK",
            (x, Constant("", np.array([2]))),
            {"k": [2], "axis": [axis], "largest": [None], "sorted": [None]},
            2,
        )
    yield Family("Compress", (x, np.array([True, False, True])), {"axis": [0]})
    yield Family("Compress", (x, np.array([True, False, True])))
    boxes = np.array([[[0, 0, 1, 1], [0, 0.1, 1, 1.1], [0, 2, 1, 3], [0, 2.05, 1, 3.1]]], "float32")
    bounds = (
        _ints("max", 3),
        Constant("iou", np.array([0.5], "float32")),
        Constant("score", np.array([0.2], "float32")),
    )
    yield Family("NonMaxSuppression", (boxes, _positive(1, 2, 4), *bounds), {"center_point_box": [None, 1]})
    for operator in ("Scatter", "ScatterElements"):
        grid = {"axis": [None, 1, -1], "reduction": [None, "add", "mul", "max", "min"]}
        yield Family(operator, (x, np.array([[0, 2, 1]]), _x(1, 3)), grid)
        yield Family(operator, (x, np.array([[0, -1, 1]]), _x(1, 3)), grid)
    grid = {"reduction": [None, "add", "mul", "max", "min"]}
    yield Family("ScatterND", (x, np.array([[0], [2]]), _x(2, 5)), grid)
    yield Family(
        "OneHot",
        (_i(4, high=3), Constant("depth", np.array([4])), Constant("values", np.array([0, 1], "float32"))),
        {"axis": [None, 0]},
    )
    yield Family(
        "Unique",
        (np.array([2, 1, 1, 3, 4, 3], "float32"),),
        {"sorted": [None, 0], "axis": [None, 0]},
        outputs=4,
    )
    yield Family(
        "MaxUnpool",
        (_x(1, 1, 2, 2), np.array([[[[0, 3], [9, 14]]]])),
        {"kernel_shape": [[2, 2]], "strides": [[2, 2]]},
    )


def _quantized() -> Iterator[Family]:
    x = _x(3, 4) * 3
    for zero in (np.uint8(128), np.int8(3)):
        yield Family("QuantizeLinear", (x, Constant("s", np.float32(0.05)), Constant("z", zero)))
        integers = (x * 10).clip(0, 100).astype(zero.dtype)
        yield Family("DequantizeLinear", (integers, Constant("s", np.float32(0.05)), Constant("z", zero)))
    scales, zeros = np.array([0.05, 0.1, 0.2, 0.03], "float32"), np.zeros(4, "int8")
    for axis in (None, 1, -1):
        yield Family("QuantizeLinear", (x, Constant("s", scales), Constant("z", zeros)), {"axis": [axis]})
        yield Family(
            "DequantizeLinear",
            ((x * 10).astype("int8"), Constant("s", scales), Constant("z", zeros)),
            {"axis": [axis]},
        )
    yield Family("QuantizeLinear", (x, Constant("s", np.float32(0.05))))
    a, b = _i(3, 4, high=255, dtype="uint8"), _i(4, 5, high=255, dtype="uint8")
    s, z = Constant("s", np.float32(0.05)), Constant("z", np.uint8(120))
    yield Family("QLinearMatMul", (a, s, z, b, s, z, Constant("s", np.float32(0.9)), z))


def _control() -> Iterator[Family]:
    def info(name: str, kind: int, shape: list[int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, shape)

    yield Family(
        "If",
        (np.array(True),),
        {"then_branch": [_constant_branch(1.5)], "else_branch": [_constant_branch(2.5)]},
    )
    body = helper.make_graph(
        [
            helper.make_node("Add", ["carried", "carried"], ["next"]),
            helper.make_node("Identity", ["c"], ["go"]),
        ],
        "body",
        [info("i", 7, []), info("c", 9, []), info("carried", 1, [2, 3])],
        [info("go", 9, []), info("next", 1, [2, 3])],
    )
    yield Family(
        "Loop", (Constant("M", np.int64(3)), Constant("cond", np.array(True)), _x(2, 3)), {"body": [body]}
    )
    scanned = helper.make_graph(
        [
            helper.make_node("Add", ["state", "row"], ["next"]),
            helper.make_node("Mul", ["next", "row"], ["out"]),
        ],
        "body",
        [info("state", 1, [3]), info("row", 1, [3])],
        [info("next", 1, [3]), info("out", 1, [3])],
    )
    grid: dict[str, list[Any]] = {
        "body": [scanned], "num_scan_inputs": [1], "scan_input_directions": [None, [1]],
        "scan_output_directions": [None, [1]],
    }  # fmt: skip
    yield Family("Scan", (_x(3), _x(4, 3)), grid, outputs=2)
    # version 8 had a batch in front, and the lengths of its sequences
    grid = {"body": [scanned], "num_scan_inputs": [1], "directions": [None, [1]]}
    yield Family("Scan", (None, _x(2, 3), _x(2, 4, 3)), grid, outputs=2)
    yield Family("Scan", (np.array([4, 2]), _x(2, 3), _x(2, 4, 3)), grid, outputs=2)


def _constant_branch(value: float) -> onnx.GraphProto:
    tensor = numpy_helper.from_array(np.array([value], "float32"), "v")
    out = helper.make_tensor_value_info("b", 1, [1])
    return helper.make_graph([helper.make_node("Constant", [], ["b"], value=tensor)], "b", [], [out])


def operators() -> list[str]:
    """All of ONNX's own that have more than one version from `FIRST` to `LAST`, Functions and control flow too."""
    names = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if schema.domain == ""}
    return sorted(name for name in names if len(versions(name)) > 1 or _retired(name))


def _retired(operator: str) -> bool:
    """Whether it was there at `FIRST` or later and is no more."""
    return bool(versions(operator)) and onnx.defs.get_schema(operator, LAST, "").deprecated
