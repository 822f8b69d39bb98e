"""A model that is a choice: steps work on the branch that the data takes, and the artifact answers in both."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from tests.support import graphs
from tests.support.in_process import InProcess
from tests.support.ort import largest_difference, run
from winnow.contract.declaration import Declaration
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.data.source import Data, Source
from worker.compression.graph.normal_form.declared_branch import (
    branch_alone,
    branch_taken,
    with_other_branch,
)
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.options import Options
from worker.compression.pipeline import compress


def choice() -> ir.Model:
    return normalise(ir.from_proto(graphs.branches()))


@pytest.mark.parametrize("flag", [True, False])
def test_declared_constants_take_a_branch(flag: bool) -> None:
    assert branch_taken(choice(), {"flag": flag}) is flag


def test_nothing_is_taken_where_no_constant_decides() -> None:
    assert branch_taken(choice(), {}) is None
    assert branch_taken(choice(), {"x": 1.0}) is None


def test_nothing_is_taken_where_a_branch_reads_what_is_computed_beside_it() -> None:
    proto = graphs.branches()
    for attribute in proto.graph.node[0].attribute:
        attribute.g.node[1].input[0] = "doubled"
    proto.graph.node.insert(0, graphs.node("Add", "x x", "doubled", name="double"))
    assert branch_taken(normalise(ir.from_proto(proto)), {"flag": True}) is None


@pytest.mark.parametrize("flag", [True, False])
def test_a_branch_put_back_answers_as_the_whole_model_did(flag: bool) -> None:
    whole = choice()
    alone = branch_alone(whole, flag)
    assert alone is not None
    assert all(node.op_type != "If" for node in alone.graph)
    assert [v.name for v in alone.graph.inputs] == [v.name for v in whole.graph.inputs]
    again = with_other_branch(alone, choice(), flag)
    for given in (True, False):
        feeds = graphs.feeds(graphs.branches()) | {"flag": np.array(given)}
        assert largest_difference(run(whole, feeds), run(again, feeds)) == 0
    assert weights(again) == weights(whole)


def weights(model: ir.Model) -> list[str]:
    return sorted(name for graph in model.graphs() for name in graph.initializers)


def test_only_the_branch_that_the_data_takes_is_compressed(tmp_path: Path) -> None:
    proto = graphs.branches()
    path = tmp_path / "model.onnx"
    onnx.save(proto, path)
    feeds = graphs.feeds(proto)
    report = compressed(path, {"flag": True}, feeds["x"], tmp_path)
    assert report.steps[0].changed == 1
    assert any("by flag = True" in note for note in report.notes)
    artifact = onnx.load(tmp_path / "out" / "artifact.onnx")
    assert [v.name for v in artifact.graph.input] == ["x", "flag"]
    differences = {
        flag: largest_difference(run(proto, given), run(artifact, given))
        for flag in (True, False)
        if (given := feeds | {"flag": np.array(flag)})
    }
    assert differences[False] == 0
    assert 0 < differences[True] < 0.01


def compressed(
    model: Path,
    constants: dict[str, bool],
    x: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    folder: Path,
) -> Report:
    np.savez(folder / "data.npz", x=x)
    declaration = Declaration.model_validate({"inputs": {"x": {"array": "x"}}, "constants": constants})
    recipe = Recipe.model_validate({"steps": [{"kind": "float16"}]})
    options = Options(benchmark=Benchmark(rounds=9), processes=InProcess())
    data = Data(calibration=Source(folder / "data.npz", declaration))
    return compress(model, recipe, data, folder / "out", options=options)
