"""The float model is a candidate of every step that chooses: no larger file, unless it is told to be faster."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.graphs import node
from tests.support.in_process import InProcess
from tests.support.small_nets import model_of, run, samples
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from worker.compression.data.source import Data
from worker.compression.float_candidate import apply_or_keep
from worker.compression.onnx_files import model_files
from worker.compression.options import Options
from worker.compression.pipeline import ARTIFACT, compress
from worker.compression.progress import Silent
from worker.compression.steps.context import Context

STEPS: tuple[dict[str, Any], ...] = (
    {"kind": "weight_only"},
    {"kind": "weight_only", "bits": 2},
    {"kind": "palette", "colors": 4},
    {"kind": "binary"},
    {"kind": "bfloat16"},
    {"kind": "low_rank", "rank": "macs", "amount": 0.4},
    {"kind": "low_rank", "rank": "energy", "energy": 0.9},
    {"kind": "low_rank", "rank": "vbmf"},
    {"kind": "channel_pruning", "amount": 0.3, "criterion": "l2"},
    {"kind": "int8_static", "exclude": "auto", "samples": 8},
)


def small(kind: str, width: int) -> ir.Model:
    """Two layers of so few weights that most of what a step does to them takes more bytes than it saves."""
    rng = np.random.default_rng(width)
    conv = kind == "Conv"
    shapes = {"w": (width, 4, *[3, 3] * conv), "v": (3, width, *[1, 1] * conv)}
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    more: dict[str, Any] = {} if conv else {"transB": 1}
    nodes = [node(kind, "x w", "a", "one", **more), node("Relu", "a", "r", "relu")]
    nodes.append(node(kind, "r v", "y", "two", **more))
    inner, outer = ([4, 6, 6], [3, 4, 4]) if conv else ([4], [3])
    return model_of(nodes, {"x": ["N", *inner]}, {"y": ["N", *outer]}, weights)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: " ".join(map(str, step.values())))
@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["Gemm", "Conv"]), width=st.sampled_from([2, 9, 40]))
def test_no_file_grows_unless_it_is_told_to_be_faster(
    step: dict[str, Any], kind: str, width: int, tmp_path: Path
) -> None:
    net = small(kind, width)
    x = np.random.default_rng(1).normal(size=(16, 4, *[6, 6] * (kind == "Conv"))).astype(np.float32)
    (parsed,) = Recipe.model_validate({"steps": [step]}).steps
    with TemporaryDirectory(dir=tmp_path) as folder:
        context = Context(Path(folder), 0, Silent(), samples(Path(folder), net, x=x))
        made = apply_or_keep(net.clone(), parsed, context)
        packed = step["kind"] in ("palette", "binary")
        grew = context.file_bytes(made.model, packed=packed) > context.file_bytes(net)
    assert not grew or any("measurably faster" in note for note in made.notes)
    if not made.changed:
        assert made.candidates >= 1
        assert any("stays as it was" in note for note in made.notes)
        assert np.array_equal(run(net, {"x": x}), run(made.model, {"x": x}))


def test_the_job_succeeds_with_the_upload_and_the_missed_target(tmp_path: Path) -> None:
    model_files.save(small("Gemm", 6), path := tmp_path / "model.onnx")
    recipe = Recipe.model_validate({"steps": [{"kind": "low_rank", "rank": "energy", "energy": 0.99}]})
    report = compress(
        path,
        recipe,
        Data(),
        tmp_path / "out",
        options=Options(benchmark=Benchmark(rounds=9), processes=InProcess()),
    )
    assert (report.steps[0].changed, report.outcome) == (0, "unchecked")
    assert report.verdict.recommend == "keep_original"
    assert (tmp_path / "out" / ARTIFACT).stat().st_size <= path.stat().st_size
