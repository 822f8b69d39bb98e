"""What both models look at: known attributions of a linear model, and how alike two models rank the parts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from tests.support.asked import report
from tests.support.digits import DECLARATION, EVALUATION, digits
from tests.support.graphs import parse
from winnow.contract.declaration import Declaration
from winnow.contract.evaluation import Evaluation
from worker.compression.data.source import Data, Source
from worker.compression.materials import Materials
from worker.compression.measure.network import Network
from worker.compression.options import Options
from worker.compression.progress import Silent
from worker.compression.result.fidelity.attribution import attributed, differentiable, runnable
from worker.compression.result.fidelity.attributions import Attributions
from worker.compression.result.fidelity.fidelity import attributions
from worker.compression.result.fidelity.parts import grid_of, parts_of, summed
from worker.compression.result.page.marks import Rect
from worker.compression.result.page.sections.fidelity import section as fidelity_section
from worker.compression.result.page.subject import Subject
from worker.compression.upload.upload import open_upload

WEIGHTS = np.array([[2.0, 0.0], [-1.0, 0.0], [0.5, 1.0]], np.float32)
X = np.array([[1.0, 2.0, -4.0]], np.float32)


def linear() -> onnx.ModelProto:
    text = "(float[batch,3] x) => (float[batch,2] y) { [fc] y = MatMul (x, w) }"
    return parse(text, {"w": WEIGHTS}, opset=17, ir_version=8)


def test_of_a_linear_model_both_methods_say_weight_times_number(tmp_path: Path) -> None:
    onnx.save(linear(), tmp_path / "m.onnx")
    parts = parts_of(X.shape, 0)
    gradients = differentiable(ir.from_proto(linear()), "x", "y")
    assert gradients is not None
    runs = runnable(Network(tmp_path / "m.onnx", 1, "it"), "x", "y")
    expected = WEIGHTS[:, 0] * X[0]
    for method, make in (("integrated_gradients", gradients), ("occlusion", runs)):
        got = attributed(method, make({"x": X}), X, parts, 0)  # type: ignore[arg-type]
        np.testing.assert_allclose(summed(got[0], parts), expected, rtol=1e-5)


def test_a_graph_that_rounds_has_no_gradients() -> None:
    text = """(float[batch,3] x) => (float[batch,3] y) {
        q = QuantizeLinear (x, s, z)
        y = DequantizeLinear (q, s, z)
    }"""
    rounds = parse(text, {"s": np.float32(0.1), "z": np.int8(0)}, opset=17, ir_version=8)
    assert differentiable(ir.from_proto(rounds), "x", "y") is None


@pytest.mark.parametrize(
    ("shape", "grid"),
    [((1, 3, 24, 48), (12, 12)), ((1, 1, 8, 8), (8, 8)), ((1, 5), (1, 5)), ((1, 999), (1, 144))],
)
def test_every_element_is_in_one_of_few_parts(shape: tuple[int, ...], grid: tuple[int, int]) -> None:
    parts = parts_of(shape, 0)
    assert parts.shape == shape[1:]
    assert grid_of(shape, 0) == grid
    assert [*np.unique(parts)] == [*range(grid[0] * grid[1])]


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Materials, Attributions]:
    """A model of digits, compared with itself."""
    folder = tmp_path_factory.mktemp("looked")
    files = digits(folder)
    upload = open_upload(files.model, folder / "scratch", max_unpacked_bytes=2**30)
    data = Data(evaluation=Source(files.data, DECLARATION, EVALUATION))
    options = Options(Evaluation(metric="top1"), explain=True)
    materials = Materials(upload, data, folder / "scratch", folder / "curves", Silent(), options)
    return files.model, materials, attributions(files.model, materials)


def test_a_model_looks_at_what_it_looks_at(looked: tuple[Path, Materials, Attributions]) -> None:
    """Compared with itself every rank correlation is 1; without data there is a reason in place of numbers."""
    model, materials, seen = looked
    assert (seen.method, len(seen.entries), seen.why) == ("integrated_gradients", 16, None)
    assert [entry.spearman for entry in seen.entries] == pytest.approx([1.0] * 16)
    assert all(len(entry.before) == 64 and np.abs(entry.before).max() > 0 for entry in seen.entries)
    assert attributions(model, replace(materials, data=Data())).why == "there is no data to look at."


def test_a_table_is_explained_by_its_columns_in_bars_before_and_after(tmp_path: Path) -> None:
    """Of a linear model each column weighs |weight| · mean |number|; the result looks at the second alone."""
    weights = {"model": [[2.0], [-1.0], [0.0]], "artifact": [[0.0], [-1.0], [0.0]]}
    for name, w in weights.items():
        text = "(float[batch,3] x) => (float[batch,1] y) { [fc] y = MatMul (x, w) }"
        onnx.save(
            parse(text, {"w": np.array(w, np.float32)}, opset=17, ir_version=8), tmp_path / f"{name}.onnx"
        )
    rows = np.random.default_rng(0).integers(1, 9, (12, 3))
    lines = ["age,height,weight", *(",".join(map(str, row)) for row in rows)]
    (tmp_path / "people.csv").write_text("\n".join(lines))
    columns = {"from": "table", "columns": ["age", "height", "weight"]}
    declaration = Declaration.model_validate({"inputs": {"x": columns}})
    upload = open_upload(tmp_path / "model.onnx", tmp_path / "scratch", max_unpacked_bytes=2**30)
    data = Data(calibration=Source(tmp_path / "people.csv", declaration))
    materials = Materials(
        upload, data, tmp_path / "scratch", tmp_path / "curves", Silent(), Options(explain=True)
    )
    artifact = tmp_path / "artifact.onnx"
    seen = attributions(artifact, materials)
    drawn = fidelity_section(Subject(seen.told_in(report()), artifact, None, materials, seen))
    assert drawn is not None
    (figure,) = drawn.blocks[-1].figures  # type: ignore[union-attr]
    bars = {mark.tip: mark.kind for mark in figure.drawing.marks if isinstance(mark, Rect)}
    age, height = (np.abs(rows[:, n]).mean() * weight for n, weight in ((0, 2), (1, 1)))
    assert bars == {
        f"age, before: {age:.3g}": "before",
        "age, after: 0": "after",
        f"height, before: {height:.3g}": "before",
        f"height, after: {height:.3g}": "after",
        "weight, before: 0": "before",
        "weight, after: 0": "after",
    }


def test_a_picture_is_explained_by_patches_over_it(looked: tuple[Path, Materials, Attributions]) -> None:
    model, materials, seen = looked
    drawn = fidelity_section(Subject(seen.told_in(report()), model, None, materials, seen))
    assert drawn is not None
    cards = drawn.blocks[-1].cards  # type: ignore[union-attr]
    assert len(cards) == 2 * 6
    for card in cards:
        assert card.picture.startswith("data:image/png;base64,")
        assert card.drawing is not None
        assert {mark.kind for mark in card.drawing.marks} <= {"good", "bad"}
        assert len(card.drawing.marks) > 0
