"""Hidden states and values of attention are found in any style of network."""

import numpy as np
import onnx_ir as ir
import pytest

from tests.support import graphs
from tests.support.residual_nets import residual_net
from tests.support.small_nets import model
from tests.support.small_transformer import folded_attention, small_transformer
from worker.compression.graph.blocks import states as states_module
from worker.compression.graph.blocks.attention import AttentionValue, attention_values
from worker.compression.graph.blocks.states import State, hidden_states
from worker.compression.graph.normal_form.normalise import normalise


@pytest.mark.parametrize("pre", [False, True])
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_a_transformer_has_one_state_for_each_layer_and_one_value_for_each_attention(
    pre: bool, heads: int
) -> None:
    net = small_transformer(3, heads=heads, pre=pre)
    assert [state.value for state in hidden_states(net)] == ["fed0", "fed1", "fed2"]
    assert attention_values(net) == [AttentionValue("v0"), AttentionValue("v1"), AttentionValue("v2")]


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_values_whose_heads_are_folded_into_the_samples_are_taken_behind_that(heads: int) -> None:
    """torch folds heads of steps that come first: [T, N, W] → [T, N · heads, d] → [N · heads, T, d]. Before the fold
    their first axis is time, and relations would be those of samples."""
    assert attention_values(folded_attention(heads, 8)) == [AttentionValue("values", heads)]


def test_a_network_that_is_activated_behind_each_block_has_its_states_there() -> None:
    assert [state.value for state in hidden_states(residual_net("activated", [1, 1]))] == ["s1", "s2"]


def test_a_network_without_blocks_has_the_last_map_of_each_size() -> None:
    text = """(float[N,1,8,8] x) => (float[N,2] y) {
        a = Conv <pads = [1, 1, 1, 1]> (x, w)
        b = Relu (a)
        c = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (b)
        d = Relu (c)
        e = GlobalAveragePool (d)
        y = Flatten (e)
    }"""
    net = model(text, {"w": np.ones((2, 1, 3, 3), np.float32)})
    assert hidden_states(net) == [State("b", (8, 8)), State("d", (4, 4))]


def test_a_block_of_maps_has_their_size() -> None:
    states = hidden_states(normalise(ir.from_proto(graphs.cnn())))
    assert [state.sizes for state in states] == [(8, 8)]


def test_a_graph_that_is_too_large_to_follow_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states_module, "is_too_large", lambda _: True)
    assert hidden_states(small_transformer(1)) == []
