"""Deliveries to real receivers, which verify what they get with the standard's own library."""

import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread
from typing import Any

import httpcore
import pytest
from standardwebhooks.webhooks import Webhook as Verifier

from app.networks import Networks, parse_networks
from app.storage.ids import new_id
from app.storage.memory import MemoryRecords
from app.storage.records import Delivery, Page, Webhook
from app.webhooks import guard
from app.webhooks.sender import LOOK_SECONDS, Sender
from app.webhooks.sending import Answer, send
from app.webhooks.signing import new_secret
from tests.support.http import answering, break_off
from tests.support.http import send as answer
from tests.support.records import a_job
from winnow.contract.webhook import EVENT_TYPES

LOOPBACK = parse_networks("127.0.0.0/8")
NOBODY = parse_networks("false")
Received = tuple[dict[str, str], bytes]


def a_webhook(url: str) -> Webhook:
    return Webhook(id=new_id("whk"), url=url, events=EVENT_TYPES, secret=new_secret(), created_at=900.0)


def a_delivery(webhook: Webhook, **payload: Any) -> Delivery:
    return Delivery(
        id=new_id("dlv"), webhook=webhook.id, event="job.failed", payload={"type": "job.failed", **payload},
        state="waiting", max_attempts=10, created_at=1000.0, next_at=1000.0,
    )  # fmt: skip


def sent(url: str, networks: Networks = LOOPBACK, **options: Any) -> Answer:
    webhook = a_webhook(url)
    return send(
        webhook,
        a_delivery(webhook),
        networks,
        options.pop("context", ssl.create_default_context()),
        **options,
    )


@contextmanager
def receiving(
    *statuses: int | Callable[[BaseHTTPRequestHandler], None],
) -> Iterator[tuple[str, list[Received]]]:
    """Answers the first request with the first status, and so on; the last one for ever."""
    received: list[Received] = []

    def respond(handler: BaseHTTPRequestHandler) -> None:
        received.append(({k.lower(): v for k, v in handler.headers.items()}, handler.body))  # type: ignore[attr-defined]
        what = statuses[min(len(received), len(statuses)) - 1]
        what(handler) if callable(what) else answer(handler, what)

    with answering(respond) as url:
        yield url, received


def leads_to(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """A name server for hooks.example.com, which answers anew each time; what it was asked."""
    asked: list[str] = []
    look_up = socket.getaddrinfo

    def answer_name(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host != "hooks.example.com":
            return look_up(host, port, *args, **options)
        asked.append(host)
        addresses = answers[min(len(asked), len(answers)) - 1]
        return [found for address in addresses for found in look_up(address, port, *args, **options)]

    monkeypatch.setattr(guard.socket, "getaddrinfo", answer_name)
    return asked


@pytest.mark.parametrize("text", ["plain", "ümläut 網", "\u2028"])
def test_a_receiver_can_verify_what_it_gets(text: str) -> None:
    with receiving(204) as (url, received):
        webhook = a_webhook(f"{url}/hooks?of=winnow")
        delivery = a_delivery(webhook, data={"name": text})
        assert send(webhook, delivery, LOOPBACK, ssl.create_default_context()) == Answer(204, None)
    [(headers, body)] = received
    assert Verifier(webhook.secret).verify(body, headers) == delivery.payload
    assert headers["webhook-id"] == delivery.id
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    assert headers["content-type"] == "application/json"
    with pytest.raises(Exception, match="signature"):
        Verifier(new_secret()).verify(body, headers)
    with pytest.raises(Exception, match="signature"):
        Verifier(webhook.secret).verify(body + b" ", headers)


@pytest.mark.parametrize("status", [302, 404, 410, 500])
def test_what_is_not_answered_with_2xx_has_not_arrived(status: int) -> None:
    with receiving(lambda handler: answer(handler, status, location="/elsewhere")) as (url, received):
        found = sent(url)
    assert found.status == status
    assert found.error is not None
    assert str(status) in found.error
    assert len(received) == 1, "a redirect was followed"


def test_a_connection_that_is_cut_or_refused_has_not_arrived() -> None:
    with receiving(break_off) as (url, _):
        cut = sent(url)
    refused = sent(url)
    assert cut.status is refused.status is None
    assert "ended early" in str(cut.error)
    assert "refused" in str(refused.error)


def test_what_another_service_says_is_not_told() -> None:
    def speak_otherwise(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"SSH-2.0-secret\r\n\r\n")

    with receiving(speak_otherwise) as (url, _):
        assert "secret" not in str(sent(url).error)
    with receiving(lambda handler: answer(handler, 500, b"secret")) as (url, _):
        assert "secret" not in str(sent(url).error)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"])
def test_an_address_that_is_not_public_is_not_connected_to(host: str) -> None:
    with receiving(204) as (url, received):
        found = sent(url.replace("127.0.0.1", host), NOBODY)
    assert (found.status, received) == (None, [])
    assert "WINNOW_WEBHOOK_PRIVATE" in str(found.error)
    assert "127.0.0.1" not in str(found.error), "tells what a name inside leads to"


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Public when it is checked, private a moment later: nobody looks a second time."""
    asked = leads_to(monkeypatch, ["8.8.8.8"], ["127.0.0.1"])
    connected: list[str] = []

    def connect(self: object, host: str, *_: object) -> httpcore.NetworkStream:
        connected.append(host)
        raise httpcore.ConnectError("no way out of the tests")

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)
    assert "no way out" in str(sent("http://hooks.example.com/", NOBODY).error)
    assert (len(asked), connected) == (1, ["8.8.8.8"])
    assert "WINNOW_WEBHOOK_PRIVATE" in str(sent("http://hooks.example.com/", NOBODY).error)
    assert (len(asked), connected) == (2, ["8.8.8.8"])


def test_of_several_addresses_those_are_used_that_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    leads_to(monkeypatch, ["10.255.255.1", "127.0.0.2", "127.0.0.1"])
    with receiving(204) as (url, received):
        found = sent(url.replace("127.0.0.1", "hooks.example.com"))
        assert found == Answer(204, None)  # nobody listens on 127.0.0.2
        assert received[0][0]["host"] == url.replace("http://127.0.0.1", "hooks.example.com")


def test_a_name_that_leads_nowhere_is_said() -> None:
    assert "cannot be looked up" in str(sent("http://nowhere.invalid/").error)
    assert "cannot be looked up" in str(sent(f"http://{'a' * 64}.example/").error)


def test_a_receiver_that_never_ends_takes_no_longer_than_is_granted() -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        try:
            while True:
                handler.wfile.write(b"HTTP/1.1 200 OK\r\n"[:1])
                time.sleep(0.05)
        except OSError:
            pass

    with receiving(drip) as (url, _):
        began = time.monotonic()
        found = sent(url, seconds=0.3)
        assert (time.monotonic() - began) < 5
    assert found == Answer(None, "It was not answered within 0.3 s.")


def test_an_endless_answer_is_not_read_to_its_end() -> None:
    def pour(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
        try:
            while True:
                handler.wfile.write(bytes(2**16))
        except OSError:
            pass

    with receiving(pour) as (url, _):
        assert sent(url, seconds=60) == Answer(200, None)


def test_an_endless_head_is_not_read_to_its_end() -> None:
    def pour(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        try:
            while True:
                handler.wfile.write(b"x: " + b"y" * 2**16 + b"\r\n")
        except OSError:
            pass

    with receiving(pour) as (url, _):
        found = sent(url, seconds=60)
    assert found.status is None
    assert found.error is not None


def test_certificates_are_verified(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        Thread(target=_serve_tls, args=(listener, server), daemon=True).start()
        assert "CERTIFICATE_VERIFY_FAILED" in str(sent(f"https://localhost:{port}/").error)
        assert "CERTIFICATE_VERIFY_FAILED" in str(sent(f"https://127.0.0.1:{port}/", context=trusting).error)
        assert sent(f"https://localhost:{port}/", context=trusting) == Answer(204, None)


def _serve_tls(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        try:
            with context.wrap_socket(connection, server_side=True) as secured:
                _read_request(secured)
                secured.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        except OSError:
            pass


def _read_request(connection: ssl.SSLSocket) -> None:
    """All of it: what is closed with something unread is reset, and the answer lost."""
    with connection.makefile("rb") as stream:
        length = 0
        while line := stream.readline().strip().lower():
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        stream.read(length)


# --- what becomes of the rows


def cancelled(records: MemoryRecords) -> None:
    job, _ = records.add_job(a_job(), None)
    records.cancel_job("local", job.id, time.time())


def test_what_fails_is_sent_again_as_it_was_until_it_arrives() -> None:
    records = MemoryRecords()
    with receiving(500, break_off, 204) as (url, received):
        webhook = a_webhook(url)
        records.add_webhook(webhook)
        cancelled(records)
        sender, now = Sender(records, LOOPBACK), time.time()
        for attempt in range(3):
            assert sender.send_one(now + 1000 * attempt)
        assert not sender.send_one(now + 9000)
    assert {body for _, body in received} == {received[0][1]}
    assert len({headers["webhook-id"] for headers, _ in received}) == 1
    assert len(received) == 3
    for headers, body in received:
        Verifier(webhook.secret).verify(body, headers)
    [delivery] = records.deliveries(webhook.id, Page())
    assert (delivery.state, delivery.attempt, delivery.status, delivery.error) == ("delivered", 3, 204, None)


def test_a_sender_that_lost_its_lease_has_nothing_to_say() -> None:
    records = MemoryRecords()
    with receiving(500, 204) as (url, received):
        webhook = a_webhook(url)
        records.add_webhook(webhook)
        cancelled(records)
        now = time.time()
        late = records.take_delivery(now, 1.0)
        assert late is not None
        sender = Sender(records, LOOPBACK)
        assert sender.send_one(now + 2)
        assert sender.send_one(now + 1000)
        assert not records.settle_delivery(late[1].id, late[1].attempt, now, None, "late", 0.0)
    assert {headers["webhook-id"] for headers, _ in received} == {late[1].id}
    assert records.deliveries(webhook.id, Page())[0].state == "delivered"


def test_many_senders_send_each_delivery_once() -> None:
    records = MemoryRecords()
    with receiving(204) as (url, received):
        webhooks = [a_webhook(url) for _ in range(6)]
        for webhook in webhooks:
            records.add_webhook(webhook)
        cancelled(records)
        cancelled(records)
        senders, now = [Sender(records, LOOPBACK) for _ in range(4)], time.time() + 1

        def send_all(sender: Sender) -> None:
            while any(
                one.state == "waiting"
                for webhook in webhooks
                for one in records.deliveries(webhook.id, Page())
            ):
                sender.send_one(now)

        with ThreadPoolExecutor(len(senders)) as pool:
            [*pool.map(send_all, senders)]
    ids = [headers["webhook-id"] for headers, _ in received]
    assert len(ids) == len(set(ids)) == 12


class Breaks(MemoryRecords):
    """Cannot be reached the first time."""

    asked = 0

    def take_delivery(self, now: float, seconds: float) -> tuple[Webhook, Delivery] | None:
        self.asked += 1
        if self.asked == 1:
            raise OSError("the database is away")
        return super().take_delivery(now, seconds)


def test_its_threads_send_by_themselves_outlast_an_error_and_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("app.webhooks.sender.LOOK_SECONDS", LOOK_SECONDS / 50)
    records = Breaks()
    with receiving(204) as (url, received):
        webhook = a_webhook(url)
        records.add_webhook(webhook)
        cancelled(records)
        sender = Sender(records, LOOPBACK)
        sender.start()
        deadline = time.monotonic() + 20
        while records.deliveries(webhook.id, Page())[0].state != "delivered":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        sender.stop()
    assert len(received) == 1
    assert "the database is away" in caplog.text
    assert not any(thread.is_alive() for thread in sender._threads)


def test_a_sender_that_was_never_started_can_be_stopped() -> None:
    Sender(MemoryRecords(), NOBODY).stop()
