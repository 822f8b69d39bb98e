"""Raising the opset, or saying why it cannot be, and going back."""

import onnx_ir as ir
import pytest

from tests.support import graphs
from tests.support.small_nets import digits_net
from winnow.contract.errors import Refusal
from worker.compression.graph.opset.conversion import opset_of, raise_opset
from worker.compression.steps.opset import raised, returned


def test_a_model_that_is_new_enough_is_given_back_as_it_is() -> None:
    net = digits_net(17)
    assert raised(net, 13, "this") == (net, [])


def test_an_operator_without_a_way_up_is_refused_with_what_to_do() -> None:
    text = "(float[2,3] x) => (float[2,3] y) { [unknown] y = NoSuchOperator (x) }"
    net = ir.from_proto(graphs.parse(text, opset=9, ir_version=8))
    with pytest.raises(Refusal, match=r"step_failed.*opset 13, the model has 9") as caught:
        raised(net, 13, "quantization per channel")
    assert "Export the model with opset 13" in caught.value.problem.detail


def test_what_needs_no_higher_opset_goes_back_to_the_models_own() -> None:
    net = digits_net(19)
    working = raise_opset(net.clone(), 20)
    assert returned(working, net) == [
        "The artifact is back at opset 19, the model's own: its operators mean the same there."
    ]
    assert opset_of(working) == 19
    assert returned(working, net) == []


def test_what_needs_a_higher_opset_goes_back_as_far_as_it_can() -> None:
    net = digits_net(11)
    working = raise_opset(net.clone(), 20)
    (note,) = returned(working, net)
    assert 11 < opset_of(working) < 20
    assert (
        note
        == f"The artifact went back from opset 20 to {opset_of(working)}, the lowest that its operators need."
    )
