"""The graph as a module computes what ONNX Runtime computes, within 1e-4 of each output's largest magnitude."""

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

from tests.support import graphs
from tests.support.ort import largest_difference, run
from tests.support.refusals import refusal
from worker.compression.engine.module import GraphModule
from worker.compression.engine.working import as_module, write_back
from worker.compression.graph.normal_form.normalise import normalise

FEEDS = {
    graphs.cnn: {"image": (4, 3, 8, 8)},
    graphs.mlp: {"features": (4, 64)},
    graphs.lstm: {"signal": (7, 4, 6)},
    graphs.with_constant_nodes: {"image": (4, 3, 8, 8)},
    graphs.with_functions: {"features": (4, 64)},
}


def feeds(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def model(proto: onnx.ModelProto) -> ir.Model:
    return normalise(ir.from_proto(proto))


def answers(module: GraphModule, given: dict[str, np.ndarray]) -> list[np.ndarray]:
    with torch.no_grad():
        found = module.eval()({name: torch.from_numpy(x) for name, x in given.items()})
    return [found[name].numpy() for name in module.wanted]


@pytest.mark.parametrize("build", FEEDS, ids=lambda build: build.__name__)
def test_outputs_are_those_of_onnx_runtime(build: Callable[[], onnx.ModelProto]) -> None:
    given = feeds(FEEDS[build])
    assert largest_difference(run(build(), given), answers(as_module(model(build())), given)) < 1e-4


def test_parameters_carry_their_onnx_names() -> None:
    names = {name for name, _ in as_module(model(graphs.cnn())).named_parameters()}
    assert names == {f"{layer}.{part}" for layer in ("conv1", "conv2", "fc") for part in ("weight", "bias")}


def test_only_what_is_wanted_is_computed() -> None:
    module = GraphModule(model(graphs.cnn()), ["b"])
    assert [call.node.op_type for call in module.calls] == ["Conv", "Relu"]
    assert answers(module, feeds({"image": (2, 3, 8, 8)}))[0].shape == (2, 8, 8, 8)


def test_a_value_that_is_not_there_is_refused_by_name() -> None:
    problem = refusal(lambda: GraphModule(model(graphs.cnn()), ["nowhere"]))
    assert problem is not None
    assert "nowhere" in problem.detail


def test_an_operator_without_a_function_is_refused_naming_it_and_its_node() -> None:
    problem = refusal(lambda: as_module(model(graphs.branches())))
    assert problem is not None
    assert (problem.code, problem.layer) == ("unsupported_operator", "choose")
    assert "If" in problem.detail


def test_weights_go_back_into_the_same_graph() -> None:
    """Doubling the last layer's weights and bias doubles the output, to 1e-5."""
    graph, given = model(graphs.cnn()), feeds({"image": (4, 3, 8, 8)})
    before, names = run(graph, given), [node.name for node in graph.graph]
    module = as_module(graph)
    with torch.no_grad():
        for name in ("fc.weight", "fc.bias"):
            module.weight(name).mul_(2)
    write_back(module, graph)
    assert [node.name for node in graph.graph] == names
    assert largest_difference([2 * before[0]], run(graph, given)) < 1e-5


def test_half_precision_and_channels_last_compute_the_same_nearly() -> None:
    """bfloat16 has 8 bits of mantissa: 5 % of the largest magnitude. Channels-last is the same to 1e-5."""
    given = feeds({"image": (4, 3, 8, 8)})
    module = as_module(model(graphs.cnn()))
    exact = answers(module, given)
    with torch.autocast("cpu", torch.bfloat16):
        assert largest_difference(exact, [a.astype(np.float32) for a in _floats(module, given)]) < 0.05
    module.to(memory_format=torch.channels_last)
    assert largest_difference(exact, answers(module, given)) < 1e-5


def _floats(module: GraphModule, given: dict[str, np.ndarray]) -> list[np.ndarray]:
    with torch.no_grad():
        found = module({name: torch.from_numpy(x) for name, x in given.items()})
    return [found[name].float().numpy() for name in module.wanted]
