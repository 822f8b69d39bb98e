"""Whatever a connection sends or leaves out: it gets an answer that says why, or is closed; others are served."""

import select
import socket
import time
from pathlib import Path

import psutil
import pytest

from app.api.security_headers import SECURITY_HEADERS
from app.server.limits import ConnectionLimits
from tests.app.server.conftest import IMPATIENT, Connect
from tests.support.served import Served, served
from tests.support.sockets import Answer, answers, ask, read_to_the_end, send_all

GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
CLOSE = b"Connection: close\r\n\r\n"


def onnx(size: int) -> bytes:
    """The outermost fields of a model: ir_version 10, and a graph of so many bytes."""
    length, lengths = size, b""
    while length >= 128:
        length, lengths = length >> 7, lengths + bytes([length & 127 | 128])
    return bytes([0x08, 10, 0x3A]) + lengths + bytes([length]) + bytes(size)


def the_one(found: list[Answer]) -> Answer:
    [answer] = found
    return answer


def refused(found: list[Answer]) -> tuple[int, str | None]:
    answer = the_one(found)
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert (answer.headers["connection"], answer.headers["cache-control"]) == ("close", "no-store")
    return answer.status, answer.code


# --- too much


@pytest.mark.parametrize(
    "flood",
    [
        GET + b"A: " + b"a" * (64 * 1024) + b"\r\n\r\n",
        GET + b"A: " + b"a" * 2**22,
        GET + b"a" * 2**22,
        GET + b"A: b\r\n" * 100 + b"\r\n",
        GET + b"A: b\r\n" * 10**5,
        GET + b"A: \r\n" * 10**5,
        b"GET /" + b"a" * 2**22,
        b"GET /livez?" + b"a" * 65536 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        CHUNKED + b"5;" + b"a" * 2**22,
        CHUNKED + b"5;a=" + b'"' + b"a" * 2**22,
        CHUNKED + b"5\r\nhello\r\n0\r\n" + b"A: b\r\n" * 10**5,
        CHUNKED + b"5\r\nhello\r\n0\r\nA: " + b"a" * 2**22,
    ],
    ids=lambda flood: repr(flood[-20:]) + str(len(flood)),
)
def test_heads_and_what_surrounds_chunks_without_end_are_refused(connect: Connect, flood: bytes) -> None:
    assert refused(ask(connect(), flood)) == (431, "headers_too_large")


def test_a_head_that_comes_slowly_without_end_is_refused(connect: Connect) -> None:
    connection = connect()
    send_all(connection, GET + b"A: ")
    while not _readable(connection) and send_all(connection, b"a" * 1000):
        time.sleep(0.001)
    assert refused(answers(read_to_the_end(connection))) == (431, "headers_too_large")


def _readable(connection: socket.socket) -> bool:
    return bool(select.select([connection], [], [], 0)[0])


def test_a_head_at_the_bounds_is_answered(connect: Connect) -> None:
    fields = b"A: b\r\n" * 97 + b"B: " + b"b" * 60_000 + b"\r\n"
    assert the_one(ask(connect(), GET + fields + CLOSE)).status == 200


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_body_in_small_pieces_with_extensions_and_trailers_is_taken(connect: Connect, size: int) -> None:
    body = onnx(5000)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = b"".join(b"%x;why=because\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    request = (
        POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\nX-Sum: 1\r\n\r\n"
    )
    answer = the_one(ask(connect(), request))
    assert (answer.status, answer.json()["size_bytes"]) == (201, len(body))


# --- what cannot be read in one way only


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /livez HTTP/1.1\nHost: localhost\n\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\nA: b\r\n\r\n",
        b"GET /livez HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /li vez HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://evil.example/livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://user@localhost/livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http:///livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET ftp://localhost/livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
        GET + b" folded: x\r\n\r\n",
        GET + b"A: b\r\n folded\r\n\r\n",
        GET + b"A : b\r\n\r\n",
        GET + b"A\x00: b\r\n\r\n",
        GET + b"A: \x00\r\n\r\n",
        GET + b": b\r\n\r\n",
        GET + b"A b\r\n\r\n",
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        POST + b"Content-Length: 5, 5\r\n\r\nhello",
        POST + b"Content-Length: -5\r\n\r\nhello",
        POST + b"Content-Length: +5\r\n\r\nhello",
        POST + b"Content-Length: 0x5\r\n\r\nhello",
        POST + b"Content-Length: 5 5\r\n\r\nhello",
        POST + b"Content-Length: \r\n\r\nhello",
        POST + b"Content-Length: 99999999999999999999999\r\n\r\nhello",
        POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        CHUNKED + b"zz\r\n",
        CHUNKED + b"-5\r\nhello\r\n",
        CHUNKED + b"0x5\r\nhello\r\n",
        CHUNKED + b"fffffffffffffffff\r\nhello",
        CHUNKED + b"5\r\nhelloworld\r\n",
        CHUNKED + b"5\nhello\n0\n\n",
        CHUNKED + b"5\r\nhello\r\n0\r\nA : b\r\n\r\n",
    ],
    ids=lambda request: repr(request[-45:]),
)
def test_what_two_readers_could_read_differently_is_malformed(connect: Connect, request_: bytes) -> None:
    assert refused(ask(connect(), request_)) == (400, "malformed_request")


def test_a_target_may_name_the_host_again(connect: Connect) -> None:
    for target in (b"http://LOCALHOST/livez", b"http://localhost:80/livez?"):
        host = target.split(b"/")[2].lower()
        request = b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n" + CLOSE
        assert the_one(ask(connect(), request)).status == 200


def test_space_around_a_value_is_no_part_of_it(connect: Connect) -> None:
    fields = b"Host:\t localhost \t\r\nOrigin:  http://localhost \r\nSec-Fetch-Site: none \r\nContent-Length: 0 \r\n"
    assert the_one(ask(connect(), b"POST /v1/jobs HTTP/1.1\r\n" + fields + CLOSE)).status == 422


def test_trailers_are_no_headers(connect: Connect) -> None:
    """Else a proxy in front would have seen another request than the one that is answered."""
    request = (
        POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Request-Id: smuggled\r\n\r\n"
    )
    assert the_one(ask(connect(), request)).headers["x-request-id"] != "smuggled"


def test_a_client_that_waits_for_100_continue_gets_it(connect: Connect) -> None:
    connection = connect()
    head = POST + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(onnx(9))
    connection.sendall(head)
    assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert the_one(ask(connection, onnx(9))).status == 201


def test_a_client_that_waits_for_100_continue_may_be_refused_instead(connect: Connect) -> None:
    head = POST.replace(b"localhost", b"evil.example") + b"Expect: 100-continue\r\nContent-Length: 9\r\n"
    assert the_one(ask(connect(), head + CLOSE)).code == "host_not_allowed"


@pytest.mark.parametrize("upgrade", [b"websocket", b"h2c", b"TLS/1.3"])
def test_an_upgrade_is_not_taken_and_nothing_after_it_is_read(connect: Connect, upgrade: bytes) -> None:
    request = GET + b"Connection: Upgrade\r\nUpgrade: " + upgrade + b"\r\n\r\n"
    answer = the_one(ask(connect(), request + GET + b"\r\n"))
    assert (answer.status, answer.headers["connection"]) == (200, "close")


# --- several requests on one connection


def test_requests_that_wait_are_answered_in_their_order(connect: Connect) -> None:
    names = [b"r%d" % n for n in range(IMPATIENT.waiting_requests)]
    sent = b"".join(GET + b"X-Request-Id: " + name + b"\r\n\r\n" for name in names)
    found = ask(connect(), sent)
    assert [answer.headers["x-request-id"].encode() for answer in found] == names


def test_a_flood_of_waiting_requests_is_answered_up_to_the_bound_and_then_refused(connect: Connect) -> None:
    found = ask(connect(), (GET + b"\r\n") * 5000)
    assert [answer.status for answer in found[:-1]] == [200] * len(found[:-1])
    assert len(found) > IMPATIENT.waiting_requests
    assert (found[-1].status, found[-1].code, found[-1].headers["retry-after"]) == (503, "too_busy", "5")


@pytest.mark.parametrize("bad", [b"nonsense\r\n\r\n", CHUNKED + b"zz\r\n", GET + b"A: b\r\n" * 200])
def test_what_is_wrong_after_good_requests_is_said_after_their_answers(connect: Connect, bad: bytes) -> None:
    *good, last = ask(connect(), (GET + b"\r\n") * 3 + bad)
    assert [answer.status for answer in good] == [200] * 3 or bad.startswith(b"POST")
    assert last.status in (400, 431)


# --- too slow


@pytest.mark.parametrize("sent", [b"", GET + b"\r\n"], ids=["never", "after one"])
def test_a_connection_without_a_request_is_closed(connect: Connect, sent: bytes) -> None:
    assert [answer.status for answer in ask(connect(), sent)] == [200] * bool(sent)


@pytest.mark.parametrize("piece", [b"", b"a"], ids=["stops", "drips"])
@pytest.mark.parametrize("begun", [b"GET /", b"GET /livez HTTP/1.1\r\nHo", GET + b"A: b\r\n"])
def test_a_head_has_to_be_complete_in_time(connect: Connect, begun: bytes, piece: bytes) -> None:
    connection = connect()
    connection.settimeout(0.05)
    send_all(connection, begun)
    assert refused(answers(dripped(connection, piece))) == (408, "request_timeout")


@pytest.mark.parametrize("piece", [b"", b"b", b"b" * 10], ids=["stops", "drips", "is slow"])
@pytest.mark.parametrize("path", [b"/v1/models", b"/v1/jobs", b"/v1/datasets"])
def test_a_body_has_to_move(api: Served, connect: Connect, path: bytes, piece: bytes) -> None:
    """10 bytes every 0.05 s are 200 bytes a second."""
    connection = connect()
    connection.settimeout(0.05)
    head = (
        POST.replace(b"/v1/models", path)
        + b"Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
    )
    send_all(connection, head + b"{")
    assert refused(answers(dripped(connection, piece))) == (408, "request_timeout")
    assert api.http.get("/v1/models").json()["items"] == []


def test_chunk_extensions_are_no_progress_of_a_body(connect: Connect) -> None:
    connection = connect()
    connection.settimeout(0.05)
    send_all(connection, CHUNKED + b"5;")
    assert refused(answers(dripped(connection, b"a" * 200))) == (408, "request_timeout")


def test_a_body_that_is_slow_but_steady_may_take_as_long_as_it_takes(connect: Connect) -> None:
    connection = connect()
    body = onnx(6000)
    send_all(connection, POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
    for at in range(0, len(body), 200):  # 30 pieces: 2 s, some times the limit on silence
        connection.sendall(body[at : at + 200])
        time.sleep(0.06)
    assert the_one(answers(read_to_the_end(connection))).status == 201


def dripped(connection: socket.socket, piece: bytes) -> bytes:
    """Send a piece whenever nothing came for a moment, until the other side closes; what came."""
    came = b""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            part = connection.recv(65536)
        except TimeoutError:
            if piece:
                send_all(connection, piece)
            continue
        except ConnectionError:
            return came
        if not part:
            return came
        came += part
    raise AssertionError("the connection was not closed")


def test_an_answer_that_nobody_reads_is_given_up(api: Served, connect: Connect) -> None:
    big = onnx(32 * 2**20)
    id = api.http.post("/v1/models", content=big).json()["id"]
    connection = connect()
    send_all(connection, b"GET /v1/models/%s/content HTTP/1.1\r\nHost: localhost\r\n\r\n" % id.encode())
    wait_until_given_up(connection)
    assert len(read_to_the_end(connection)) < len(big)


def wait_until_given_up(connection: socket.socket) -> None:
    """Until the other side has closed, which reading would hinder. Raises `TimeoutError` after 20 s."""
    ends = connection.getpeername(), connection.getsockname()
    deadline = time.monotonic() + 20
    while any((c.laddr, c.raddr, c.status) == (*ends, "ESTABLISHED") for c in psutil.net_connections("tcp4")):
        if time.monotonic() > deadline:
            raise TimeoutError("the connection is still open")
        time.sleep(0.05)


# --- too many


def test_when_all_are_taken_the_one_that_was_waited_for_the_longest_makes_room(
    api: Served, connect: Connect
) -> None:
    crowd = [connect() for _ in range(3 * IMPATIENT.connections)]
    for connection in crowd:
        send_all(connection, GET)
    assert the_one(ask(connect(), GET + CLOSE)).status == 200
    assert api.http.get("/livez").status_code == 200


def test_an_upload_that_moves_outlasts_a_flood_of_connections(tmp_path: Path) -> None:
    limits = ConnectionLimits(connections=40)
    with served(tmp_path, limits=limits) as api:
        address = ("127.0.0.1", api.http.base_url.port or 0)
        upload = socket.create_connection(address, timeout=20)
        body = onnx(100_000)
        upload.sendall(POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
        crowd = []
        for at in range(0, len(body), 1000):
            upload.sendall(body[at : at + 1000])
            crowd.append(socket.create_connection(address, timeout=20))
            send_all(crowd[-1], GET)
        assert the_one(answers(read_to_the_end(upload))).status == 201
        for connection in (*crowd, upload):
            connection.close()
