import os
import socket
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.http import answering, break_off, send
from winnow.client import Client, ClientError, ServiceProblem, ServiceUnreachable, UnexpectedAnswer
from winnow.contract.errors import Refusal
from winnow.contract.job import JobRequest
from winnow.contract.recipe import Int8Dynamic, Recipe

REQUEST = JobRequest(model="mdl_1", recipe=Recipe(steps=[Int8Dynamic(kind="int8_dynamic")]))


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_nobody_there_is_said_with_the_address() -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    with pytest.raises(ServiceUnreachable, match=url):
        Client(url).job("job_1")


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999", "http://[", "ftp://127.0.0.1", ""])
def test_what_is_no_address_is_a_client_error(url: str) -> None:
    with pytest.raises(ClientError):
        Client(url).job("job_1")


@pytest.mark.parametrize("status", [200, 404, 500])
@pytest.mark.parametrize("body", [b"<html>hello</html>", b"", b"[]", b'{"items": 3}'])
def test_something_else_that_answers_is_told_from_a_service(status: int, body: bytes) -> None:
    with answering(lambda handler: send(handler, status, body)) as url, Client(url) as client:
        for ask in (client.job, client.model, client.report, lambda _: list(client.jobs())):
            with pytest.raises(UnexpectedAnswer):
                ask("job_1")


def test_a_problem_arrives_with_all_it_says() -> None:
    problem = Refusal("model_not_ready", "Wait until it is ready.", field="model").problem
    body = problem.model_dump_json().encode()
    with answering(lambda handler: send(handler, 409, body)) as url, pytest.raises(ServiceProblem) as caught:
        Client(url).submit(REQUEST)
    assert caught.value.problem == problem
    assert (caught.value.code, caught.value.status) == ("model_not_ready", 409)
    assert str(caught.value) == "Wait until it is ready. (field: model) [model_not_ready]"


def test_a_submission_is_repeated_with_the_same_key_when_the_answer_is_lost() -> None:
    keys: list[str] = []

    def lose(handler: BaseHTTPRequestHandler) -> None:
        keys.append(handler.headers["idempotency-key"])
        break_off(handler)

    with answering(lose) as url, pytest.raises(ServiceUnreachable):
        Client(url).submit(REQUEST)
    assert len(keys) == 3
    assert len(set(keys)) == 1


def test_a_retry_of_a_job_is_not_sent_twice() -> None:
    asked: list[str] = []

    def lose(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        break_off(handler)

    with answering(lose) as url, pytest.raises(ServiceUnreachable):
        Client(url).retry("job_1")
    assert asked == ["/v1/jobs/job_1/retry"]


def test_an_id_cannot_leave_its_place_in_the_path() -> None:
    asked: list[str] = []

    def note(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        send(handler, 404)

    with answering(note) as url, pytest.raises(UnexpectedAnswer):
        Client(url).job("../models?x=1#y")
    assert asked == ["/v1/jobs/..%2Fmodels%3Fx%3D1%23y"]


def test_a_file_name_of_any_bytes_can_be_sent(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"n\xff" + b"x" * 210 + b".onnx")
    path.write_bytes(b"model")
    asked: list[str] = []

    def note(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        send(handler, 404)

    with answering(note) as url, pytest.raises(UnexpectedAnswer):
        Client(url).upload_model(path)
    assert parse_qs(urlsplit(asked[0]).query)["name"] == ["n\ufffd" + "x" * 198]


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    with answering(lambda handler: send(handler, 200, b'{"items": [], "next": null}')) as url:
        assert list(Client(url).jobs()) == []


@pytest.mark.parametrize("given", ["argument", "variable"])
def test_a_key_is_sent_with_every_request(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []

    def note(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.headers["authorization"])
        send(handler, 500)

    if given == "variable":
        monkeypatch.setenv("WINNOW_KEY", "winnow_secret\n")
    with answering(note) as url, Client(url, key="winnow_secret" if given == "argument" else None) as client:
        for call in (client.job, client.cancel):
            with pytest.raises(UnexpectedAnswer):
                call("job_1")
    assert seen == ["Bearer winnow_secret"] * 2


def test_without_a_key_none_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WINNOW_KEY", raising=False)
    seen: list[str | None] = []

    def note(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.headers["authorization"])
        send(handler, 500)

    with answering(note) as url, Client(url) as client, pytest.raises(UnexpectedAnswer):
        client.job("job_1")
    assert seen == [None]


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "é", "a,b"])
def test_what_is_no_key_is_told_without_telling_it(key: str) -> None:
    with pytest.raises(ClientError, match="WINNOW_KEY") as told:
        Client("http://127.0.0.1:1", key=key)
    assert key not in str(told.value)
