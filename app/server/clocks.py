"""When a body that arrives, or an answer that is read, has become too slow. Times are given, in seconds."""

from dataclasses import dataclass


@dataclass
class BodyClock:
    """A body is late after `window` seconds of silence, or when it brought fewer than `rate` bytes a second over a
    window. How long it takes altogether does not matter."""

    window: float
    rate: int
    began: float
    bytes: int = 0
    last: float = 0.0

    def __post_init__(self) -> None:
        self.last = self.began

    def received(self, count: int, now: float) -> None:
        self.bytes += count
        self.last = now

    def restart(self, now: float) -> None:
        """Begin a new window: what came before is forgiven."""
        self.began, self.last, self.bytes = now, now, 0

    def is_late(self, now: float) -> bool:
        elapsed = now - self.began
        if now - self.last >= self.window:
            return True
        if elapsed < self.window:
            return False
        if self.bytes < self.rate * elapsed:
            return True
        self.began, self.bytes = now, 0
        return False


@dataclass
class WriteClock:
    """An answer is late when for `seconds` nothing of what waits to be sent was taken."""

    seconds: float
    moved: float
    waiting: int = 0

    def is_late(self, waiting: int, now: float) -> bool:
        """`waiting` is how many bytes wait now; called again and again."""
        if waiting == 0 or waiting < self.waiting:
            self.moved = now
        self.waiting = waiting
        return now - self.moved >= self.seconds
