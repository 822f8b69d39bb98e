"""uvicorn's HTTP/1.1 over llhttp, with bounds: whatever a connection sends or leaves out, the others are served.

    nothing ──first byte──▶ head ──complete──▶ body ──complete──▶ nothing      what is read
                 30 s, 64 KiB,           30 s silence,         30 s until the
                 100 fields              1 kB/s                next request

uvicorn alone bounds neither heads, nor chunk extensions, nor the requests that wait on a connection, nor the time of
anything but the pause between requests. Once a connection is refused nothing of it is parsed any more: it is told why,
then what it still sends is read and dropped for a while, so that the answer is not lost with it.
"""

import asyncio
import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final, Literal

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from app.api.request_id import new_request_id
from app.server.answer import rendered
from app.server.clocks import BodyClock, WriteClock
from app.server.crowd import Crowd
from app.server.head import HeadSize, check_framing, path_of_target
from app.server.limits import ConnectionLimits, limits_of_this_process
from winnow.contract.errors import Refusal

log = logging.getLogger(__name__)

MALFORMED: Final = "The request is no well-formed HTTP/1.1; nothing more is read from this connection."


class BoundedProtocol(HttpToolsProtocol):
    """One connection. For `uvicorn --http app.server.protocol:BoundedProtocol`, and made by `app.server.make`."""

    limits: ClassVar[ConnectionLimits] = limits_of_this_process()
    crowd: ClassVar[Crowd] = Crowd()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        now = self.loop.time()
        self.reading: Literal["nothing", "head", "body"] = "nothing"
        self.since = now
        """When what is read now, or the silence before it, began; of a body: when its last byte came."""
        self._body = BodyClock(self.limits.idle_seconds, self.limits.body_bytes_per_second, now)
        self._write = WriteClock(self.limits.idle_seconds, now)
        self._size = HeadSize(self.limits)
        self._heads = 0
        self._answered = now
        self._refusal: Refusal | None = None
        self._ended = False
        self._lingers_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    # --- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look_later()
        if len(self.connections) > self.limits.connections and not self._make_room():
            self._end_with(
                Refusal("too_busy", "All connections of this service are at work. Try again soon.")
            )
        self.crowd.wait_for(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.crowd.remove(self.transport)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        before, was_read = (self._heads, self._body.bytes), self.reading
        try:
            self.parser.feed_data(data)
            moved = was_read == "nothing" or before != (self._heads, self._body.bytes)
            self._size.add_unframed(0 if moved else len(data))
        except httptools.HttpParserUpgrade:
            self._ended = True  # what follows would be in another protocol; the request itself is answered
        except Refusal as refusal:
            self._end_with(refusal)
        except httptools.HttpParserError:
            self._end_with(self._refusal or Refusal("malformed_request", MALFORMED))

    def resume_writing(self) -> None:
        self._write.moved = self.loop.time()
        super().resume_writing()

    # --- what the parser finds

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.reading, self.since = "head", self.loop.time()
        self._size.restart()

    def on_url(self, url: bytes) -> None:
        with self._remembering_refusal():
            self._size.add(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        with self._remembering_refusal():
            self._size.add_field(name, value)
        if self.reading == "head":  # what follows a body is dropped: the application has its headers
            super().on_header(name, value.rstrip(b" \t"))  # llhttp leaves the space at the end of a line

    def on_headers_complete(self) -> None:
        with self._remembering_refusal():
            self._check_request()
        self.reading, self.since = "body", self.loop.time()
        self._heads += 1
        self._body.restart(self.since)
        super().on_headers_complete()
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self.since = self.loop.time()
        self._body.received(len(body), self.since)
        self.crowd.wait_for(self.transport)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.reading, self.since = "nothing", self.loop.time()
        super().on_message_complete()
        if self.is_busy:
            self.crowd.remove(self.transport)

    def on_response_complete(self) -> None:
        """As uvicorn's, but reads on only when no request waits, and says the last words when there are some."""
        self.server_state.total_requests += 1
        self._answered = self.loop.time()
        if self.reading == "nothing":
            self.since = self._answered
            if not self.pipeline:
                self.crowd.wait_for(self.transport)
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._ended:
            self._say_last_words()
        else:
            self.flow.resume_reading()

    # --- bounds

    def _check_request(self) -> None:
        if len(self.pipeline) >= self.limits.waiting_requests:
            detail = (
                f"{self.limits.waiting_requests} requests wait on this connection. Wait for their answers."
            )
            raise Refusal("too_busy", detail)
        check_framing(self.headers, self.parser.get_http_version())
        self.url = path_of_target(self.parser.get_method(), self.url, self.headers)

    @contextmanager
    def _remembering_refusal(self) -> Iterator[None]:
        """The parser hides why it was stopped."""
        try:
            yield
        except Refusal as refusal:
            self._refusal = refusal
            raise

    def _tick(self) -> None:
        """Look at the clocks. Ends what is late."""
        self._look_later()
        now = self.loop.time()
        if self._write.is_late(self.transport.get_write_buffer_size(), now):
            self.transport.abort()
        elif self._lingers_since is not None:
            if now - self._lingers_since >= self.limits.linger_seconds:
                self.transport.abort()
        elif self.flow.read_paused:  # what does not arrive does not arrive because of us
            self.since = now
            self._body.restart(now)
        elif not self._ended:
            self._check_reading(now)

    def _look_later(self) -> None:
        """At a time of its own, so that connections that came together do not all end in the same moment."""
        later = self.limits.tick_seconds * random.uniform(0.5, 1.0)  # noqa: S311
        self._timer = self.loop.call_later(later, self._tick)

    def _check_reading(self, now: float) -> None:
        silent = now - self.since >= self.limits.idle_seconds
        match self.reading:
            case "nothing" if silent and not self.is_busy:
                self.transport.close()
            case "head" if silent:
                self._end_with(_late("the head of a request has to arrive", self.limits))
            case "body" if self.cycle.response_complete:  # the rest is dropped, for a while
                if now - self._answered >= self.limits.idle_seconds:
                    self._end_with(_late("a body has to end once it is answered", self.limits))
            case "body" if self._body.is_late(now):
                rate = f"at least {self.limits.body_bytes_per_second} bytes a second of a body have to arrive, averaged"
                self._end_with(_late(rate, self.limits))

    # --- the end

    @property
    def is_busy(self) -> bool:
        """Whether a request is worked on or answered."""
        return bool(self.pipeline) or (self.cycle is not None and not self.cycle.response_complete)

    def _make_room(self) -> bool:
        """Whether another connection could be closed for this one."""
        others = (it for it in self.connections if isinstance(it, BoundedProtocol) and it is not self)
        return self.crowd.make_room((it._write.moved, it.transport) for it in others)

    def _end_with(self, refusal: Refusal) -> None:
        """Read nothing more; say why, after the answers to the requests before."""
        self._ended, self._refusal = True, refusal
        cycle = self.cycle
        if self.reading == "body" and cycle is not None and not cycle.response_complete and cycle.more_body:
            self._give_up(cycle)
        elif not self.is_busy:
            self._say_last_words()

    def _give_up(self, cycle: RequestResponseCycle) -> None:
        """End a request whose own body is at fault."""
        if self.pipeline and self.pipeline[0][0] is cycle:  # it has not begun, and others have
            self.pipeline.popleft()
        elif cycle.response_started:
            self.transport.abort()
        else:
            cycle.disconnected = True
            cycle.message_event.set()
            self._say_last_words()

    def _say_last_words(self) -> None:
        """Send the refusal, unless its request was answered already, and close once the client has had time to read."""
        answered = self.reading == "body" and self.cycle is not None and self.cycle.response_complete
        if self._refusal is not None and not answered:
            request_id = new_request_id()
            self.transport.write(rendered(self._refusal, request_id, self.server_state.default_headers))
            log.info(
                "a connection is ended: %s", self._refusal.problem.code, extra={"request_id": request_id}
            )
        self._lingers_since = self.loop.time()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()


def _late(what: str, limits: ConnectionLimits) -> Refusal:
    return Refusal("request_timeout", f"Within {limits.idle_seconds:g} s {what}. Send the request again.")
