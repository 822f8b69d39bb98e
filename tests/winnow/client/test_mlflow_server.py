"""What a push says where an MLflow server does not do as it should; a real one is in tests/winnow/cli."""

from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from app.api.openapi import corpus
from winnow.client import ClientError
from winnow.client.mlflow_server import MlflowServer
from winnow.contract.report import Report

BUNDLE: Any = SimpleNamespace(
    report=Report.model_validate(corpus()["Report"][0]),
    recipe=SimpleNamespace(job=None),
    text=lambda name: "---\n---\ncard",
)


def pushed(answers: dict[str, httpx.Response]) -> tuple[str, list[str]]:
    """The error of a push to a server that answers so, by the end of the path; and the paths that were asked."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path.rpartition("/")[2])
        return answers[asked[-1]]

    http = httpx.Client(base_url="http://mlflow", transport=httpx.MockTransport(answer))
    with MlflowServer("http://mlflow", http) as server, pytest.raises(ClientError) as caught:
        server.push(BUNDLE, "digits", "a run")
    return str(caught.value), asked


def test_a_refusal_is_told_as_it_is() -> None:
    told, _ = pushed({"get-by-name": httpx.Response(403, text="no   entry")})
    assert told.endswith("HTTP 403, no entry")


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>a page</html>", headers={"Content-Type": "text/html"}),
        httpx.Response(200, json=["another", "service"]),
        httpx.Response(302, headers={"Location": "/login"}),
    ],
)
def test_what_is_no_mlflow_server_is_told_as_that(answer: httpx.Response) -> None:
    told, _ = pushed({"get-by-name": answer})
    assert "does not answer as an MLflow server does" in told


def test_what_is_no_address_is_told_as_that() -> None:
    with pytest.raises(ClientError, match="is not an address"):
        MlflowServer("http://[::1")


def test_artifacts_that_it_does_not_take_fail_the_run() -> None:
    run = {"run": {"info": {"run_id": "r1", "artifact_uri": "s3://bucket/1/r1/artifacts"}}}
    told, asked = pushed(
        {
            "get-by-name": httpx.Response(404),
            "create": httpx.Response(200, json={"experiment_id": "1", **run}),
            "log-batch": httpx.Response(200, json={}),
            "update": httpx.Response(200, json={}),
        }
    )
    assert "--serve-artifacts" in told
    assert asked == ["get-by-name", "create", "create", "log-batch", "update"]
