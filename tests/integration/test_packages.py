"""An encoder-decoder with a cache, three graphs as exporters write them: over HTTP, compressed, run token by token."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from tests.support import seq2seq
from tests.support.packages import pair, unpacked, zipped
from tests.support.service import Service
from winnow.cli.commands import commands
from winnow.client import Client, ServiceProblem
from winnow.contract.graph_hash import graph_sha256
from winnow.contract.report import Report

pytestmark = pytest.mark.integration
SOURCES = seq2seq.reversals(20, 10**6)[0].numpy()
OWN_GRAPHS = ["decoder", "decoder_with_past", "encoder"]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    config = {"model_type": "reversal"}
    return zipped(folder / "reversal.zip", seq2seq.files(), config__json=json.dumps(config).encode())


@pytest.fixture(scope="module")
def tokens(package: Path, tmp_path_factory: pytest.TempPathFactory) -> list[list[int]]:
    answers = seq2seq.greedy(unpacked(package, tmp_path_factory.mktemp("before")), SOURCES)
    assert answers == [[*source[::-1], seq2seq.END] for source in SOURCES.tolist()]
    return answers


@pytest.mark.parametrize(
    ("step", "most"), [({"kind": "int8_dynamic"}, 0.3), ({"kind": "weight_only", "bits": 4}, 0.25)]
)
def test_a_package_comes_back_as_its_graphs_which_answer_with_the_same_tokens(
    step: dict[str, object],
    most: float,
    winnow: Service,
    package: Path,
    tokens: list[list[int]],
    tmp_path: Path,
) -> None:
    with Client(winnow.url) as client:
        model = client.upload_model(package)
        assert model.format == "onnx_package"
        assert model.graphs is not None
        assert [graph.name for graph in model.graphs] == OWN_GRAPHS
        job = client.submit(model=model.id, recipe={"steps": [step]}, benchmark={"rounds": 9})
        done = client.wait(job.id, timeout=240)
        assert done.state == "succeeded", done.problem
        report = client.report(job.id)
        file = client.download(job.id, tmp_path)
    assert file.name == f"{job.id}.zip"
    files = unpacked(file, tmp_path / "after")
    assert sorted(files) == ["config.json", *(f"{name}.onnx" for name in OWN_GRAPHS), "shared.weights"]
    assert done.graph_sha256 == report.graph_sha256 == graph_sha256(file)
    assert report.size_bytes.ratio is not None
    assert report.size_bytes.ratio < most
    _check_rows(report, files)
    _check_shared(files)
    assert seq2seq.greedy(files, SOURCES) == tokens


def _check_rows(report: Report, files: dict[str, Path]) -> None:
    assert report.package is not None
    assert [graph.name for graph in report.package.graphs] == OWN_GRAPHS
    for graph in report.package.graphs:
        assert graph.graph_sha256 == graph_sha256(files[graph.file])
        assert graph.latency[0].rounds >= 9
        assert graph.size_bytes.after < graph.size_bytes.before
        outputs = {
            value.name for value in onnx.load(str(files[graph.file]), load_external_data=False).graph.output
        }
        assert {entry.output for entry in graph.parity} == outputs


def _check_shared(files: dict[str, Path]) -> None:
    """No weight of any size lies in two files: what the decoders share is quantized once."""
    seen: dict[bytes, str] = {}
    for name in OWN_GRAPHS:
        for tensor in onnx.load(str(files[f"{name}.onnx"]), load_external_data=False).graph.initializer:
            if len(tensor.raw_data) >= 1024:
                assert seen.setdefault(tensor.raw_data, name) == name
    size = files["shared.weights"].stat().st_size
    assert size > 0.3 * sum(file.stat().st_size for file in files.values())


def test_answers_token_by_token_calibrate_and_are_compared(
    winnow: Service, package: Path, tokens: list[list[int]], tmp_path: Path
) -> None:
    sources, targets = seq2seq.reversals(40, 10**6)
    arrays = {"ids": sources.numpy(), "mask": np.ones(sources.shape, np.int64), "labels": targets.numpy()}
    np.savez(tmp_path / "reversals.npz", **arrays)
    inputs = {"encoder:input_ids": {"array": "ids"}, "encoder:attention_mask": {"array": "mask"}}
    generate = {
        "start_token": seq2seq.START, "end_token": seq2seq.END, "max_tokens": 10,
        "first": "decoder", "then": "decoder_with_past",
        "feeds": {"encoder.last_hidden_state": "decoder.encoder_hidden_states"},
    }  # fmt: skip
    with Client(winnow.url) as client:
        model = client.upload_model(package).id
        declaration = {"inputs": inputs, "targets": {"array": "labels"}}
        data = client.upload_dataset(tmp_path / "reversals.npz", declaration=declaration).id
        asked = {"model": model, "data": {"dataset": data}, "benchmark": {"rounds": 9}}
        gptq = {"steps": [{"kind": "weight_only", "bits": 4, "method": "gptq"}]}
        wrong = {**generate, "feeds": {"encoder.states": "decoder.encoder_hidden_states"}}
        with pytest.raises(ServiceProblem) as refused:
            client.submit(**asked, recipe=gptq, generate=wrong)
        problem = refused.value.problem
        assert (problem.code, problem.field) == ("unknown_output", "generate.feeds.encoder.states")
        job = client.submit(**asked, recipe=gptq, generate=generate)
        done = client.wait(job.id, timeout=300)
        assert done.state == "succeeded", done.problem
        report = client.report(job.id)
        files = unpacked(client.download(job.id, tmp_path), tmp_path / "after")
    assert report.package is not None
    generation = report.package.generation
    assert generation is not None
    assert (generation.samples, generation.tokens) == (10, 10 * (seq2seq.LONGEST + 1))
    assert generation.token_agreement == generation.equal_answers == 1.0
    assert generation.perplexity is not None
    assert 1.0 <= generation.perplexity.before < generation.perplexity.after < 1.1
    assert (generation.speedup is None) == (generation.untold is not None)
    assert all(entry.data == "evaluation" and entry.samples == 10 for entry in report.parity)
    assert seq2seq.greedy(files, SOURCES) == tokens


def test_its_bundle_is_done_again_to_the_same_graphs(winnow: Service, tmp_path: Path) -> None:
    package = zipped(tmp_path / "package.zip", pair())
    with Client(winnow.url) as client:
        model = client.upload_model(package).id
        job = client.submit(
            model=model, recipe={"steps": [{"kind": "float16"}]}, benchmark={"rounds": 9}, seed=1
        )
        report = client.report(client.wait(job.id, timeout=240).id)
        bundle = client.download_bundle(job.id, tmp_path / "bundle.zip")
    again = CliRunner().invoke(commands, ["replay", str(bundle), str(package), "--url", winnow.url, "--json"])
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["graph_sha256"]["now"] == report.graph_sha256
    other = zipped(tmp_path / "other.zip", {**pair(), "third.onnx": pair()["encoder.onnx"]})
    refused = CliRunner().invoke(commands, ["replay", str(bundle), str(other), "--url", winnow.url])
    assert (refused.exit_code, "the bundle was made of" in " ".join(refused.stderr.split())) == (1, True)


def test_what_trains_and_searches_is_refused_at_the_door(winnow: Service, package: Path) -> None:
    with Client(winnow.url) as client:
        model = client.upload_model(package).id
        with pytest.raises(ServiceProblem) as refused:
            client.submit(model=model, recipe={"steps": [{"kind": "finetune"}]})
        problem = refused.value.problem
        assert (problem.code, problem.field) == ("one_graph_needed", "recipe.steps.0.kind")
        search = {"objective": "size", "budget": {"trials": 3}}
        with pytest.raises(ServiceProblem) as refused:
            client.submit(model=model, recipe={"auto": {}}, search=search)
        assert (refused.value.problem.code, refused.value.problem.field) == ("one_graph_needed", "recipe")


def test_the_command_line_and_patterns_of_one_graph(
    winnow: Service, package: Path, tokens: list[list[int]], tmp_path: Path
) -> None:
    asked = [
        "run",
        str(package),
        "--url",
        winnow.url,
        "--step",
        "int8_dynamic exclude=encoder:*",
    ]
    result = CliRunner().invoke(commands, [*asked, "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "decoder_with_past" in result.stdout
    files = unpacked(tmp_path / "reversal.small.zip", tmp_path / "after")
    before = unpacked(package, tmp_path / "before")
    for name, integers in (("encoder", False), ("decoder", True)):
        operators = {node.op_type for node in onnx.load(str(files[f"{name}.onnx"])).graph.node}
        assert any("Integer" in operator for operator in operators) == integers
    encoded = [seq2seq.encoded(each["encoder.onnx"], SOURCES) for each in (before, files)]
    np.testing.assert_allclose(*encoded, atol=1e-4)
    assert seq2seq.greedy(files, SOURCES) == tokens
