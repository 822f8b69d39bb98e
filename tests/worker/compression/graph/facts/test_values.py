"""What inspection keeps of a graph's values."""

import onnx_ir as ir
import pytest

from tests.support import graphs
from winnow.contract.graph_values import GraphValue, graph_values
from worker.compression.graph.facts import values as values_module
from worker.compression.graph.facts.facts import facts
from worker.compression.graph.normal_form.normalise import normalise


def test_each_value_has_its_type_its_shape_and_the_operator_that_computes_it() -> None:
    found = facts(normalise(ir.from_proto(graphs.cnn())))
    assert found.values is not None
    assert found.value_kinds is not None
    listed = graph_values(found.values, found.value_kinds)
    assert listed[0] == GraphValue(name="image", dtype="float32", shape=["N", 3, 8, 8], operator=None)
    assert listed[-1] == GraphValue(name="logits", dtype="float32", shape=["N", 10], operator="Gemm")
    assert [value.operator for value in listed[1:]] == [
        *("Conv", "Relu", "Conv", "Add", "Relu", "GlobalAveragePool", "Flatten", "Gemm")
    ]


def test_a_kind_that_many_values_share_is_kept_once() -> None:
    kinds = facts(normalise(ir.from_proto(graphs.cnn()))).value_kinds
    assert kinds is not None
    assert len(kinds.kinds) < len(kinds.of)
    assert len({kind.model_dump_json() for kind in kinds.kinds}) == len(kinds.kinds)


def test_more_values_than_are_kept_are_no_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    count = len(facts(normalise(ir.from_proto(graphs.cnn()))).values or ())
    for most, kept in ((count, True), (count - 1, False)):
        monkeypatch.setattr(values_module, "MAX_VALUES", most)
        found = facts(normalise(ir.from_proto(graphs.cnn())))
        assert (found.values is not None, found.value_kinds is not None) == (kept, kept)
