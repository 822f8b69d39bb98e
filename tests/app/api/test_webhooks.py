"""`/v1/webhooks`, over HTTP."""

import base64
from pathlib import Path
from typing import Any

import pytest

from app.storage.records import MAX_WEBHOOKS, Page
from tests.support.served import Served, served

URL = "https://hooks.example.com/winnow"


def made(api: Served, **fields: Any) -> dict[str, Any]:
    answer = api.http.post("/v1/webhooks", json={"url": URL, "events": ["job.cancelled"], **fields})
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/v1/webhooks/{answer.json()['id']}"
    return dict(answer.json())


def test_the_secret_is_shown_once_and_is_a_key(api: Served) -> None:
    webhook = made(api, events=["job.failed", "model.ready", "job.failed"])
    secret = webhook.pop("secret")
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert webhook["events"] == ["job.failed", "model.ready"]
    assert api.http.get(f"/v1/webhooks/{webhook['id']}").json() == webhook
    assert api.http.get("/v1/webhooks").json() == {"items": [webhook], "next": None}
    assert made(api)["secret"] != secret


def test_what_was_deleted_is_told_nothing_more(api: Served, job: str) -> None:
    webhook = made(api)["id"]
    assert api.http.delete(f"/v1/webhooks/{webhook}").status_code == 204
    for answer in (
        api.http.get(f"/v1/webhooks/{webhook}"),
        api.http.delete(f"/v1/webhooks/{webhook}"),
        api.http.get(f"/v1/webhooks/{webhook}/deliveries"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    api.http.post(f"/v1/jobs/{job}/cancel")
    assert api.parts.records.deliveries(webhook, Page()) == []


@pytest.mark.parametrize(
    "url",
    [
        *(
            "ftp://example.com/",
            "example.com",
            "https://",
            "https://user:word@example.com/",
            "https://ex ample.com",
        ),
        *(
            "https://example.com/#part",
            "https://exämple.com/",
            "https://example.com:99999/",
            "https://[::1/",
            "http:/",
        ),
    ],
)
def test_what_is_no_url_to_send_to_is_refused(api: Served, url: str) -> None:
    answer = api.http.post("/v1/webhooks", json={"url": url, "events": ["job.failed"]})
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (
        422,
        "invalid_request",
        "url",
    )


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "10.0.0.1:8080",
        "[::1]",
        "169.254.169.254",
        "2130706433",
        "0x7f.1",
        "[fe80::1]",
    ],
)
def test_an_address_that_is_not_public_is_refused_where_it_is_spelled(api: Served, host: str) -> None:
    answer = api.http.post("/v1/webhooks", json={"url": f"http://{host}/", "events": ["job.failed"]})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (422, "address_not_allowed", "url")
    assert "WINNOW_WEBHOOK_PRIVATE" in problem["detail"]


def test_the_operator_may_allow_other_addresses(tmp_path: Path) -> None:
    with served(tmp_path, webhook_private="10.0.0.0/8") as api:
        made(api, url="http://10.0.0.1:8080/hook")
        answer = api.http.post("/v1/webhooks", json={"url": "http://127.0.0.1/", "events": ["job.failed"]})
        assert answer.json()["code"] == "address_not_allowed"


@pytest.mark.parametrize("events", [[], ["job.running"], None, ["job.failed"] * 8])
def test_events_are_those_that_there_are(api: Served, events: list[str] | None) -> None:
    answer = api.http.post("/v1/webhooks", json={"url": URL, "events": events})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["field"].startswith("events")


def test_one_owner_has_so_many_webhooks_and_no_more(api: Served) -> None:
    for _ in range(MAX_WEBHOOKS):
        made(api)
    answer = api.http.post("/v1/webhooks", json={"url": URL, "events": ["job.failed"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_webhooks")


def test_the_log_tells_what_became_of_a_delivery_and_it_can_be_sent_again(api: Served, job: str) -> None:
    webhook = made(api)["id"]
    api.http.post(f"/v1/jobs/{job}/cancel")
    log = f"/v1/webhooks/{webhook}/deliveries"
    [waiting] = api.http.get(log).json()["items"]
    assert (waiting["state"], waiting["attempts"], waiting["status"], waiting["error"]) == (
        "waiting",
        0,
        None,
        None,
    )
    assert waiting["payload"]["type"] == "job.cancelled"
    assert waiting["payload"]["data"]["id"] == job
    assert waiting["next_at"] == waiting["created_at"]
    taken = api.parts.records.take_delivery(9e9, 30.0)
    assert taken is not None
    assert api.parts.records.settle_delivery(waiting["id"], 1, 9e9, 204, None, 0.0)
    [delivered] = api.http.get(log).json()["items"]
    assert (delivered["state"], delivered["status"], delivered["next_at"]) == ("delivered", 204, None)
    replayed = api.http.post(f"{log}/{waiting['id']}/replay")
    assert replayed.status_code == 202
    assert (replayed.json()["id"], replayed.json()["state"]) == (waiting["id"], "waiting")
    assert replayed.json()["payload"] == waiting["payload"]
    for other in (f"{log}/dlv_1/replay", f"/v1/webhooks/whk_1/deliveries/{waiting['id']}/replay"):
        assert api.http.post(other).json()["code"] == "not_found"
