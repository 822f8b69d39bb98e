"""Laws of reading: how bytes are cut into pieces changes nothing, and no bytes stop the service."""

import socket
import time
from itertools import pairwise

import uvicorn
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.server.protocol import BoundedProtocol
from tests.support.served import Served
from tests.support.sockets import answers, read_to_the_end, send_all

GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
LAST = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
REQUESTS = {
    GET: 200,
    GET.replace(b"localhost", b"evil.example"): 421,
    POST + b"Content-Length: 2\r\n\r\n{}": 422,
    POST + b"Transfer-Encoding: chunked\r\n\r\n1;x=y\r\n{\r\n1\r\n}\r\n0\r\nA: b\r\n\r\n": 422,
    POST + b"Origin: null\r\nContent-Length: 2\r\n\r\n{}": 403,
}
FAULTS = {
    GET.replace(b"Host:", b"Host :"): 400,
    GET.replace(b"\r\n\r\n", b"\r\n" + b"A: b\r\n" * 101 + b"\r\n"): 431,
    POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}": 400,
}
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def connected(api: Served) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", api.http.base_url.port or 0), timeout=20)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


@quick
@given(
    requests=st.lists(st.sampled_from([*REQUESTS]), max_size=5),
    last=st.sampled_from([LAST, *FAULTS]),
    cuts=st.lists(st.integers(1, 600), max_size=12),
)
def test_however_requests_are_cut_into_pieces_the_answers_are_the_same(
    api: Served, requests: list[bytes], last: bytes, cuts: list[int]
) -> None:
    sent = b"".join(requests) + last
    places = [0, *sorted(cut for cut in cuts if cut < len(sent)), len(sent)]
    with connected(api) as connection:
        for start, end in pairwise(places):
            send_all(connection, sent[start:end])
            time.sleep(0.002)
        statuses = [answer.status for answer in answers(read_to_the_end(connection))]
    assert statuses == [REQUESTS[request] for request in requests] + [FAULTS.get(last, 200)]


@quick
@given(
    head=st.sampled_from([b"", GET[:30], GET, POST, POST + b"Transfer-Encoding: chunked\r\n\r\n"]),
    junk=st.binary(max_size=300) | st.text("\r\n:; 0aZ/", max_size=100).map(str.encode),
)
def test_no_bytes_stop_the_service(api: Served, head: bytes, junk: bytes) -> None:
    with connected(api) as connection:
        send_all(connection, head + junk)
        connection.shutdown(socket.SHUT_WR)
        assert all(answer.status < 500 for answer in answers(read_to_the_end(connection)))
    assert api.http.get("/livez").status_code == 200


def test_uvicorn_takes_the_protocol_by_its_name() -> None:
    """As docs/operations.md says to who starts it by hand."""
    config = uvicorn.Config(
        FastAPI(), http="app.server.protocol:BoundedProtocol", lifespan="off", log_config=None
    )
    config.load()
    assert config.http_protocol_class is BoundedProtocol
