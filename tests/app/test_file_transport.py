import json
import resource
import shutil
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
    return list((settings.queue_dir / "waiting" / "work").iterdir())


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
    channel._put("work", {"whole": True})
    (settings.queue_dir / "waiting" / "work" / "0_damaged.msg").write_text('{"half":')
    assert channel._get("work") == {"whole": True}
    assert waiting(settings) == []


def test_what_is_in_the_queue_is_whole(channel: Channel, settings: Settings) -> None:
    channel._put("work", {"a": 1})
    (message,) = waiting(settings)
    assert json.loads(message.read_text()) == {"a": 1}


def test_messages_are_counted_in_their_queue_until_they_are_taken(
    channel: Channel, settings: Settings
) -> None:
    queue = CeleryQueue(settings)
    assert [queue.length(name) for name in ("inspect", "cpu")] == [0, 0]
    for _ in range(3):
        queue.publish(Wake(queue="work", id="job_1"))
    assert [queue.length(name) for name in ("inspect", "cpu")] == [0, 3]
    channel._get("work")
    assert [queue.length(name) for name in ("inspect", "cpu")] == [0, 2]


def test_of_two_consumers_that_saw_the_same_messages_each_is_taken_by_one(settings: Settings) -> None:
    with (
        celery_application(settings).connection() as one,
        celery_application(settings).connection() as other,
    ):
        channels = [one.default_channel, other.default_channel]
        for number in range(6):
            channels[0]._put("work", number)
        taken = [channels[turn % 2]._get("work") for turn in range(6)]
        assert taken == list(range(6))
        channels[1]._put("work", 6)  # comes after both have seen that there is nothing more
        assert channels[0]._get("work") == 6
        with pytest.raises(Empty):
            channels[1]._get("work")


def test_a_queue_whose_folder_was_removed_makes_it_again(channel: Channel, settings: Settings) -> None:
    shutil.rmtree(settings.queue_dir)
    assert CeleryQueue(settings).publish(Wake(queue="work", id="job_1"))
    assert channel._get("work")["headers"]["task"] == "winnow.run"


def test_a_message_that_does_not_fit_on_the_disk_leaves_nothing(settings: Settings, channel: Channel) -> None:
    channel._put("work", {})
    channel._purge("work")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            channel._put("work", {"text": "x" * 1000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path for path in settings.queue_dir.rglob("*") if path.is_file()] == []
