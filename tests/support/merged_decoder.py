"""A small encoder-decoder by hand, as a pair of decoders and as the merged one of Hugging Face's exporter.

encoder.onnx                input_ids → last_hidden_state
decoder.onnx                input_ids, encoder_hidden_states → logits, present.0.decoder.key, present.0.encoder.key
decoder_with_past.onnx      input_ids, past_key_values.* → logits, present.0.decoder.key
decoder_model_merged.onnx   all of these and use_cache_branch [1] → logits, present.*: an If of both; with a cache
                            nothing but an empty constant comes out for the encoder's

`masked` decoders take decoder_attention_mask, too: as long as all tokens so far, so that runs differ in its length.
"""

from collections.abc import Collection

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.support.packages import Models, floats, model
from worker.compression.packages.prefix import rename_values

WORDS, WIDTH = 20, 32
RNG = np.random.default_rng(3)
WEIGHTS = {
    "words": RNG.standard_normal((WORDS, WIDTH)).astype(np.float32),
    "keys": RNG.standard_normal((WIDTH, WIDTH)).astype(np.float32),
    "cross": RNG.standard_normal((WIDTH, WIDTH)).astype(np.float32),
    "head": RNG.standard_normal((WIDTH, WORDS)).astype(np.float32),
}
OWN, CROSS = "0.decoder.key", "0.encoder.key"
IDS = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch_size", "length"])
STATES = floats("encoder_hidden_states", "batch_size", "encoder_length", WIDTH)
MASK = helper.make_tensor_value_info("decoder_attention_mask", TensorProto.INT64, ["batch_size", "total"])
PASTS = [
    floats(f"past_key_values.{OWN}", "batch_size", "past_length", WIDTH),
    floats(f"past_key_values.{CROSS}", "batch_size", "encoder_length", WIDTH),
]


def pair(*, masked: bool = False) -> Models:
    mask = [MASK] if masked else []
    return {
        "encoder.onnx": _encoder(),
        "decoder.onnx": model(_first(masked), [IDS, STATES, *mask], _outputs(OWN, CROSS), WEIGHTS),
        "decoder_with_past.onnx": model(
            _then(masked), [IDS, *PASTS, *mask], _outputs(OWN), _without("cross")
        ),
    }


def merged(*, masked: bool = False) -> Models:
    made = pair(masked=masked)
    both = of_pair(made["decoder.onnx"], made["decoder_with_past.onnx"])
    return {"encoder.onnx": made["encoder.onnx"], "decoder_model_merged.onnx": both}


def of_pair(first: onnx.ModelProto, then: onnx.ModelProto) -> onnx.ModelProto:
    """One decoder of both, as optimum merges them: branches read inputs, and weights once, of the graph around them."""
    flag = helper.make_tensor_value_info("use_cache_branch", TensorProto.BOOL, [1])
    inputs = {value.name: value for value in (*then.graph.input, *first.graph.input, flag)}
    outputs, weights = [*first.graph.output], dict[tuple[object, ...], onnx.TensorProto]()
    branches = {
        "else_branch": _branch(first.graph, "new_", inputs, weights),
        "then_branch": _branch(then.graph, "cached_", inputs, weights),
    }
    cached = {value.name for value in branches["then_branch"].output}
    for place, value in enumerate(outputs):
        if f"cached_{value.name}" not in cached:
            _put_nothing(branches["then_branch"], f"cached_{value.name}", value, place)
    choice = helper.make_node("If", [flag.name], [it.name for it in outputs], name="choice", **branches)
    graph = helper.make_graph([choice], "merged", [*inputs.values()], outputs, [*weights.values()])
    made = helper.make_model(graph, opset_imports=first.opset_import, ir_version=first.ir_version)
    onnx.checker.check_model(made)
    return made


def _branch(
    graph: onnx.GraphProto,
    prefix: str,
    inputs: Collection[str],
    weights: dict[tuple[object, ...], onnx.TensorProto],
) -> onnx.GraphProto:
    """The graph with names of its own, in it neither inputs nor weights."""
    made, outer = onnx.GraphProto(), dict[str, str]()
    made.CopyFrom(graph)
    for tensor in made.initializer:
        array = numpy_helper.to_array(tensor)
        key = (array.dtype, array.shape, array.tobytes())
        outer[tensor.name] = weights.setdefault(key, numpy_helper.from_array(array, f"w{len(weights)}")).name
    del made.initializer[:], made.input[:], made.value_info[:]
    rename_values(made, lambda name: name if name in inputs else outer.get(name, prefix + name))
    for node in made.node:
        node.name = prefix + node.name
    return made


def _put_nothing(branch: onnx.GraphProto, name: str, like: onnx.ValueInfoProto, place: int) -> None:
    sizes = [dim.dim_value or 1 for dim in like.type.tensor_type.shape.dim]
    branch.initializer.append(numpy_helper.from_array(np.zeros([0, *sizes[1:]], np.float32), name))
    outputs = [*branch.output]
    outputs.insert(place, floats(name, 0, *sizes[1:]))
    del branch.output[:]
    branch.output.extend(outputs)


def _encoder() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["last_hidden_state"], name="embed"),
    ]
    outputs = [floats("last_hidden_state", "batch_size", "length", WIDTH)]
    return model(nodes, [IDS], outputs, {"words": WEIGHTS["words"]})


def _first(masked: bool) -> list[onnx.NodeProto]:
    """key = E[ids] · K, cross = states · C"""
    own, cross = f"present.{OWN}", f"present.{CROSS}"
    return [
        helper.make_node("Gather", ["words", "input_ids"], ["e"], name="embed"),
        helper.make_node("MatMul", ["e", "keys"], [own], name="key"),
        helper.make_node("MatMul", [STATES.name, "cross"], [cross], name="cross"),
        *_answer(own, cross, masked),
    ]


def _then(masked: bool) -> list[onnx.NodeProto]:
    """key = past, E[ids] · K"""
    return [
        helper.make_node("Gather", ["words", "input_ids"], ["e"], name="embed"),
        helper.make_node("MatMul", ["e", "keys"], ["new"], name="key"),
        helper.make_node("Concat", [PASTS[0].name, "new"], [f"present.{OWN}"], name="grow", axis=1),
        *_answer(f"present.{OWN}", PASTS[1].name, masked),
    ]


def _answer(own: str, cross: str, masked: bool) -> list[onnx.NodeProto]:
    """logits = tanh(mean (mask key) + mean cross + e) · H"""
    mask = [
        helper.make_node("Cast", [MASK.name], ["ones"], to=TensorProto.FLOAT, name="ones"),
        helper.make_node("Transpose", [own], ["turned"], perm=[0, 2, 1], name="turn"),
        helper.make_node("Mul", ["turned", "ones"], ["seen"], name="see"),
        helper.make_node("Transpose", ["seen"], ["keys_seen"], perm=[0, 2, 1], name="turn_back"),
    ]
    return [
        *(mask if masked else []),
        helper.make_node("ReduceMean", ["keys_seen" if masked else own], ["mean"], axes=[1], name="mean"),
        helper.make_node("ReduceMean", [cross], ["mean_cross"], axes=[1], name="mean_cross"),
        helper.make_node("Add", ["mean", "mean_cross"], ["both"], name="add"),
        helper.make_node("Add", ["both", "e"], ["all"], name="add_e"),
        helper.make_node("Tanh", ["all"], ["h"], name="tanh"),
        helper.make_node("MatMul", ["h", "head"], ["logits"], name="head"),
    ]


def _outputs(*caches: str) -> list[onnx.ValueInfoProto]:
    presents = [floats(f"present.{it}", "batch_size", f"{it}_length", WIDTH) for it in caches]
    return [floats("logits", "batch_size", "length", WORDS), *presents]


def _without(name: str) -> dict[str, np.ndarray]:
    return {other: weight for other, weight in WEIGHTS.items() if other != name}
