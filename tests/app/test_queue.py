import socket
import time

from app.queue import CeleryQueue
from app.settings import Settings
from app.storage.records import Wake


def test_a_broker_that_is_away_holds_nobody_up() -> None:
    """A request waits for the publication: a second at most, here with room for a busy machine."""
    with socket.socket() as taken:  # bound and not listening: refused at once
        taken.bind(("127.0.0.1", 0))
        queue = CeleryQueue(Settings(broker_url=f"redis://127.0.0.1:{taken.getsockname()[1]}/0"))
        start = time.monotonic()
        assert not queue.publish(Wake(queue="work", id="job_1"))
        assert time.monotonic() - start < 3
