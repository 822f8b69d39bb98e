"""Lines for people and for programs, with names and without secrets."""

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest
from structlog.contextvars import bound_contextvars

from app.logs import LogFormat, formatter, hide_secrets
from tests.support.logged import entries, logged

log = logging.getLogger("app.somewhere")

SECRETS = {
    "GET /v1/jobs?key=tok_1234567890 failed": "GET /v1/jobs?*** failed",
    "Authorization: Bearer tok_1234567890": "Authorization: ***",
    "{'authorization': 'Basic dG9rXzEyMw=='}": "{'authorization': '***'}",
    "sent Bearer tok_1234567890, refused": "sent Bearer ***, refused",
    "postgresql+psycopg://winnow:tok_1@db/winnow is away": "postgresql+psycopg://winnow:***@db/winnow is away",
    "redis://:tok_1@redis:6379/0": "redis://:***@redis:6379/0",
    "https://bucket.example/a/b?X-Amz-Signature=tok_1&b=2 is gone": "https://bucket.example/a/b?*** is gone",
    "password=tok_1, api_key: tok_2": "password=***, api_key: ***",
}
HARMLESS = [
    "job_1: attempt 1 of 3",
    "why? because",
    "http://127.0.0.1:8000/docs",
    "int8_static: 3 of 5 nodes changed",
    "tokens a second: 5",
]


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_hidden(text: str) -> None:
    assert hide_secrets(text) == SECRETS[text]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text: str) -> None:
    assert hide_secrets(text) == text


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_secrets_stand_neither_in_messages_nor_in_exceptions_nor_in_names(log_format: LogFormat) -> None:
    with logged(log_format) as lines, bound_contextvars(job="redis://:tok_1@redis"):
        try:
            raise ConnectionError("redis://:tok_1@redis:6379/0")
        except ConnectionError:
            log.exception("cannot reach %s", "redis://:tok_1@redis:6379/0")
    text = "\n".join(lines())
    assert "ConnectionError" in text
    assert "tok_1" not in text


def test_a_line_of_json_has_what_is_bound_and_where_it_comes_from() -> None:
    with logged() as lines, bound_contextvars(job="job_1", attempt=2):
        log.warning("%d of %d", 1, 2)
    [entry] = entries(lines())
    wanted = {
        "message": "1 of 2",
        "level": "warning",
        "logger": "app.somewhere",
        "job": "job_1",
        "attempt": 2,
    }
    assert wanted.items() <= entry.items()
    assert entry["time"].endswith("Z")
    assert isinstance(entry["process"], int)


def test_whatever_is_logged_stays_one_line_of_json() -> None:
    told = {"name": "app", "levelname": "INFO", "msg": "two\nlines and \ud800", "unasked": object()}
    [line] = formatter("json").format(logging.makeLogRecord(told)).splitlines()
    assert json.loads(line)["message"].startswith("two\nlines")
    assert "unasked" not in line


def test_a_line_for_people_says_all_in_words() -> None:
    with logged("console") as lines, bound_contextvars(request_id="r1"):
        log.info("GET /livez 200 3 ms", extra={"method": "GET", "status": 200})
    [line] = lines()
    for part in ("info", "GET /livez 200 3 ms", "app.somewhere", "request_id", "r1"):
        assert part in line
    assert "method" not in line


def test_threads_that_get_the_context_name_it_too() -> None:
    with logged() as lines, bound_contextvars(job="job_1"), ThreadPoolExecutor(1) as pool:
        pool.submit(copy_context().run, log.info, "stored").result()
    assert [entry["job"] for entry in entries(lines())] == ["job_1"]
