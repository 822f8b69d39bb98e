"""Every answer, problem and log line names its request."""

import logging
import re
import time
from pathlib import Path
from typing import NoReturn

import pytest

from app.storage.memory import MemoryRecords
from tests.support.logged import entries, logged
from tests.support.served import Served, served


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/livez", 200), ("GET", "/v1/jobs/x", 404), ("PUT", "/v1/jobs", 405), ("POST", "/v1/jobs", 422)],
)
def test_every_answer_is_named_and_a_problem_has_the_name_too(
    api: Served, method: str, path: str, status: int
) -> None:
    answers = [api.http.request(method, path) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [status] * 2
    names = [answer.headers["x-request-id"] for answer in answers]
    assert len({*names}) == 2
    if status >= 400:
        assert [answer.json()["request_id"] for answer in answers] == names


@pytest.mark.parametrize("name", ["a", "Order-7._x", "x" * 64])
def test_a_name_that_was_sent_is_kept(api: Served, name: str) -> None:
    assert api.http.get("/livez", headers={"X-Request-Id": name}).headers["x-request-id"] == name


@pytest.mark.parametrize("name", ["", "x" * 65, "a b", "é".encode(), 'a"b', "a,b", "$(x)"])
def test_a_name_that_is_not_safe_to_log_is_replaced(api: Served, name: str) -> None:
    told = api.http.get("/livez", headers={"X-Request-Id": name}).headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", told)


def test_two_names_are_none(api: Served) -> None:
    told = api.http.get("/livez", headers=[("X-Request-Id", "a"), ("X-Request-Id", "b")])
    assert re.fullmatch("[0-9a-f]{32}", told.headers["x-request-id"])


def test_every_log_line_of_a_request_names_it_also_those_of_threads_and_failures(tmp_path: Path) -> None:
    class Broken(MemoryRecords):
        def jobs(self, *args: object) -> NoReturn:  # runs in a thread
            logging.getLogger("app.storage").warning("about to fail")
            raise RuntimeError("insides")

    with logged() as lines, served(tmp_path, records=Broken()) as api:
        answer = api.http.get("/v1/jobs?model=secret", headers={"X-Request-Id": "the-one"})
        end = time.monotonic() + 10
        while (
            "in ASGI" not in "".join(lines()) and time.monotonic() < end
        ):  # the server logs it behind its answer
            time.sleep(0.01)
    assert (answer.status_code, answer.json()["request_id"]) == (500, "the-one")
    mine = [entry for entry in entries(lines()) if entry.get("request_id") == "the-one"]
    told = {entry["message"].split("\n")[0]: entry for entry in mine}
    assert {
        "about to fail",
        "GET /v1/jobs failed: RuntimeError",
        "Exception in ASGI application",
    } <= told.keys()
    assert "RuntimeError: insides" in told["Exception in ASGI application"]["exception"]
    assert {entry["owner"] for entry in mine} == {"local"}
    [line] = [entry for entry in mine if re.fullmatch(r"GET /v1/jobs 500 \d+ ms", entry["message"])]
    assert (line["method"], line["path"], line["status"]) == ("GET", "/v1/jobs", 500)
    assert "secret" not in "".join(lines())


def test_one_request_leaves_nothing_to_the_next_on_its_connection(api: Served) -> None:
    with logged() as lines:
        api.http.get("/v1/jobs", headers={"X-Request-Id": "first"})
        api.http.get("/livez", headers={"X-Request-Id": "second"})
        api.http.get("/livez", headers={"X-Request-Id": "third"})
    [second] = [entry for entry in entries(lines()) if entry.get("request_id") == "second"]
    assert "owner" not in second
