"""Connections that send without end, or never; `/livez` and honest uploads meanwhile, within 1,024 descriptors.

Each attack runs in a process of its own against a real `winnow serve`; every 0.1 s a new connection asks `/livez`, and
an honest client uploads 4 MiB at about 5 MiB/s, again and again.
"""

import contextlib
import multiprocessing
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import psutil

from benchmarks.parts import Row
from tests.support.service import Service, service

PART = "connections"
DESCRIPTORS = 1024
MOST_SECONDS = 1.0
MOST_GROWTH = 100 * 2**20
GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
UPLOAD = bytes([0x08, 10, 0x3A, 0x80, 0x80, 0x80, 2])  # ir_version, and a graph of 4 MiB
TESTS = "tests/app/server/test_protocol.py::"
BROWSERS = "tests/app/api/test_browsers.py::"

HELD = {
    "Host of another name (DNS rebinding)": BROWSERS + "test_another_name_is_refused_whatever_it_asks_for",
    "Host: missing, twice, malformed": BROWSERS + "test_a_request_has_exactly_one_host",
    "Host: every text (law)": "tests/app/test_hosts.py",
    "probes by a container's address": BROWSERS + "test_probes_may_call_by_any_address_but_by_no_name",
    "compose and health checks": "tests/test_containers.py::"
    "test_the_api_answers_to_the_names_by_which_its_containers_are_asked",
    "Origin, Sec-Fetch-Site of another page": BROWSERS + "test_nothing_can_be_changed_from_elsewhere",
    "Origin: every text (law)": BROWSERS + "test_no_other_text_is_an_own_origin",
    "a plain form uploads": BROWSERS + "test_a_form_of_another_site_is_refused_before_its_body_is_read",
    "CORS preflight": BROWSERS + "test_a_preflight_gets_no_permission",
    "nosniff, Content-Security-Policy": "tests/app/api/test_security_headers.py",
    "/docs without a CDN": "tests/app/api/test_docs_page.py",
    "headers without end: 431": TESTS + "test_heads_and_what_surrounds_chunks_without_end_are_refused",
    "a head that drips": TESTS + "test_a_head_has_to_be_complete_in_time",
    "30 s idle": TESTS + "test_a_connection_without_a_request_is_closed",
    "a body below 1 kB/s": TESTS + "test_a_body_has_to_move",
    "a slow, steady body is taken": TESTS
    + "test_a_body_that_is_slow_but_steady_may_take_as_long_as_it_takes",
    "a client that reads nothing": TESTS + "test_an_answer_that_nobody_reads_is_given_up",
    "more connections than descriptors": TESTS
    + "test_when_all_are_taken_the_one_that_was_waited_for_the_longest_makes_room",
    "descriptors are left for the store (law)": "tests/app/server/test_limits.py",
    "request smuggling": TESTS + "test_what_two_readers_could_read_differently_is_malformed",
    "floods of pipelined requests": TESTS
    + "test_a_flood_of_waiting_requests_is_answered_up_to_the_bound_and_then_refused",
    "event streams without number": "tests/app/api/test_events.py::test_streams_are_bounded",
    "a request id in every answer and log line": "tests/app/api/test_request_id.py",
}

Address = tuple[str, int]
Attack = Callable[[Address, float], str]


def rows(folder: Path) -> Iterator[Row]:
    with service(
        folder / "data", "--no-workers", under=["prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}", "--"]
    ) as running:
        warmed(running)
        for item, attack, seconds in ATTACKS:
            yield measured(running, item, attack, seconds)


def warmed(running: Service) -> None:
    for _ in range(20):
        answered(address_of(running), upload(address_of(running)))


@dataclass
class Seen:
    """What was seen of the service while it was attacked."""

    latencies: list[float] = field(default_factory=list)
    uploads: Counter[str] = field(default_factory=Counter)
    memory: int = 0
    descriptors: int = 0


def measured(running: Service, item: str, attack: Attack, seconds: float) -> Row:
    before = running.main.memory_info().rss
    seen, over = Seen(), Event()
    watchers = [
        Thread(target=watch, args=(running, seen, over)),
        Thread(target=uploads, args=(running, seen, over)),
    ]
    for watcher in watchers:
        watcher.start()
    said = attacked(attack, address_of(running), seconds)
    over.set()
    for watcher in watchers:
        watcher.join()
    worst, growth = max(seen.latencies), seen.memory - before
    done, failed = seen.uploads.pop("done", 0), sum(seen.uploads.values())
    met = worst <= MOST_SECONDS and done > 0 and not failed and growth < MOST_GROWTH
    return Row(
        PART,
        item,
        f"/livez ≤ {MOST_SECONDS:g} s, uploads go on, < 100 MiB more",
        f"/livez at most {worst * 1000:.0f} ms of {len(seen.latencies)}; {done} uploads, {failed} failed; "
        f"{growth / 2**20:+.0f} MiB; {seen.descriptors} descriptors; {said}",
        met,
    )


def attacked(attack: Attack, address: Address, seconds: float) -> str:
    """In a process of its own, so that it does not slow down those that measure; what it says of itself."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=lambda: theirs.send(attack(address, seconds)))
    process.start()
    said = str(ours.recv()) if ours.poll(seconds + 60) else "the attack did not end"
    process.kill()
    process.join()
    return said


def watch(running: Service, seen: Seen, over: Event) -> None:
    while not over.wait(0.1):
        begun = time.monotonic()
        status = answered(address_of(running), GET + b"Connection: close\r\n\r\n")
        seen.latencies.append(time.monotonic() - begun if status == "200" else float("inf"))
        with contextlib.suppress(psutil.Error):
            seen.memory = max(seen.memory, running.main.memory_info().rss)
            seen.descriptors = max(seen.descriptors, running.main.num_fds())


def uploads(running: Service, seen: Seen, over: Event) -> None:
    while not over.is_set():
        status = answered(address_of(running), upload(address_of(running)), pause=0.01)
        seen.uploads["done" if status in ("200", "201") else status] += 1


def upload(address: Address) -> bytes:
    content = UPLOAD + os.urandom(4 * 2**20)
    return POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(content) + content


def answered(address: Address, request: bytes, pause: float = 0.0) -> str:
    """The status, or what happened in its place. `pause`: seconds after each 64 KiB."""
    try:
        with socket.create_connection(address, timeout=20) as connection:
            for at in range(0, len(request), 65536):
                connection.sendall(request[at : at + 65536])
                time.sleep(pause)
            return status_of(connection)
    except OSError as error:
        return type(error).__name__


def status_of(connection: socket.socket) -> str:
    return (connection.recv(65536).split() or [b"", b"closed"])[1].decode()


def address_of(running: Service) -> Address:
    host, port = running.url.removeprefix("http://").split(":")
    return host, int(port)


# --- attacks: bounded loops, each says what became of it


def endless(head: bytes, piece: bytes, size: int) -> Attack:
    """One connection after the other sends `size` bytes after a head, however it is answered."""

    def attack(address: Address, seconds: float) -> str:
        statuses: Counter[str] = Counter()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            statuses[sent_without_end(address, head, piece, size)] += 1
        return told(statuses)

    return attack


def sent_without_end(address: Address, head: bytes, piece: bytes, size: int) -> str:
    block = piece * (65536 // len(piece))
    with socket.create_connection(address, timeout=20) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(head)
            for _ in range(size // len(block)):
                connection.sendall(block)
        with contextlib.suppress(OSError):
            return status_of(connection)
    return "closed"


def unfinished(count: int) -> Attack:
    """So many connections begin a request each and never finish it."""

    def attack(address: Address, seconds: float) -> str:
        crowd = opened(address, count, GET)
        time.sleep(seconds)
        return f"{len(crowd)} opened, {sum(not is_closed(it) for it in crowd)} still open"

    return attack


def opened(address: Address, count: int, sent: bytes) -> list[socket.socket]:
    crowd = []
    for _ in range(count):
        with contextlib.suppress(OSError):
            crowd.append(socket.create_connection(address, timeout=20))
            crowd[-1].sendall(sent)
    return crowd


def is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def reconnecting(address: Address, seconds: float) -> str:
    until, count = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        opened(address, 50, GET)  # closed at once, when they are collected
        count += 50
    return f"{count} connections"


def dripping(begun: bytes, piece: bytes, count: int) -> Attack:
    """So many connections begin with `begun` and add a piece each second."""

    def attack(address: Address, seconds: float) -> str:
        crowd = opened(address, count, begun)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for connection in crowd:
                with contextlib.suppress(OSError):
                    connection.send(piece)
            time.sleep(1)
        kinds = Counter(status_now(connection) for connection in crowd)
        return told(kinds)

    return attack


def status_now(connection: socket.socket) -> str:
    connection.settimeout(0.01)
    try:
        return status_of(connection)
    except TimeoutError:
        return "still open"
    except OSError:
        return "closed"


def not_reading(address: Address, seconds: float) -> str:
    """100 connections ask for a model of 64 MiB each and read nothing of it."""
    content = bytes([0x08, 10, 0x3A, 0x80, 0x80, 0x80, 32]) + bytes(64 * 2**20)
    head = POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(content)
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(head + content)
        answer = connection.recv(65536).decode()
    path = answer.split("location: ")[1].split("\r\n")[0]
    crowd = opened(address, 100, f"GET {path}/content HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    time.sleep(seconds)
    ended = sum(gave_up(connection) for connection in crowd)
    return f"{len(crowd)} asked, {ended} given up"


def gave_up(connection: socket.socket) -> bool:
    """Whether less than all comes: what was on its way is read."""
    connection.settimeout(0.2)
    size = 0
    try:
        while part := connection.recv(2**20):
            size += len(part)
    except TimeoutError:
        return False
    except OSError:
        return True
    return size < 64 * 2**20


def told(counted: Counter[str]) -> str:
    return ", ".join(f"{count} × {what}" for what, count in counted.most_common())


ATTACKS: list[tuple[str, Attack, float]] = [
    ("a header of 40 MiB, again and again", endless(GET + b"A: ", b"a", 40 * 2**20), 8),
    ("7 million header fields, again and again", endless(GET, b"A: b\r\n", 40 * 2**20), 8),
    ("a chunk extension of 40 MiB, again and again", endless(CHUNKED + b"5;", b"a", 40 * 2**20), 8),
    ("a trailer of 40 MiB, again and again", endless(CHUNKED + b"0\r\nA: ", b"a", 40 * 2**20), 8),
    ("a request line of 40 MiB, again and again", endless(b"GET /", b"a", 40 * 2**20), 8),
    ("40 MiB of pipelined requests, again and again", endless(b"", GET + b"\r\n", 40 * 2**20), 8),
    ("1,100 connections that never finish", unfinished(1100), 8),
    ("3,000 connections that never finish", unfinished(3000), 8),
    ("connections as fast as they can be made", reconnecting, 8),
    ("300 heads that drip", dripping(GET + b"A: ", b"a", 300), 40),
    (
        "300 bodies of 100 bytes a second",
        dripping(POST + b"Content-Length: 1000000\r\n\r\n", b"a" * 100, 300),
        40,
    ),
    ("100 downloads that nobody reads", not_reading, 40),
]
