"""On kombu's transport in memory, with the loop of Celery's consumer played by hand."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kombu import Connection, Consumer, Queue

from worker.listening import listen


class Looping:
    """What `listen` knows of Celery's consumer."""

    def __init__(self, connection: Connection) -> None:
        self.task_consumer: Consumer | None = Consumer(
            connection.channel(), [Queue("cpu")], auto_declare=True
        )
        self._soon: list[Callable[[], Any]] = []

    def call_soon(self, call: Callable[..., Any], *arguments: Any) -> None:
        self._soon.append(lambda: call(*arguments))

    def turn(self) -> None:
        for call in self._soon:
            call()
        self._soon.clear()


@pytest.fixture
def looping() -> Iterator[Looping]:
    with Connection("memory://") as connection:
        yield Looping(connection)


def asks(looping: Looping) -> bool:
    return looping.task_consumer is not None and looping.task_consumer.consuming_from("cpu")


@pytest.mark.parametrize("wanted", [True, False])
def test_who_listens_asks_for_messages_and_who_does_not_no_longer(looping: Looping, wanted: bool) -> None:
    for each in (not wanted, wanted):
        listen(looping, each, lambda: False)
        looping.turn()
    assert asks(looping) == wanted


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("lost", ["closed", "gone"])
def test_a_connection_that_is_lost_before_it_is_asked_ends_no_worker(
    looping: Looping, wanted: bool, lost: str
) -> None:
    listen(looping, wanted, lambda: False)
    assert looping.task_consumer is not None
    looping.task_consumer.channel.close()
    if lost == "gone":
        looping.task_consumer = None
    looping.turn()
    assert not asks(looping)


def test_who_ends_asks_for_nothing(looping: Looping) -> None:
    listen(looping, True, lambda: True)
    looping.turn()
    assert not asks(looping)
