"""The MCP server, asked by the SDK's own client: the main job on a real service, and what is told where it fails."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters, stdio_client

from tests.support.digits import DECLARATION, digits
from tests.support.service import WINNOW, Service
from winnow.agents.server import make_server
from winnow.contract.graph_hash import graph_sha256

Ask = Callable[..., Awaitable[dict[str, Any]]]


def asking(client: Client) -> Ask:
    async def ask(tool: str, **arguments: Any) -> dict[str, Any]:
        answer = await client.call_tool(tool, arguments)
        assert not answer.is_error, answer.content
        return dict(answer.structured_content or {})

    return ask


@pytest.mark.integration
def test_an_agent_does_the_main_job_over_stdio(winnow: Service, tmp_path: Path) -> None:
    files = digits(tmp_path, rows=600)
    command, *arguments = [*WINNOW, "mcp", "--folder", str(tmp_path), "--url", winnow.url]
    environment = {"PYTHONPATH": str(Path(__file__).parents[3])}
    parameters = StdioServerParameters(command=command, args=arguments, env=environment)

    async def main() -> None:
        async with Client(stdio_client(parameters)) as client:
            await main_job(asking(client), files.model.name, files.data.name)

    anyio.run(main)
    assert (tmp_path / "small.onnx").stat().st_size < files.model.stat().st_size
    assert (tmp_path / "card.md").read_text().startswith("---\n")


async def main_job(ask: Ask, model_file: str, data_file: str) -> None:
    model = (await ask("upload_model", path=model_file))["id"]
    data = (await ask("upload_dataset", path=data_file, declaration=DECLARATION.model_dump(mode="json")))[
        "id"
    ]
    proposal = await ask("propose_declaration", model=model, dataset=data)
    assert "image" in proposal["declaration"]["inputs"]
    steps = [{"kind": "weight_only", "bits": {"any_of": [8, 4]}}]
    search: dict[str, Any] = {"steps": steps, "trials": 2, "objective": "size", "metric": "top1"}
    wanted = {"model": model, "dataset": data, "require": {"max_metric_drop": 0.2}, **search}
    assert (await ask("dry_run", compression=wanted))["fits"]
    job = (await ask("compress", compression=wanted))["id"]
    while (shown := await ask("wait", job=job, seconds=50))["state"] in ("queued", "running"):
        pass
    assert (shown["state"], shown["outcome"]) == ("succeeded", "accepted")
    report = await ask("report", job=job)
    assert report["metrics"][0]["metric"] == "top1"
    assert report["recipe"]["steps"][0]["kind"] == "weight_only"
    where = (await ask("download", job=job, path="small.onnx"))["file"]
    assert graph_sha256(Path(where)) == report["graph_sha256"]
    await ask("download", job=job, path="card.md", what="card")


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("compress", {"compression": {"model": "mdl_1"}}, "exactly one of steps, preset and auto"),
        ("compress", {"compression": {"model": "mdl_1", "steps": [{"kind": "int7"}]}}, "recipe.steps.0"),
        ("compress", {"compression": {"model": "mdl_1", "auto": True}}, "give search"),
        ("dry_run", {"compression": {"model": "mdl_1", "preset": "huge"}}, "preset"),
        ("upload_model", {"path": "../outside.onnx"}, "lies outside of"),
        ("upload_model", {"path": "link.onnx"}, "lies outside of"),
        ("upload_model", {"path": "missing.onnx"}, "there is no file"),
        ("download", {"job": "job_1", "path": "there.onnx"}, "is not overwritten"),
        ("report", {"job": "job_1"}, "no Winnow service answers"),
        ("step_settings", {"kind": "int7"}, "There is no step 'int7'"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(
    tmp_path: Path, tool: str, arguments: dict[str, Any], told: str
) -> None:
    (tmp_path / "there.onnx").touch()
    (tmp_path / "link.onnx").symlink_to("/etc/hostname")

    async def main() -> Any:
        async with Client(make_server("http://127.0.0.1:9", tmp_path)) as client:
            return await client.call_tool(tool, arguments)

    answer = anyio.run(main)
    assert answer.is_error
    assert told in " ".join(part.text for part in answer.content)


def test_every_step_has_its_settings(tmp_path: Path) -> None:
    async def main() -> tuple[dict[str, Any], dict[str, Any]]:
        async with Client(make_server(None, tmp_path)) as client:
            ask = asking(client)
            return await ask("step_settings"), await ask("step_settings", kind="int8_static")

    kinds, settings = anyio.run(main)
    assert {"int8_static", "channel_pruning", "distillation"} <= kinds.keys()
    assert "percentile" in settings["schema"]["properties"]
