"""Card, bill of materials and bundle of one finished job, as the API answers them."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from huggingface_hub import ModelCard

from app.api.openapi import corpus
from app.api.zip_stream import ZipMember, zip_length, zipped
from tests.app.api.conftest import ONNX
from tests.app.api.conftest import zipped as npz
from tests.support.facts import dataset_facts, model_facts
from tests.support.served import Served, served
from winnow.client import UnusableFile
from winnow.client.bundle import open_bundle
from winnow.contract.bundle.files import NEEDED
from winnow.contract.bundle.recipe_file import RecipeFile
from winnow.contract.strict_zip import open_zip

SMALL = b"the small model"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, str]]:
    """A service, and the id of its job that has succeeded."""
    with served(tmp_path_factory.mktemp("bundles")) as api:
        model = api.http.post("/v1/models", params={"name": "net | <b>.onnx"}, content=ONNX).json()["id"]
        api.inspected(model, model_facts().model_dump())
        dataset = api.http.post("/v1/datasets", content=npz({"x.npy": b"rows"})).json()["id"]
        api.inspected(dataset, dataset_facts().model_dump())
        step = {"kind": "int8_static", "samples": 64}
        data = {"calibration": {"dataset": dataset, "slice": [0, 64]}, "evaluation": {"dataset": dataset}}
        asked = {"model": model, "recipe": {"steps": [step]}, "data": data, "evaluation": {"metric": "top1"}}
        job = api.http.post("/v1/jobs", json=asked).json()["id"]
        report = blob(api, json.dumps(corpus()["Report"][0]).encode())
        made = {"artifact_sha256": blob(api, SMALL), "artifact_bytes": len(SMALL), "report_sha256": report}
        api.finish(job, state="succeeded", outcome="unchecked", **made)
        yield api, str(job)


def blob(api: Served, content: bytes) -> str:
    writer = api.parts.blobs.writer()
    writer.write(content)
    return writer.commit()[0]


def test_the_card_has_metadata_and_what_was_measured(finished: tuple[Served, str]) -> None:
    api, job = finished
    answer = api.http.get(f"/v1/jobs/{job}/card")
    assert answer.headers["content-type"].startswith("text/markdown; charset=utf-8")
    measured = corpus()["Report"][0]["quality"][0]
    card = ModelCard(answer.text)
    metadata = card.data.to_dict()
    assert (metadata["library_name"], metadata["base_model"]) == ("onnx", "net | <b>")
    assert "license" not in metadata
    assert {"onnx", "winnow", "int8_static"} <= set(metadata["tags"])
    assert card.data.eval_results is not None
    result = card.data.eval_results[0]
    assert (result.metric_type, result.metric_value) == ("accuracy", measured["after"])
    assert r"# net \| \<b\>-winnow" in card.text, "a name is no markup"
    assert f"{measured['before']:.4f} | {measured['after']:.4f}" in card.text
    assert "'input': np.zeros((1, 3, 8, 8), 'float32')" in card.text


def test_the_bill_of_materials_is_cyclonedx_with_all_hashes(finished: tuple[Served, str]) -> None:
    api, job = finished
    answer = api.http.get(f"/v1/jobs/{job}/bom")
    assert answer.headers["content-type"].startswith("application/vnd.cyclonedx+json")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(answer.text) is None
    bom = answer.json()
    report = corpus()["Report"][0]
    artifact = bom["metadata"]["component"]
    assert artifact["hashes"] == [{"alg": "SHA-256", "content": report["artifact_sha256"]}]
    assert artifact["modelCard"]["quantitativeAnalysis"]["performanceMetrics"][0]["type"] == "top1"
    dataset = api.http.get("/v1/datasets").json()["items"][0]
    hashes = [each["hashes"][0]["content"] for each in bom["components"]]
    assert hashes == [report["source_sha256"], dataset["sha256"]]
    tools = {tool["name"]: tool["version"] for tool in bom["metadata"]["tools"]["components"]}
    assert tools["onnxruntime"] == report["environment"]["versions"]["onnxruntime"]


def test_the_bundle_is_a_strict_zip_of_its_files(finished: tuple[Served, str]) -> None:
    api, job = finished
    url = f"/v1/jobs/{job}/bundle"
    answer = api.http.get(url)
    assert answer.headers["content-type"] == "application/zip"
    assert int(answer.headers["content-length"]) == len(answer.content)
    archive = open_zip(io.BytesIO(answer.content))
    assert list(archive.members) == [
        "model.onnx",
        "report.json",
        "README.md",
        "bom.cdx.json",
        "recipe.json",
    ]
    assert archive.read("model.onnx", limit=100) == SMALL
    report = json.loads(archive.read("report.json", limit=10**6))
    assert report["graph_sha256"] == corpus()["Report"][0]["graph_sha256"]
    assert archive.read("README.md", limit=10**6).decode() == api.http.get(f"/v1/jobs/{job}/card").text
    recipe = RecipeFile.model_validate_json(archive.read("recipe.json", limit=10**6))
    assert recipe.job is not None
    assert recipe.job.recipe.steps[0].kind == "int8_static"
    assert [upload.kind for upload in recipe.uploads] == ["model", "dataset"]


@pytest.mark.parametrize("what", ["card", "bom", "bundle"])
def test_the_same_bytes_have_the_same_tag(finished: tuple[Served, str], what: str) -> None:
    api, job = finished
    first, again = (api.http.get(f"/v1/jobs/{job}/{what}") for _ in range(2))
    assert first.content == again.content
    assert first.headers["etag"] == again.headers["etag"]
    told = api.http.get(f"/v1/jobs/{job}/{what}", headers={"If-None-Match": first.headers["etag"]})
    assert (told.status_code, told.content) == (304, b"")
    head = api.http.head(f"/v1/jobs/{job}/{what}")
    assert head.headers["content-length"] == first.headers["content-length"]


@pytest.mark.parametrize("what", ["card", "bom", "bundle"])
def test_a_job_that_waits_has_none(finished: tuple[Served, str], what: str) -> None:
    api, job = finished
    model = api.http.get(f"/v1/jobs/{job}").json()["model"]
    asked = {"model": model, "recipe": {"steps": [{"kind": "float16"}]}}
    waiting = api.http.post("/v1/jobs", json=asked).json()["id"]
    refused = api.http.get(f"/v1/jobs/{waiting}/{what}")
    assert (refused.status_code, refused.json()["code"]) == (409, "job_not_finished")


def test_card_and_bill_of_a_package_name_its_graphs_and_its_bundle_has_its_zip(
    finished: tuple[Served, str], tmp_path: Path
) -> None:
    api, job = finished
    model = api.http.get(f"/v1/jobs/{job}").json()["model"]
    asked = {"model": model, "recipe": {"steps": [{"kind": "palette"}]}}
    packaged = api.http.post("/v1/jobs", json=asked).json()["id"]
    size = {"before": 2, "after": 1, "ratio": 0.5}
    graph = {"graph_sha256": "0" * 64, "size_bytes": size, "latency": [], "parity": []}
    graphs = [graph | {"name": name, "file": f"{name}.onnx"} for name in ("decoder", "encoder")]
    made = {"artifact_sha256": blob(api, SMALL), "artifact_bytes": len(SMALL)}
    packed = {"graphs": graphs, "shared_bytes": size}
    report = {
        **corpus()["Report"][0],
        "package": packed,
        "artifact_sha256": made["artifact_sha256"],
    }
    made["report_sha256"] = blob(api, json.dumps(report).encode())
    api.finish(packaged, state="succeeded", outcome="unchecked", **made)
    card = api.http.get(f"/v1/jobs/{packaged}/card").text
    assert "'decoder': 'decoder.onnx', 'encoder': 'encoder.onnx'" in card
    assert "model.onnx" not in card
    properties = api.http.get(f"/v1/jobs/{packaged}/bom").json()["metadata"]["component"]["properties"]
    assert {"name": "winnow:file", "value": "decoder.onnx, encoder.onnx"} in properties
    (tmp_path / "bundle.zip").write_bytes(api.http.get(f"/v1/jobs/{packaged}/bundle").content)
    with open_bundle(tmp_path / "bundle.zip") as bundle:
        assert list(bundle.archive.members) == ["model.zip", *NEEDED]
        assert bundle.archive.read("model.zip", limit=100) == SMALL
        assert bundle.text("README.md") == card
    with zipfile.ZipFile(tmp_path / "bundle.zip", "a") as archive:
        archive.writestr("model.onnx", b"another")
    with (
        pytest.raises(UnusableFile, match=r"should have model\.zip, and has model\.onnx, model\.zip"),
        open_bundle(tmp_path / "bundle.zip"),
    ):
        pass


@pytest.mark.parametrize("what", ["card", "bom", "bundle"])
def test_a_report_of_another_version_is_no_fault_of_the_service(
    finished: tuple[Served, str], what: str
) -> None:
    api, job = finished
    model = api.http.get(f"/v1/jobs/{job}").json()["model"]
    asked = {"model": model, "recipe": {"steps": [{"kind": "bfloat16"}]}, "name": what}
    older = api.http.post("/v1/jobs", json=asked).json()["id"]
    report = blob(api, json.dumps({**corpus()["Report"][0], "verdict": {"of": "before"}}).encode())
    made = {"artifact_sha256": blob(api, SMALL), "artifact_bytes": len(SMALL), "report_sha256": report}
    api.finish(older, state="succeeded", outcome="unchecked", **made)
    refused = api.http.get(f"/v1/jobs/{older}/{what}")
    assert (refused.status_code, refused.json()["code"]) == (409, "no_artifact")


def test_what_the_zip_holds_is_never_whole_in_memory() -> None:
    chunk, count = bytes(2**16), 64
    member = ZipMember("large", len(chunk) * count, "", lambda: (chunk for _ in range(count)))
    pieces = [len(piece) for piece in zipped([member])]
    assert max(pieces) < 2 * len(chunk)
    assert sum(pieces) == zip_length([member])


def test_any_zip_library_reads_it() -> None:
    members = [ZipMember(name, len(name), "", lambda text=name: [text.encode()]) for name in ("a", "bé")]
    with zipfile.ZipFile(io.BytesIO(b"".join(zipped(members)))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a", "bé"]
