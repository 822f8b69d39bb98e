import json
from collections.abc import Iterator
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection
from kombu.transport.virtual import Channel

from app.queue import CeleryQueue, celery_application
from app.settings import Settings
from app.storage.records import Wake


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.fixture
def channel(settings: Settings) -> Iterator[Channel]:
    with celery_application(settings).connection() as connection:
        assert isinstance(connection, Connection)
        yield connection.default_channel


def waiting(settings: Settings) -> list[Path]:
    return list((settings.queue_dir / "waiting").iterdir())


def test_a_message_carries_the_task_and_the_id_as_json(settings: Settings, channel: Channel) -> None:
    assert CeleryQueue(settings).publish(Wake(queue="work", id="job_1"))
    message = channel._get("work")
    assert message["headers"]["task"] == "winnow.run"
    assert message["content-type"] == "application/json"
    assert "job_1" in message["headers"]["argsrepr"]


def test_messages_come_in_order_once_each_and_only_to_their_queue(
    channel: Channel, settings: Settings
) -> None:
    for number in range(3):
        channel._put("work", {"number": number})
    with pytest.raises(Empty):
        channel._get("inspect")
    assert [channel._get("work")["number"] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(Empty):
        channel._get("work")
    assert [path for path in settings.queue_dir.rglob("*") if path.is_file()] == []


def test_a_damaged_message_is_dropped_and_the_next_one_taken(channel: Channel, settings: Settings) -> None:
    (settings.queue_dir / "waiting" / "0_damaged.work.msg").write_text('{"half":')
    channel._put("work", {"whole": True})
    assert channel._get("work") == {"whole": True}
    assert waiting(settings) == []


def test_what_is_in_the_queue_is_whole(channel: Channel, settings: Settings) -> None:
    channel._put("work", {"a": 1})
    (message,) = waiting(settings)
    assert json.loads(message.read_text()) == {"a": 1}
