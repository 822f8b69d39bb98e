import re
import time

from app.storage.ids import is_job, new_id


def test_an_id_says_its_kind_and_is_safe_in_a_url() -> None:
    for prefix in ("mdl", "dst", "job"):
        assert re.fullmatch(rf"{prefix}_[0-9a-z]{{26}}", new_id(prefix))
    assert is_job(new_id("job"))
    assert not is_job(new_id("mdl"))


def test_ids_sort_by_the_time_they_were_made() -> None:
    earlier = new_id("job")
    time.sleep(0.002)  # the clock of an id ticks in milliseconds
    assert earlier < new_id("job")


def test_ids_made_at_once_differ() -> None:
    assert len({new_id("job") for _ in range(1000)}) == 1000
