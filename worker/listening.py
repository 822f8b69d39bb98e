"""Whether a worker asks its broker for messages."""

from collections.abc import Callable
from typing import Any


def listen(consumer: Any, wanted: bool, ends: Callable[[], bool]) -> None:
    """Ask for messages, or no longer. To be told again and again: a new connection asks. `consumer` is Celery's, which
    does it between two messages; a worker that `ends` asks for none."""
    consumer.call_soon(_ask, consumer, wanted, ends)


def _ask(consumer: Any, wanted: bool, ends: Callable[[], bool]) -> None:
    """On the connection that there is by now. The one before may be lost, and asking that would end the worker."""
    messages = consumer.task_consumer
    if messages is None or messages.channel.connection is None or ends():
        return
    if wanted:
        messages.consume()
    else:
        messages.cancel()
