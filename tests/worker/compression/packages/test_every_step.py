"""Whatever step a package is asked to have: it runs and leaves graphs that are right, or is refused at POST by name."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper
from pydantic import ValidationError

from app.admission.check import check
from tests.support import packages as nets
from tests.support.in_process import InProcess
from tests.support.ort import run
from tests.support.refusals import refusal
from winnow.contract.dataset import DatasetFacts
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Problem
from winnow.contract.job import Benchmark, ClosedJob
from winnow.contract.model import ModelFacts
from winnow.contract.recipe import AnyStep, Recipe, Step
from worker.compression.data.inspection.inspect import inspect_dataset
from worker.compression.data.source import Data, Source
from worker.compression.measure.extent import Extent
from worker.compression.options import Options
from worker.compression.packages.merge import MIN_SHARED_BYTES
from worker.compression.pipeline import compress
from worker.compression.upload.inspection import inspect_model

KINDS: Final[dict[str, type[Step]]] = {
    get_args(step.model_fields["kind"].annotation)[0]: step for step in get_args(get_args(AnyStep)[0])
}
NEEDED: Final[dict[str, dict[str, Any]]] = {
    "mixed_precision": {"max_size_ratio": 0.5},
    "channel_pruning": {"amount": 0.5},
    "depth_pruning": {"amount": 0.5},
    "student": {"depth": 0.5},
    "no_op": {"seconds": 0},
}
"""What is asked for beside a kind."""
NOT_OF_PACKAGES: Final = frozenset(
    {
        "channel_pruning", "depth_pruning", "student", "low_rank", "vocabulary_pruning",
        "finetune", "distillation", "quantization_aware_training",
    }
)  # fmt: skip
MORE: Final[list[dict[str, Any]]] = [
    {"kind": "int8_static", "smooth": 0.5},
    {"kind": "int8_dynamic", "smooth": 0.5},
    {"kind": "sparsity", "structure": "2:4"},
    {"kind": "sparsity", "structure": "block"},
    {"kind": "weight_only", "block": 0},
    {"kind": "mixed_precision", "min_snr_db": 20},
    {"kind": "mixed_precision", "min_speedup": 1.01},
    {"kind": "simplify", "fix_shapes": {"_encoder__length": 3}},
    {"kind": "simplify", "opset": 20},
]
"""Settings that are no choices."""
LEAST_DB: Final = {"binary": 1.0, "sparsity": 3.0, "palette": 1.0, "weight_only": 3.0, "int8_static": 10.0}
OTHERS_DB: Final = 12.0
"""Signal to noise of the outputs of weights that are random: of 1, 2 and 4 bits, of half of them, of floats."""
MODELS: Final = {**nets.pair(), "merged.onnx": nets.choosing()}
INPUTS: Final = ("decoder:x", "decoder:past", "encoder:x", "merged:x")


def asked(kind: str, **settings: Any) -> dict[str, Any]:
    return {"kind": kind, **NEEDED.get(kind, {}), **settings}


def choices(annotation: Any) -> Iterator[Any]:
    """The values of a setting that is a choice."""
    if annotation is bool:
        yield from (False, True)
    for inner in get_args(annotation):
        if isinstance(inner, str | int):
            yield inner
        else:
            yield from choices(inner)


def is_taken(step: dict[str, Any]) -> bool:
    try:
        return bool(Recipe.model_validate({"steps": [step]}))
    except ValidationError:  # it goes with other settings only
        return False


def chosen() -> list[dict[str, Any]]:
    """Every kind with one choice otherwise than by itself."""
    return [
        step
        for kind, own in KINDS.items()
        for name, field in own.model_fields.items()
        for value in choices(field.annotation)
        if kind not in NOT_OF_PACKAGES and name != "kind" and value != field.default
        if is_taken(step := asked(kind, **{name: value}))
    ]


@dataclass(frozen=True)
class World:
    archive: Path
    source: Source
    model: ModelFacts
    dataset: DatasetFacts
    arrays: dict[str, np.ndarray]

    def problem(self, step: dict[str, Any]) -> Problem | None:
        job = {"model": "m", "recipe": {"steps": [step]}, "data": {"dataset": "d"}}
        return refusal(lambda: check(ClosedJob.model_validate(job), self.model, {"d": self.dataset}))

    def compressed(self, step: dict[str, Any], out: Path) -> dict[str, Path]:
        options = Options(
            benchmark=Benchmark(rounds=9),
            processes=InProcess(),
            judging="trial",
            extent=Extent(times=False, weighs=False),
        )
        recipe, data = Recipe.model_validate({"steps": [step]}), Data(whole=self.source)
        compress(self.archive, recipe, data, out, options=options)
        return nets.unpacked(out / "artifact.onnx", out / "after")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("every")
    rng = np.random.default_rng(1)
    arrays = {
        "x": rng.standard_normal((40, 3, nets.WIDTH)).astype(np.float32),
        "flag": np.arange(40)[:, None] < 20,
    }
    np.savez(folder / "rows.npz", **arrays)  # type: ignore[arg-type]
    inputs = {name: {"array": "x"} for name in INPUTS} | {"merged:flag": {"array": "flag"}}
    source = Source(folder / "rows.npz", Declaration.model_validate({"inputs": inputs}))
    archive = nets.zipped(folder / "p.zip", MODELS)
    scratch = [folder / "model", folder / "data"]
    for each in scratch:
        each.mkdir()
    limit = 2**30
    model = inspect_model(
        archive, "onnx_package", [], scratch[0], allow_torchscript=False, max_unpacked_bytes=limit
    )
    dataset = inspect_dataset(source.path, source.declaration, scratch[1], max_unpacked_bytes=limit)
    return World(archive, source, model.facts, dataset, arrays)


def holds(step: dict[str, Any], world: World, out: Path) -> None:
    """It is refused for want of one graph, or does what it says to all of them."""
    if (problem := world.problem(step)) is not None:
        assert problem.code == "one_graph_needed"
        assert step["kind"] in problem.detail
        return
    files = world.compressed(step, out)
    assert {name for name in files if name.endswith(".onnx")} == {*MODELS}
    for name, before in MODELS.items():
        onnx.checker.check_model(str(files[name]), full_check=True)
        after = onnx.load(str(files[name]))
        for ends in ("input", "output"):
            assert names(before, ends) == names(after, ends)
        assert signal_to_noise(before, files[name], world) >= LEAST_DB.get(step["kind"], OTHERS_DB)
    for shared in ("encoder.onnx", "merged.onnx"):
        assert weights(files[shared]) <= weights(files["decoder.onnx"])


def names(model: onnx.ModelProto, ends: str) -> list[str]:
    return [value.name for value in getattr(model.graph, ends)]


def weights(file: Path) -> set[bytes]:
    """What weights there are, whatever they are called: the encoder and the branches have none of their own."""
    arrays = [numpy_helper.to_array(tensor) for tensor in onnx.load(str(file)).graph.initializer]
    return {array.tobytes() for array in arrays if array.nbytes >= MIN_SHARED_BYTES}


def signal_to_noise(before: onnx.ModelProto, after: Path, world: World) -> float:
    """In dB, of the worst output, each branch of an If by itself."""
    worst, x = np.inf, world.arrays["x"]
    half = onnx.load(str(after)).graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT16
    for flag in (np.array([True]), np.array([False])):
        fed = [{"x": y, "past": y, "flag": flag} for y in (x, x.astype(np.float16) if half else x)]
        for one, other in zip(run(before, fed[0]), run(after, fed[1]), strict=True):
            noise = np.square(other.astype(np.float32) - one).sum()
            worst = min(worst, 10 * np.log10(np.square(one).sum() / max(noise, 1e-30)))
    return worst


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_runs_on_a_package_or_is_refused_at_post_by_name(
    kind: str, world: World, tmp_path: Path
) -> None:
    assert is_taken(asked(kind))
    holds(asked(kind), world, tmp_path / "out")


@settings(max_examples=6)
@given(step=st.sampled_from([*chosen(), *MORE]))
def test_so_does_each_with_any_choice_of_its_settings(
    step: dict[str, Any], world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    holds(step, world, tmp_path_factory.mktemp("chosen"))
