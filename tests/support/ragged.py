"""A small encoder of sequences with an attention mask, open or of a fixed length, and ragged data for it."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper

from tests.support.graphs import node
from winnow.contract.declaration import Declaration
from winnow.contract.model import TensorSpec
from worker.compression.data.open import open_samples
from worker.compression.data.samples import Samples
from worker.compression.data.source import Source
from worker.compression.graph.normal_form.normalise import normalise

LENGTH, WIDTH, ENTRIES = 9, 6, 11


def encoder(length: int | str = "L", batch: int | str = "N", seed: int = 0) -> ir.Model:
    """tokens, mask int64 [N, L] → states [N, L, 6], pooled [N, 3] over the positions that count."""
    rng = np.random.default_rng(seed)
    weights = {
        "table": rng.normal(size=(ENTRIES, WIDTH)),
        "query": rng.normal(size=(WIDTH, WIDTH)) * 0.5,
        "value": rng.normal(size=(WIDTH, WIDTH)),
        "head": rng.normal(size=(WIDTH, 3)),
        "least": np.array(-1e4),
        "unit": np.array(1.0),
    }
    nodes = [
        node("Gather", "table tokens", "x", "embedding"),
        node("Cast", "mask", "m", "cast", to=TensorProto.FLOAT),
        node("Unsqueeze", "m one", "m1", "row"),
        node("Unsqueeze", "m two", "m2", "column"),
        node("Sub", "unit m1", "off", "off"),
        node("Mul", "off least", "bias", "bias"),
        node("MatMul", "x query", "q", "q"),
        node("Transpose", "x", "xt", "transpose", perm=[0, 2, 1]),
        node("MatMul", "q xt", "raw", "scores"),
        node("Add", "raw bias", "masked", "add"),
        node("Softmax", "masked", "shares", "softmax", axis=-1),
        node("MatMul", "shares x", "context", "context"),
        node("MatMul", "context value", "states", "values"),
        node("Mul", "states m2", "counted", "counted"),
        node("ReduceSum", "counted one", "sum", "sum", keepdims=0),
        node("ReduceSum", "m one", "length", "length", keepdims=1),
        node("Div", "sum length", "mean", "mean"),
        node("MatMul", "mean head", "pooled", "head"),
    ]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, [batch, length])
            for name in ("tokens", "mask")
        ],
        [
            helper.make_tensor_value_info("pooled", TensorProto.FLOAT, [batch, 3]),
            helper.make_tensor_value_info("states", TensorProto.FLOAT, [batch, length, WIDTH]),
        ],
        [onnx.numpy_helper.from_array(np.asarray(w, np.float32), name) for name, w in weights.items()]
        + [
            onnx.numpy_helper.from_array(np.array([n], np.int64), name)
            for name, n in (("one", 1), ("two", 2))
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    return normalise(ir.from_proto(helper.make_model(graph, opset_imports=opset, ir_version=8)))


def rows(count: int = 20, seed: int = 1) -> list[np.ndarray]:
    """Tokens of sentences of 2 to 9."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, ENTRIES, rng.integers(2, LENGTH + 1)) for _ in range(count)]


def opened(folder: Path, net: ir.Model, sentences: list[np.ndarray], pad_to: Any = "longest") -> Samples:
    """The sentences and masks of ones as an `.npz` with offsets, labels the number of the row modulo 3."""
    offsets = np.cumsum([0, *map(len, sentences)])
    flat = np.concatenate(sentences)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / "data.npz",
        tokens=flat, mask=np.ones_like(flat), tokens_offsets=offsets, mask_offsets=offsets,
        labels=np.arange(len(sentences)) % 3,
    )  # fmt: skip
    inputs = {name: {"array": name, "pad_to": pad_to} for name in ("tokens", "mask")}
    specs = [
        TensorSpec(
            name=str(v.name),
            dtype="int64",
            shape=[d if isinstance(d, int) else d.value for d in v.shape or ()],
        )
        for v in net.graph.inputs
    ]
    source = Source(folder / "data.npz", Declaration.model_validate({"inputs": inputs}))
    return open_samples(source, specs, folder / "scratch")
