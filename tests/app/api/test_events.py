"""Server-sent events, and the same as a list."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from threading import Thread

from app.api.events import MOST_STREAMS
from app.storage.records import Event
from tests.support.served import Served
from winnow.contract.job import LogRecord


def stream(
    api: Served, job: str, headers: dict[str, str] | None = None
) -> Iterator[tuple[str, str, LogRecord]]:
    """(id, event, data) of each event."""
    with api.http.stream("GET", f"/v1/jobs/{job}/events", headers=headers or {}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            fields[name] = value
            if not line and "data" in fields:
                yield fields["id"], fields["event"], LogRecord.model_validate_json(fields["data"])
                fields = {}


def log(api: Served, job: str, attempt: int, message: str) -> None:
    event = Event(job=job, attempt=attempt, time=time.time(), type="log", message=message, values={"n": 1})
    api.parts.records.report(job, attempt, step=None, progress=0.5, seconds_left=None, events=[event])


def test_events_come_as_they_happen_and_end_with_the_job(api: Served, job: str) -> None:
    seen = []

    def work() -> None:
        attempt = api.claim(job).attempt
        log(api, job, attempt, "calibrating")
        api.parts.records.finish(job, attempt, time.time(), {"state": "failed"})

    worker = Thread(target=work)
    for id, event, record in stream(api, job):
        seen.append((event, record.message))
        assert int(id) == record.id
        if len(seen) == 1:
            worker.start()
    worker.join()
    assert [event for event, _ in seen] == ["state", "state", "log", "state"]
    assert seen[2][1] == "calibrating"


def test_last_event_id_goes_on_where_it_broke_off(api: Served, job: str) -> None:
    log(api, job, api.claim(job).attempt, "one")
    api.parts.records.finish(job, 1, time.time(), {"state": "failed"})
    ids = [id for id, *_ in stream(api, job)]
    assert [id for id, *_ in stream(api, job, {"Last-Event-ID": ids[1]})] == ids[2:]
    over = api.http.get(f"/v1/jobs/{job}/events", headers={"Last-Event-ID": ids[-1]})
    assert over.status_code == 204


def test_a_last_event_id_that_is_none_is_refused(api: Served, job: str) -> None:
    answer = api.http.get(f"/v1/jobs/{job}/events", headers={"Last-Event-ID": "-1"})
    assert (answer.status_code, answer.json()["field"]) == (422, "last-event-id")


def test_events_of_no_job_are_a_problem(api: Served) -> None:
    assert api.http.get("/v1/jobs/job_none/events").json()["code"] == "not_found"


def test_a_client_that_leaves_does_not_hold_the_service(api: Served, job: str) -> None:
    next(stream(api, job))
    assert api.http.get("/livez").status_code == 200


def test_streams_are_bounded(api: Served, job: str) -> None:
    """They hold a connection for as long as the job takes, so there has to be room for others."""
    address = ("127.0.0.1", api.http.base_url.port or 0)
    request = f"GET /v1/jobs/{job}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with ExitStack() as stack:
        crowd = [stack.enter_context(socket.create_connection(address)) for _ in range(MOST_STREAMS)]
        for connection in crowd:
            connection.sendall(request)
            assert connection.recv(20).startswith(b"HTTP/1.1 200")
        refused = api.http.get(f"/v1/jobs/{job}/events")
        assert (refused.status_code, refused.json()["code"]) == (503, "too_busy")
        assert refused.headers["retry-after"]
    api.claim(job)
    api.parts.records.finish(job, 1, time.time(), {"state": "failed"})
    deadline = time.monotonic() + 20
    while api.http.get(f"/v1/jobs/{job}/events").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_logs_are_walked_by_their_links(api: Served, job: str) -> None:
    attempt = api.claim(job).attempt
    for n in range(5):
        log(api, job, attempt, f"message {n}")
    records, url = [], f"/v1/jobs/{job}/logs?limit=3"
    while url:
        page = api.http.get(url).json()
        records += [LogRecord.model_validate(item) for item in page["items"]]
        url = page["next"]
    assert [record.message for record in records if record.event == "log"] == [
        f"message {n}" for n in range(5)
    ]
    assert sorted(record.id for record in records) == [record.id for record in records]
