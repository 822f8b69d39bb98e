import re
import time

from app.storage.ids import new_id
from app.storage.kinds import kind_of
from app.storage.records import Job


def test_an_id_says_its_kind_and_is_safe_in_a_url() -> None:
    for prefix in ("mdl", "dst", "job"):
        assert re.fullmatch(rf"{prefix}_[0-9a-z]{{26}}", new_id(prefix))
    assert kind_of(new_id("job")) is Job
    assert kind_of(new_id("mdl")) is not Job


def test_ids_sort_by_the_time_they_were_made() -> None:
    earlier = new_id("job")
    time.sleep(0.002)  # the clock of an id ticks in milliseconds
    assert earlier < new_id("job")


def test_ids_made_at_once_differ() -> None:
    assert len({new_id("job") for _ in range(1000)}) == 1000
