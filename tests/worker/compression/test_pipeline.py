import json
import os
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from tests.support.digits import CALIBRATION, DECLARATION, EVALUATION, Digits, digits
from tests.support.graphs import mlp, soil
from tests.support.in_process import InProcess
from tests.support.openvino import needs_openvino
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Evaluation
from winnow.contract.graph_hash import graph_sha256
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe, Requirements
from winnow.contract.report import Report
from winnow.contract.split import rows_of
from worker.compression.data.source import Data, Source
from worker.compression.onnx_files.sizes import sha256_of
from worker.compression.options import Options
from worker.compression.pipeline import compress
from worker.compression.progress import Silent

QUICK = Benchmark(rounds=9)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return digits(tmp_path_factory.mktemp("digits"))


def recipe(*kinds: str) -> Recipe:
    return Recipe.model_validate({"steps": [{"kind": kind} for kind in kinds]})


def data(files: Digits, evaluation: tuple[int, int] = EVALUATION) -> Data:
    return Data(
        calibration=Source(files.data, DECLARATION, CALIBRATION),
        evaluation=Source(files.data, DECLARATION, evaluation),
    )


def options(**require: float) -> Options:
    return Options(Evaluation(metric="top1"), Requirements(**require), QUICK, processes=InProcess())


@pytest.fixture(scope="module")
def done(files: Digits, tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    """int8_static on the digits, asked to lose at most 5 points of top-1 and to be at most 0.55 of the size."""
    out = tmp_path_factory.mktemp("out")
    asked = options(max_metric_drop=0.05, max_size_ratio=0.55)
    return compress(files.model, recipe("int8_static"), data(files), out, options=asked), out


def test_facts_of_robustness_are_in_every_report(done: tuple[Report, Path]) -> None:
    """Static quantization depends on no neighbour; the evaluation rows are those that nothing was chosen by."""
    report, _ = done
    facts = report.robustness
    assert facts is not None
    assert facts.neighbours.after is not None
    assert (facts.neighbours.samples, facts.neighbours.data) == (4, "evaluation")
    assert not facts.neighbours.after.depends
    assert (facts.padding.after, facts.without_vnni.layers) == (None, 3)
    assert (facts.unseen.part, facts.unseen.samples) == ("evaluation", EVALUATION[1] - EVALUATION[0])
    assert facts.unseen.drop == report.quality[0].drop
    told = report.latency[0].untold is None
    assert (facts.noise.told_from is not None) == told


def test_what_really_runs_is_in_every_report(done: tuple[Report, Path]) -> None:
    arithmetic = done[0].arithmetic
    assert arithmetic is not None
    assert arithmetic.before is not None
    assert arithmetic.after is not None
    assert (arithmetic.before.integer_macs, arithmetic.after.integer_macs) == (0, 1)
    assert "all multiply-accumulates of the result in integers" in arithmetic.says


def test_rows_that_calibrated_are_left_out_of_what_nothing_was_chosen_by(
    files: Digits, tmp_path: Path
) -> None:
    sources = data(files, (CALIBRATION[1] - 30, CALIBRATION[1] + 50))
    brief = options()
    report = compress(files.model, recipe("int8_static"), sources, tmp_path, options=brief)
    assert report.robustness is not None
    unseen = report.robustness.unseen
    assert (unseen.part, unseen.samples) == ("remaining", 50)
    assert not report.quality[0].held_out
    assert report.quality[0].samples == 80


def test_the_artifact_runs_and_agrees_with_the_report(done: tuple[Report, Path], files: Digits) -> None:
    """The report's top-1 is what ONNX Runtime gives for the written file, to 1e-9."""
    report, out = done
    with np.load(files.data) as archive:
        images = archive["images"][slice(*EVALUATION), None].astype(np.float32) / 16
        labels = archive["labels"][slice(*EVALUATION)]
    session = ort.InferenceSession(str(out / "artifact.onnx"), providers=["CPUExecutionProvider"])
    predicted = np.asarray(session.run(None, {"image": images})[0]).argmax(1)
    assert report.quality[0].after == pytest.approx((predicted == labels).mean(), abs=1e-9)
    assert report.quality[0].samples == len(labels)
    assert report.quality[0].held_out


def test_the_report_states_sizes_hashes_and_what_was_quantized(
    done: tuple[Report, Path], files: Digits
) -> None:
    report, out = done
    artifact = out / "artifact.onnx"
    assert report.size_bytes.before == files.model.stat().st_size
    assert report.size_bytes.after == artifact.stat().st_size
    assert report.source_sha256 == sha256_of(files.model)
    assert report.artifact_sha256 == sha256_of(artifact)
    assert report.steps[0].changed == report.steps[0].candidates == 3
    assert [layer.after_dtype for layer in report.layers] == ["int8"] * 3
    assert report.opset.before == report.opset.after == 17
    assert Report.model_validate_json((out / "report.json").read_text()) == report


def test_a_trained_network_keeps_its_accuracy_and_meets_what_was_asked(done: tuple[Report, Path]) -> None:
    """The classifier is worth compressing (top-1 above 0.9), and int8 loses at most 5 points of it."""
    report, _ = done
    assert report.quality[0].before > 0.9
    assert report.outcome == "accepted"
    assert {entry.name: entry.met for entry in report.requirements} == {
        "max_metric_drop": True,
        "max_size_ratio": True,
    }


def test_the_artifact_says_where_it_comes_from(done: tuple[Report, Path], files: Digits) -> None:
    _, out = done
    facts = {prop.key: prop.value for prop in onnx.load(str(out / "artifact.onnx")).metadata_props}
    assert facts["winnow.source_sha256"] == sha256_of(files.model)
    assert Recipe.model_validate_json(facts["winnow.recipe"]) == recipe("int8_static")
    assert "top1" in " ".join(facts)


@pytest.mark.parametrize("kind", ["palette"])
def test_the_same_request_gives_the_same_graph_and_says_its_hash(
    files: Digits, tmp_path: Path, kind: str
) -> None:
    """Report, metadata and file tell one `graph_sha256`; nothing was required, so it is unchecked."""
    reports = []
    for run in ("first", "second"):
        given = Data(calibration=Source(files.data, DECLARATION, (0, 64)))
        reports.append(
            compress(
                files.model,
                recipe(kind),
                given,
                tmp_path / run,
                options=Options(benchmark=QUICK, processes=InProcess()),
            )
        )
        artifact = tmp_path / run / "artifact.onnx"
        facts = {prop.key: prop.value for prop in onnx.load(str(artifact)).metadata_props}
        assert facts["winnow.graph_sha256"] == reports[-1].graph_sha256 == graph_sha256(artifact)
    first, second = reports
    assert first.graph_sha256 == second.graph_sha256
    assert first.outcome == "unchecked"


@pytest.mark.parametrize("kind", ["weight_only", "palette"])
def test_layers_tell_what_was_and_what_is_of_packed_weights_too(
    files: Digits, tmp_path: Path, kind: str
) -> None:
    """4 bits are an eighth of float32; nothing was taken out, and every layer's multiplications are known."""
    report = compress(
        files.model, recipe(kind), Data(), tmp_path, options=Options(benchmark=QUICK, processes=InProcess())
    )
    assert report.macs is not None
    assert report.macs.ratio == 1
    for layer in report.layers:
        assert layer.macs is not None
        assert (layer.parameters.ratio, layer.macs.ratio, layer.size_bytes.ratio) == (1, 1, 1 / 8)


def test_what_the_measurement_would_refuse_is_refused_before_the_first_step(
    files: Digits, tmp_path: Path
) -> None:
    """An output that is not there: known at the start, and no step is begun."""

    class Steps(Silent):
        begun: ClassVar[list[str]] = []

        def step(self, index: int, kind: str) -> None:
            self.begun.append(kind)

    asked = Options(Evaluation(metric="top1", output="nothing"), benchmark=QUICK)
    with pytest.raises(Refusal, match="no output 'nothing'"):
        compress(files.model, recipe("float16"), data(files), tmp_path, Steps(), options=asked)
    assert Steps.begun == []


def test_an_unreachable_requirement_is_told_and_the_artifact_is_there_all_the_same(
    files: Digits, tmp_path: Path
) -> None:
    report = compress(
        files.model, recipe("float16"), data(files), tmp_path, options=options(max_size_ratio=0.01)
    )
    (entry,) = report.requirements
    assert report.outcome == "requirements_not_met"
    assert not entry.met
    assert entry.why
    assert entry.measured == report.size_bytes.ratio
    onnx.checker.check_model(str(tmp_path / "artifact.onnx"))


def test_where_the_float_model_wins_the_artifact_is_the_tidied_upload(files: Digits, tmp_path: Path) -> None:
    """max_drop 0 by the outputs: no candidate keeps it. Node names, opset and order are the upload's; no byte more."""
    never = Recipe.model_validate({"steps": [{"kind": "int8", "max_drop": 0.0, "samples": 64}]})
    unlabelled = data(files).calibration
    asked = Options(None, Requirements(max_size_ratio=0.5), QUICK, processes=InProcess())
    report = compress(files.model, never, Data(calibration=unlabelled), tmp_path, options=asked)
    before, after = onnx.load(str(files.model)), onnx.load(str(tmp_path / "artifact.onnx"))
    assert [(n.op_type, n.name, list(n.input)) for n in after.graph.node] == [
        (n.op_type, n.name, list(n.input)) for n in before.graph.node
    ]
    assert report.size_bytes.after <= report.size_bytes.before
    assert (report.steps[0].changed, report.steps[0].candidates) == (0, 3)
    assert report.verdict.recommend == "keep_original"
    assert report.outcome == "requirements_not_met"
    assert [(entry.name, entry.met) for entry in report.requirements] == [("max_size_ratio", False)]


def test_rows_that_calibrated_are_not_held_out(files: Digits, tmp_path: Path) -> None:
    report = compress(
        files.model, recipe("int8_static"), data(files, (1100, 1300)), tmp_path, options=options()
    )
    assert not report.quality[0].held_out


def test_rows_that_trained_are_not_held_out(files: Digits, tmp_path: Path) -> None:
    """Only where a step trains."""
    source = Source(files.data, DECLARATION, (1100, 1300))
    given = Data(training=source, evaluation=source)
    step = {"kind": "finetune", "steps": 1, "batch_size": 8, "learning_rate": 1e-5}
    for steps, held_out in ([step], False), ([{"kind": "float16"}], True):
        asked = Recipe.model_validate({"steps": steps})
        report = compress(files.model, asked, given, tmp_path / steps[0]["kind"], options=options())
        assert report.quality[0].held_out == held_out


def test_training_without_data_is_refused(files: Digits, tmp_path: Path) -> None:
    with pytest.raises(Refusal) as caught:
        compress(files.model, recipe("finetune"), data(files), tmp_path, options=options())
    assert (caught.value.problem.code, caught.value.problem.field) == ("missing_data", "data.training")


def test_steps_are_done_in_order_and_both_reported(files: Digits, tmp_path: Path) -> None:
    report = compress(
        files.model, recipe("int8_dynamic", "float16"), data(files), tmp_path, options=options()
    )
    assert [step.kind for step in report.steps] == ["int8_dynamic", "float16"]


class Recorder:
    """Progress, kept."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, str]] = []
        self.fractions: list[float] = []
        self.messages: list[str] = []

    def step(self, index: int, kind: str) -> None:
        self.steps.append((index, kind))

    def advance(self, fraction: float) -> None:
        self.fractions.append(fraction)

    def log(self, message: str, level: str = "info", **values: Any) -> None:
        self.messages.append(message)


def test_a_second_attempt_goes_on_after_the_last_checkpoint(files: Digits, tmp_path: Path) -> None:
    first, second = Recorder(), Recorder()
    reports = [
        compress(files.model, recipe("int8_static"), data(files), tmp_path, progress, options=options())
        for progress in (first, second)
    ]
    assert first.steps == [(0, "int8_static"), (1, "measure")]
    assert second.steps == [(1, "measure")]
    assert reports[0].steps == reports[1].steps
    assert all(0 <= fraction <= 1 for fraction in first.fractions + second.fractions)


def test_a_checkpoint_of_another_recipe_is_not_taken(files: Digits, tmp_path: Path) -> None:
    compress(files.model, recipe("float16"), data(files), tmp_path, options=options())
    progress = Recorder()
    compress(files.model, recipe("int8_static"), data(files), tmp_path, progress, options=options())
    assert (0, "int8_static") in progress.steps


def test_debug_records_are_gone_and_their_bytes_told(tmp_path: Path) -> None:
    """No trace of the author's folders is left in the artifact; the class names stay."""
    path = tmp_path / "dirty.onnx"
    model = mlp()
    soil(model)
    model.metadata_props.add(key="names", value="cat,dog")
    onnx.save(model, path)
    report = compress(
        path,
        recipe("float16"),
        Data(),
        tmp_path / "out",
        options=Options(benchmark=QUICK, processes=InProcess()),
    )
    artifact = onnx.load(str(tmp_path / "out" / "artifact.onnx"))
    assert report.tidied_bytes > 0
    assert b".py" not in artifact.SerializeToString()
    assert {prop.key: prop.value for prop in artifact.metadata_props}["names"] == "cat,dog"


def test_missing_labels_are_refused_with_a_sentence(files: Digits, tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refused:
        compress(files.model, recipe("int8_static"), Data(), tmp_path, options=options())
    assert refused.value.problem.code == "missing_data"


def test_the_command_line_does_int8_jobs_without_asking_for_torch(files: Digits, tmp_path: Path) -> None:
    """`python -m worker.compression`, with torch made impossible to import; nor is scikit-learn, by the steps alone and
    by measuring. So is `int8_dynamic` done, and a model inspected."""
    files.data.with_suffix(".json").write_text(DECLARATION.model_dump_json())
    job = {
        "model": str(files.model),
        "recipe": {"steps": [{"kind": "int8_static"}]},
        "benchmark": {"rounds": 9},
        "data": {
            "calibration": {"dataset": str(files.data), "slice": CALIBRATION},
            "evaluation": {"dataset": str(files.data), "slice": EVALUATION},
        },
        "evaluation": {"metric": "top1"},
    }
    (tmp_path / "job.json").write_text(json.dumps(job))
    (tmp_path / "scratch").mkdir()
    code = """if True:
        import sys, importlib.abc as abc, pathlib
        tried = []
        class NoTorch(abc.MetaPathFinder):
            def find_spec(self, name, path, target=None):
                if name.split('.')[0] == 'torch':
                    tried.append(name)
                    raise ImportError('torch is not to be had')
        sys.meta_path.insert(0, NoTorch())
        import worker.compression.apply, worker.compression.measure.compare
        assert 'sklearn' not in sys.modules
        from worker.compression.__main__ import main
        model = pathlib.Path(sys.argv[1])
        sys.argv = ['worker.compression', 'job.json', '--out', 'out']
        assert main() == 0
        from winnow.contract.recipe import Recipe
        from worker.compression.data.source import Data
        from worker.compression.measure.extent import Extent
        from worker.compression.options import Options
        from worker.compression.pipeline import compress
        from worker.compression.upload.inspection import inspect_model
        untimed = Options(extent=Extent(times=False, weighs=False))
        recipe = Recipe.model_validate({'steps': [{'kind': 'int8_dynamic'}]})
        report = compress(model, recipe, Data(), pathlib.Path('dynamic'), options=untimed)
        assert report.steps[0].changed
        scratch = pathlib.Path('scratch')
        inspect_model(model, 'onnx', [], scratch, allow_torchscript=False, max_unpacked_bytes=10**9)
        assert not tried, tried"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    ended = subprocess.run(
        [sys.executable, "-c", code, files.model],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment,
    )
    assert ended.returncode == 0, ended.stderr
    assert any(word.endswith("out/artifact.onnx") for word in ended.stdout.split())
    for folder in ("out", "dynamic"):
        assert (tmp_path / folder / "artifact.onnx").exists()
        assert (tmp_path / folder / "report.json").exists()


def test_the_command_line_answers_what_cannot_be_done_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "job.json").write_text(
        '{"model": "nothing.onnx", "recipe": {"steps": [{"kind": "float16"}]}}'
    )
    monkeypatch.setattr(sys, "argv", ["", str(tmp_path / "job.json"), "--out", str(tmp_path)])
    monkeypatch.delitem(sys.modules, "worker.compression.__main__", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("worker.compression", run_name="__main__", alter_sys=True)
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "nothing.onnx" in said
    assert "Traceback" not in said


def test_one_dataset_is_enough(files: Digits, tmp_path: Path) -> None:
    """Calibrated on half of it and judged on a quarter that nothing has seen; run again, it is the same artifact."""
    whole = Data(whole=Source(files.data, DECLARATION))
    first = compress(files.model, recipe("int8_static"), whole, tmp_path / "a", options=options())
    again = compress(files.model, recipe("int8_static"), whole, tmp_path / "b", options=options())
    assert first.split is not None
    assert first.split == again.split
    assert first.split.stratified
    assert sum(first.split.counts.values()) == first.split.samples == 1797
    assert first.quality[0].samples == first.split.counts["final"]
    assert first.quality[0].held_out
    assert first.graph_sha256 == again.graph_sha256
    with np.load(files.data) as archive:
        rows = rows_of(first.split, "final")
        images = archive["images"][rows, None].astype(np.float32) / 16
        labels = archive["labels"][rows]
    session = ort.InferenceSession(str(tmp_path / "a" / "artifact.onnx"), providers=["CPUExecutionProvider"])
    predicted = np.asarray(session.run(None, {"image": images})[0]).argmax(1)
    assert first.quality[0].after == pytest.approx((predicted == labels).mean(), abs=1e-9)


@needs_openvino
@pytest.mark.usefixtures("openvino_tried")
def test_everything_is_measured_on_the_target(files: Digits, tmp_path: Path) -> None:
    asked = replace(options(max_metric_drop=0.05), target="openvino-cpu")
    report = compress(files.model, recipe("int8_static"), data(files), tmp_path, options=asked)
    assert [entry.provider for entry in report.latency] == ["OpenVINO CPU"]
    assert "openvino" in report.environment.versions
    assert (report.outcome, report.peak_rss_bytes.after > 0) == ("accepted", True)
    assert [(entry.runtime, entry.loads) for entry in report.portability][:2] == [
        ("onnxruntime-no-contrib", True),
        ("openvino-cpu", True),
    ]
    assert report.target is None


def test_a_target_of_rules_is_told_before_and_after_and_timed_on_what_is_here(
    files: Digits, tmp_path: Path
) -> None:
    asked = replace(options(max_metric_drop=0.05), checked="tensorrt")
    report = compress(files.model, recipe("int8_static"), data(files), tmp_path, options=asked)
    assert [entry.provider for entry in report.latency] == ["CPUExecutionProvider"]
    assert report.target is not None
    assert (report.target.target, report.target.timed_on) == ("tensorrt", "onnxruntime-cpu")
    assert (report.target.before.runs, report.target.after.runs) == (True, True)
    assert report.target.after.nodes > report.target.before.nodes
    assert any("checked by rules" in note and "timed on onnxruntime-cpu" in note for note in report.notes)
    loads = {entry.runtime: entry.loads for entry in report.portability}
    assert (loads["tensorrt"], loads["coreml"]) == (True, True)
    assert loads["qnn"] is False, "its batch size varies"


def test_a_target_of_rules_that_cannot_run_the_model_is_refused_before_any_work(
    files: Digits, tmp_path: Path
) -> None:
    asked = replace(options(), checked="qnn")
    with pytest.raises(Refusal) as refused:
        compress(files.model, recipe("float16"), data(files), tmp_path, options=asked)
    problem = refused.value.problem
    assert (problem.code, problem.field) == ("target_cannot_run", "target")
    assert "leaves" in problem.detail


def test_a_step_that_writes_only_what_a_target_of_rules_does_not_take_is_refused_before_any_work(
    files: Digits, tmp_path: Path
) -> None:
    asked = replace(options(), checked="tensorrt")
    with pytest.raises(Refusal, match="tensorrt takes no DynamicQuantizeLinear") as refused:
        compress(files.model, recipe("int8_dynamic"), data(files), tmp_path, options=asked)
    assert refused.value.problem.field == "recipe.steps.0"


def test_a_result_that_a_target_of_rules_refuses_is_not_accepted_and_not_recommended(
    files: Digits, tmp_path: Path
) -> None:
    """TensorRT takes no zero points but 0, which this step's own target has."""
    asked = replace(options(max_metric_drop=0.5), checked="tensorrt")
    step = Recipe.model_validate({"steps": [{"kind": "int8_static", "target": "cpu_vnni"}]})
    report = compress(files.model, step, data(files), tmp_path, options=asked)
    assert report.target is not None
    assert not report.target.after.runs
    missed = {entry.name: entry.why for entry in report.requirements if not entry.met}
    assert report.outcome == "requirements_not_met"
    assert missed.keys() == {"runs_on_target"}
    assert "The target tensorrt cannot run the result" in (missed["runs_on_target"] or "")
    assert report.verdict.recommend == "keep_original"
    assert "The target tensorrt cannot run the result" in report.verdict.because
