"""What Prometheus reads."""

import threading
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from app.storage.memory import MemoryRecords
from app.storage.records import Tally
from tests.support.records import a_worker
from tests.support.served import Served, served

Labels = frozenset[tuple[str, str]]


def scraped(api: Served) -> dict[str, dict[Labels, float]]:
    """Name of a sample → its labels → its value."""
    answer = api.http.get("/metrics")
    assert answer.status_code == 200
    found: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return found


def labels(**named: str) -> Labels:
    return frozenset(named.items())


def test_what_the_records_hold_is_told(api: Served, job: str) -> None:
    api.parts.records.worker_seen(a_worker(queues=("cpu",)), 0.0)
    told = scraped(api)
    assert told["winnow_up"] == {labels(): 1}
    assert told["winnow_jobs"] == {labels(kind="job", state="queued", outcome="none"): 1}
    assert told["winnow_uploads"] == {labels(kind="model", state="ready"): 1}
    assert told["winnow_queue_waiting"] == {labels(queue="cpu"): 1, labels(queue="inspect"): 0}
    assert 0 <= told["winnow_queue_oldest_seconds"][labels(queue="cpu")] < 60
    assert told["winnow_workers"] == {labels(queue="cpu"): 1, labels(queue="inspect"): 0}
    assert 0 < told["winnow_disk_free_bytes"][labels()] <= told["winnow_disk_bytes"][labels()]
    assert told["winnow_stored_bytes"][labels(kind="model")] == 8


def test_a_worker_that_was_not_seen_lately_is_not_live(api: Served) -> None:
    api.parts.records.worker_seen(a_worker(last_seen=1000.0), 0.0)
    assert scraped(api)["winnow_workers"][labels(queue="cpu")] == 0


def test_requests_are_counted_by_template_and_strangers_make_no_labels(tmp_path: Path) -> None:
    with served(tmp_path) as api:
        for id in ("job_1", "job_2"):
            assert api.http.get(f"/v1/jobs/{id}").status_code == 404
        for path in ("/wp-login.php", "/v1/../etc", "/v1/nothing/x"):
            assert api.http.get(path).status_code == 404
        api.http.request("PROPFIND", "/livez")
        api.http.get("/livez", headers={"Host": "evil.example"})
        told = scraped(api)
    assert told["winnow_http_requests_total"] == {
        labels(method="GET", route="/v1/jobs/{id}", status="404"): 2,
        labels(method="GET", route="unknown", status="404"): 3,
        labels(method="GET", route="unknown", status="421"): 1,
        labels(method="other", route="/livez", status="405"): 1,
    }
    taken = labels(method="GET", route="/v1/jobs/{id}")
    assert told["winnow_http_request_seconds_count"][taken] == 2


class Away(MemoryRecords):
    def tally(self) -> Tally:
        raise ConnectionError("secret host")


class Hangs(MemoryRecords):
    def __init__(self) -> None:
        super().__init__()
        self.freed = threading.Event()

    def tally(self) -> Tally:
        self.freed.wait(30)
        return super().tally()


def test_a_database_that_is_away_is_told_and_the_rest_as_well(tmp_path: Path) -> None:
    with served(tmp_path, records=Away()) as api:
        api.http.get("/livez")
        told = scraped(api)
        assert told["winnow_up"] == {labels(): 0}
        assert "winnow_jobs" not in told
        assert labels(method="GET", route="/livez", status="200") in told["winnow_http_requests_total"]
        assert "winnow_disk_free_bytes" in told
        assert "secret" not in api.http.get("/metrics").text


def test_a_database_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    records = Hangs()
    with served(tmp_path, records=records) as api:
        assert scraped(api)["winnow_up"] == {labels(): 0}
        records.freed.set()


class Counting(MemoryRecords):
    asked = 0

    def tally(self) -> Tally:
        self.asked += 1
        return super().tally()


def test_scraping_often_reads_the_records_once(tmp_path: Path) -> None:
    records = Counting()
    with served(tmp_path, records=records) as api:
        for _ in range(20):
            scraped(api)
    assert records.asked == 1


def test_it_answers_an_address_but_no_name_that_was_not_allowed(api: Served) -> None:
    assert api.http.get("/metrics", headers={"Host": "10.1.2.3:8000"}).status_code == 200
    assert api.http.get("/metrics", headers={"Host": "evil.example"}).status_code == 421


def test_it_speaks_openmetrics_to_who_asks_for_it(api: Served) -> None:
    answer = api.http.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    with served(tmp_path, metrics=False) as api:
        assert api.http.get("/metrics").status_code == 404
