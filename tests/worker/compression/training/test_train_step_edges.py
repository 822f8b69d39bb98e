"""Training steps on graphs of a few nodes: what they leave alone, and what they refuse before the first step."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from pydantic import TypeAdapter

from tests.support.refusals import refusal
from tests.support.small_nets import model
from tests.support.small_transformer import LENGTH, WIDTH, attention_of_folded_heads
from winnow.contract.model import TensorSpec
from winnow.contract.recipe import AnyStep
from worker.compression.apply import apply
from worker.compression.data.open import open_samples
from worker.compression.data.samples import Samples
from worker.compression.data.source import Source
from worker.compression.progress import Silent
from worker.compression.steps.context import Context, StepResult

RNG = np.random.default_rng(0)
STEP = {"epochs": 3, "batch_size": 8, "learning_rate": 0.01, "validation": 0}
TUNE: dict[str, Any] = {"kind": "finetune", **STEP}
DISTIL: dict[str, Any] = {"kind": "distillation", **STEP}
QAT: dict[str, Any] = {"kind": "quantization_aware_training", **STEP, "soft": 0.0, "labels": 1.0}
LINEAR = "(float[N,4] x) => (float[N,4] y) { [linear] y = Gemm (x, w) }"


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def done(
    net: ir.Model,
    folder: Path,
    step: dict[str, Any],
    *,
    rows: int = 16,
    labels: np.ndarray | None = None,
    x: np.ndarray | None = None,
    teacher: ir.Model | None = None,
) -> StepResult:
    given = {"x": normal(rows, 4) if x is None else x}
    given["labels"] = np.arange(len(given["x"])) % 4 if labels is None else labels
    np.savez(folder / "data.npz", **given)

    def training(inputs: list[TensorSpec]) -> Samples:
        return open_samples(Source(folder / "data.npz"), inputs, folder)

    context = Context(
        folder,
        0,
        Silent(),
        curves=folder / "curves",
        training=training,
        model=lambda name: (teacher or net).clone(),
        calibration=None
        if step["kind"] != "int8_static"
        else training([TensorSpec(name="x", dtype="float32", shape=["N", 4])]),
    )
    parsed: AnyStep = TypeAdapter(AnyStep).validate_python(step)
    return apply(net, parsed, context)


def weights(net: ir.Model) -> dict[str, np.ndarray]:
    return {
        name: value.const_value.numpy().copy()
        for name, value in net.graph.initializers.items()
        if value.const_value is not None
    }


@pytest.mark.parametrize("excluded", ["first", "second"])
def test_an_excluded_node_keeps_a_weight_that_it_shares(tmp_path: Path, excluded: str) -> None:
    net = model(
        """(float[N,4] x) => (float[N,4] y) {
            [first] a = MatMul (x, shared)
            [between] b = Gemm (a, own)
            [second] y = MatMul (b, shared)
        }""",
        {"shared": normal(4, 4), "own": normal(4, 4)},
    )
    before = weights(net)
    changed = done(net, tmp_path, {**TUNE, "exclude": [excluded]})
    after = weights(changed.model)
    assert np.array_equal(after["shared"], before["shared"])
    assert not np.array_equal(after["own"], before["own"])
    assert (changed.changed, changed.candidates) == (1, 3)


def normalised(net_weights: dict[str, np.ndarray], names: list[str]) -> ir.Model:
    text = f"""(float[N,4] x) => (float[N,4] y) {{
        [linear] a = Gemm (x, w)
        [norm] b = BatchNormalization (a, {", ".join(names)})
        [last] y = Gemm (b, v)
    }}"""
    return model(text, {"w": normal(4, 4), "v": normal(4, 4), **net_weights})


def test_an_excluded_batch_normalisation_keeps_its_statistics(tmp_path: Path) -> None:
    parts = {"scale": normal(4), "bias": normal(4), "mean": normal(4), "variance": normal(4) ** 2 + 1}
    net = normalised(parts, list(parts))
    after = weights(done(net, tmp_path, {**TUNE, "exclude": ["norm"]}).model)
    assert all(np.array_equal(after[name], parts[name]) for name in parts)


def test_statistics_that_an_exporter_joined_with_weights_are_their_own_again(tmp_path: Path) -> None:
    """scale = variance = 1 and bias = mean = 0: one initializer each in the file of a network never trained."""
    parts = {"ones": np.ones(4, np.float32), "zeros": np.zeros(4, np.float32)}
    trained = done(normalised(parts, ["ones", "zeros", "zeros", "ones"]), tmp_path, TUNE).model
    norm = next(node for node in trained.graph if node.name == "norm")
    names = [value.name for value in norm.inputs[1:] if value is not None]
    assert len(set(names)) == 4
    assert all(not np.array_equal(weights(trained)[str(n)], p) for n in names for p in parts.values())


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_batch_normalisation_trains_on_a_single_row(tmp_path: Path, rows: int) -> None:
    """A channel's only value has no variance: the running statistics stand in."""
    parts = {"scale": normal(4), "bias": normal(4), "mean": normal(4), "variance": normal(4) ** 2 + 1}
    changed = done(normalised(parts, list(parts)), tmp_path, TUNE, rows=rows)
    assert all(np.isfinite(array).all() for array in weights(changed.model).values())


def test_an_excluded_layer_keeps_its_integers_and_their_scale(tmp_path: Path) -> None:
    net = model(
        """(float[N,4] x) => (float[N,4] y) {
            [first] a = Gemm (x, w1)
            [relu] b = Relu (a)
            [second] y = Gemm (b, w2)
        }""",
        {"w1": normal(4, 4), "w2": normal(4, 4)},
    )
    quantized = done(net, tmp_path, {"kind": "int8_static"}).model
    before = weights(quantized)
    after = weights(done(quantized, tmp_path, {**QAT, "exclude": ["first"]}).model)
    for part in ("quantized", "scale"):
        assert np.array_equal(after[f"w1_{part}"], before[f"w1_{part}"])
        assert not np.array_equal(after[f"w2_{part}"], before[f"w2_{part}"])


def test_channels_last_leaves_what_is_no_image_as_it_is(tmp_path: Path) -> None:
    net = model(
        """(float[N,4] x) => (float[N,4] y) {
            [volume] a = Reshape (x, shape)
            [conv] b = Conv (a, w)
            [flat] y = Flatten (b)
        }""",
        {"shape": np.array([-1, 1, 1, 2, 2]), "w": normal(1, 1, 1, 1, 1)},
    )
    assert done(net, tmp_path, {**TUNE, "channels_last": True}).changed == 1


@pytest.mark.parametrize("labels", [np.zeros((16, 3), np.int64), np.full(16, 99), np.array(["cat"] * 16)])
def test_labels_that_nobody_learns_from_need_not_fit(tmp_path: Path, labels: np.ndarray) -> None:
    net = model(LINEAR, {"w": normal(4, 4)})
    step = {**DISTIL, "validation": 0.25}
    details = done(net, tmp_path, step, labels=labels, teacher=model(LINEAR, {"w": normal(4, 4)})).details
    assert details["epochs"][-1]["validation_loss"] > 0


def test_one_column_is_a_number_and_not_the_only_class(tmp_path: Path) -> None:
    student, teacher = (model(LINEAR.replace("4] y", "1] y"), {"w": normal(4, 1)}) for _ in range(2))
    epochs = done(student, tmp_path, {**DISTIL, "validation": 0.25}, teacher=teacher).details["epochs"]
    assert 0 < epochs[-1]["validation_loss"] < epochs[0]["validation_loss"]
    assert epochs[-1]["metric"] is None


def test_features_that_weigh_nothing_ask_no_teacher(tmp_path: Path) -> None:
    quantized = done(model(LINEAR, {"w": normal(4, 4)}), tmp_path, {"kind": "int8_static"}).model
    pair = {"teacher": "nowhere", "student": "nowhere", "weight": 0.0}
    assert done(quantized, tmp_path, {**QAT, "features": [pair]}).changed == 1


@pytest.mark.parametrize("steps_first", [True, False])
def test_a_cache_changes_nothing_and_where_there_is_none_a_note_says_why(
    tmp_path: Path, steps_first: bool
) -> None:
    """A row that is the whole input, time first, has no row of its own among the answers; attention whose heads are
    folded into the samples has."""
    each = "(float[5,N,4] x) => (float[5,N,4] y) { [each] y = MatMul (x, w) }"
    arrays = normal(4, 4), normal(4, 4)

    def trained(cached: bool) -> StepResult:
        rng = np.random.default_rng(1)
        step = {**DISTIL, "cache_teacher": cached}
        if steps_first:
            nets = [model(each, {"w": array}) for array in arrays]
            x = rng.standard_normal((8, 5, 1, 4)).astype(np.float32)
        else:
            nets = [attention_of_folded_heads(heads, heads) for heads in (2, 4)]
            x = rng.standard_normal((8, LENGTH, WIDTH)).astype(np.float32)
            step["features"] = "auto"
        return done(nets[0], tmp_path, step, x=x, teacher=nets[1])

    with_cache, without = trained(True), trained(False)
    assert np.array_equal(weights(with_cache.model)["w"], weights(without.model)["w"])
    notes = [note for note in with_cache.notes if "cache_teacher" in note]
    assert [note.split(": ")[1] for note in notes] == steps_first * [
        "samples do not lie along the first axis of all that is compared."
    ]


REFUSED: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "no number": (TUNE, "a = Gemm (x, w)  y = Log (a)", "not_finite", "NaN"),
    "no gradient": (
        {**DISTIL, "head": "regression"},
        "a = Gemm (x, w)  b = Sign (a)  c = Floor (b)  d = Cast <to=6> (c)  y = Cast <to=1> (d)",
        "nothing_to_train",
        "no gradient",
    ),
    "no classes": (
        {**DISTIL, "hard": 1.0},
        "a = Gemm (x, w)  y = ReduceMean <axes=[1], keepdims=0> (a)",
        "nothing_to_train",
        "no classes",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_learned_is_refused_before_the_first_step(tmp_path: Path, case: str) -> None:
    step, body, code, words = REFUSED[case]
    net = model(f"(float[N,4] x) => (float[N,4] y) {{ {body} }}", {"w": -np.eye(4, dtype=np.float32) - 1})
    problem = refusal(lambda: done(net, tmp_path, step, x=np.ones((16, 4), np.float32)))
    assert problem is not None
    assert (problem.code, words in problem.detail) == (code, True)
    assert not (tmp_path / "curves").exists()


def test_a_validation_that_never_was_a_number_is_no_divergence(tmp_path: Path) -> None:
    net, x = (
        model(
            """(float[N,4] x) => (float[N,4] y) {
            a = Gemm (x, w)
            y = Log (a)
        }""",
            {"w": np.full((4, 4), 0.25, np.float32)},
        ),
        np.ones((16, 4), np.float32),
    )
    x[2:] = -1
    problem = refusal(lambda: done(net, tmp_path, {**TUNE, "validation": 0.5}, x=x))
    assert problem is not None
    assert problem.code == "not_finite"


def test_a_teacher_that_cannot_take_the_data_is_no_accident(tmp_path: Path) -> None:
    teacher = model(
        """(float[1,4] x) => (float[1,4] y) {
            a = Reshape (x, square)
            b = Relu (a)
            c = Reshape (b, one)
            y = Gemm (c, w)
        }""",
        {"w": normal(4, 4), "square": np.array([2, 2]), "one": np.array([1, 4])},
    )
    problem = refusal(lambda: done(model(LINEAR, {"w": normal(4, 4)}), tmp_path, DISTIL, teacher=teacher))
    assert problem is not None
    assert (problem.code, "open batch" in problem.detail) == ("teacher_does_not_fit", True)


def test_a_model_of_a_fixed_batch_is_trained_as_with_an_open_one(tmp_path: Path) -> None:
    """The gradients of a step's batches add up: as many steps, the same weights but for the order of sums (1e-5)."""
    weight, x = normal(4, 4), normal(16, 4)
    made = [
        done(model(LINEAR.replace("N", batch), {"w": weight}), tmp_path, TUNE, x=x) for batch in ("N", "2")
    ]
    assert "The model takes batches of 2 only: a step adds up 4 of them." in made[1].notes
    assert [result.details["epochs"][-1]["step"] for result in made] == [3 * 16 / 8] * 2
    first, second = (weights(result.model)["w"] for result in made)
    assert np.allclose(first, second, atol=1e-5)
    assert not np.allclose(first, weight, atol=1e-3)


@pytest.mark.parametrize("size", [1, 3])
def test_a_step_is_one_fixed_batch_at_least_and_whole_ones_always(tmp_path: Path, size: int) -> None:
    net = model(LINEAR.replace("N", "2"), {"w": normal(4, 4)})
    made = done(net, tmp_path, {**TUNE, "batch_size": size})
    assert "The model takes batches of 2 only: a step adds up 1 of them." in made.notes
    assert made.details["epochs"][-1]["step"] == 3 * 16 / 2


def test_classes_of_places_in_any_form_teach_the_same(tmp_path: Path) -> None:
    """One-hot along axis 1 or numbers, integers or floats: exactly the same weights come out."""
    rng = np.random.default_rng(0)
    x, numbers = rng.standard_normal((40, 3, 4, 4), np.float32), rng.integers(0, 5, (40, 4, 4))
    weight = rng.standard_normal((5, 3, 1, 1), np.float32)
    one_hot = np.moveaxis(np.eye(5)[numbers], -1, 1)
    learned = []
    for place, labels in enumerate((numbers, numbers.astype(np.float32), one_hot, one_hot.astype(np.int64))):
        net = model("(float[N,3,4,4] x) => (float[N,5,4,4] y) { [c] y = Conv (x, w) }", {"w": weight})
        (folder := tmp_path / str(place)).mkdir()
        learned.append(weights(done(net, folder, TUNE, x=x, labels=labels).model)["w"])
    assert not np.array_equal(learned[0], weight)
    assert all(np.array_equal(learned[0], other) for other in learned[1:])
