import json
import time
from http.server import BaseHTTPRequestHandler
from threading import Thread

import pytest

from tests.support.asked import job
from tests.support.http import answering, send
from winnow.client import Client, ServiceUnreachable


class Course:
    """A job whose answer changes after every second look; conditional, as the service is."""

    def __init__(self, *states: str) -> None:
        self.states, self.looks, self.unchanged = states, 0, 0

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        state = self.states[min(self.looks // 2, len(self.states) - 1)]
        self.looks += 1
        if handler.headers.get("if-none-match") == f'"{state}"':
            self.unchanged += 1
            return send(handler, 304, ETag=f'"{state}"')
        return send(handler, 200, job(state=state).model_dump_json().encode(), ETag=f'"{state}"')


def test_every_change_is_seen_once_and_the_end_ends_it() -> None:
    course = Course("queued", "running", "succeeded")
    with answering(course) as url, Client(url) as client:
        assert [seen.state for seen in client.watch("job_1")] == ["queued", "running", "succeeded"]
    assert course.unchanged == 2


def test_watching_outlasts_a_restart_of_the_service() -> None:
    with answering(Course("running")) as url:
        client = Client(url, patience=20)
        seen = client.watch("job_1")
        assert next(seen).state == "running"

    def restart() -> None:
        time.sleep(1.5)
        with answering(Course("succeeded"), port=int(url.rpartition(":")[2])):
            ended.join()

    ended = Thread(target=lambda: states.extend(found.state for found in seen))
    states: list[str] = []
    ended.start()
    restart()
    assert states == ["succeeded"]


def test_patience_ends() -> None:
    with answering(Course("running")) as url:
        client = Client(url, patience=0)
        seen = client.watch("job_1")
        next(seen)
    with pytest.raises(ServiceUnreachable):
        next(seen)


def test_a_stream_of_events_is_taken_up_where_it_broke_off() -> None:
    records = [
        {
            "id": number,
            "time": "2026-01-01T00:00:00Z",
            "attempt": 1,
            "level": "info",
            "event": "progress",
            "step": None,
            "message": f"part {number}",
            "values": {},
        }
        for number in (1, 2, 3)
    ]
    asked: list[str | None] = []

    def respond(handler: BaseHTTPRequestHandler) -> None:
        if not handler.path.endswith("/events"):
            return send(
                handler,
                200,
                job(state="succeeded" if len(asked) > 1 else "running").model_dump_json().encode(),
            )
        asked.append(handler.headers.get("last-event-id"))
        after = int(asked[-1] or 0)
        body = b"".join(
            f"id: {r['id']}\ndata: {json.dumps(r)}\n\n".encode() for r in records[after : after + 2]
        )
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body) + (len(asked) == 1)))
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = True
        return None

    with answering(respond) as url, Client(url) as client:
        assert [record.id for record in client.events("job_1")] == [1, 2, 3]
    assert asked[:2] == [None, "2"]
