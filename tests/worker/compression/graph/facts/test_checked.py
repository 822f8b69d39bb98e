"""A graph in memory is described as the file of it is."""

from pathlib import Path

import onnx_ir as ir
import pytest

from tests.support.small_nets import digits_net
from winnow.contract.target_rules.onnx_file import graph_of_file
from worker.compression.graph.facts import checked
from worker.compression.graph.facts.checked import checked_graph, kept_graph
from worker.compression.graph.facts.facts import facts


def test_a_graph_in_memory_is_described_as_its_file(tmp_path: Path) -> None:
    """But for what large constants hold, which is not looked at."""
    net = digits_net()
    ir.save(net, tmp_path / "net.onnx")
    of_file, of_graph = graph_of_file(tmp_path / "net.onnx"), checked_graph(net)
    assert of_graph.names == of_file.names
    assert of_graph.open_inputs == of_file.open_inputs
    assert [kind.operator for kind in of_graph.kinds] == [kind.operator for kind in of_file.kinds]
    assert [
        [None if value is None else value.model_copy(update={"zero": None}) for value in kind.inputs]
        for kind in of_graph.kinds
    ] == [
        [None if value is None else value.model_copy(update={"zero": None}) for value in kind.inputs]
        for kind in of_file.kinds
    ]


def test_facts_have_it_and_the_weights_are_where_they_were() -> None:
    net = digits_net()
    weights = {name: value.const_value for name, value in net.graph.initializers.items()}
    assert facts(net).graph == checked_graph(net)
    assert {name: value.const_value for name, value in net.graph.initializers.items()} == weights


def test_what_is_too_much_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checked, "MAX_NODES", 2)
    assert kept_graph(digits_net()) is None
    monkeypatch.setattr(checked, "MAX_NODES", 100)
    monkeypatch.setattr(checked, "MAX_CHARACTERS", 10)
    assert kept_graph(digits_net()) is None
