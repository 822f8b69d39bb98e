"""The port `Webhooks`, and what other ports tell webhooks, as every store has to keep it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.storage import deliveries as law
from app.storage.ids import new_id
from app.storage.ports import Records, TooMany
from app.storage.records import MAX_WEBHOOKS, Delivery, Page, Webhook
from tests.support.records import a_job, an_upload
from winnow.contract.webhook import EVENT_TYPES


def a_webhook(**fields: Any) -> Webhook:
    made: dict[str, Any] = {
        "id": new_id("whk"),
        "url": "https://hooks.example.com/winnow?a=1",
        "events": EVENT_TYPES,
        "secret": "whsec_a2V5",
        "created_at": 900.0,
    }
    return Webhook(**made | fields)


def added(records: Records, **fields: Any) -> Webhook:
    webhook = a_webhook(**fields)
    records.add_webhook(webhook)
    return webhook


def a_ready_model(records: Records, sha256: str = "a" * 64, now: float = 1002.0, **fields: Any) -> str:
    model, _ = records.add_upload(an_upload(sha256, **fields))
    assert records.claim(model.id, 1001.0, 30.0)
    assert records.finish(model.id, 1, now, {"state": "ready", "facts": {}})
    return model.id


def told(records: Records, webhook: Webhook) -> list[str]:
    """The events, the newest first."""
    return [delivery.event for delivery in records.deliveries(webhook.id, Page())]


def taken(records: Records, now: float, seconds: float = 30.0) -> Delivery:
    found = records.take_delivery(now, seconds)
    assert found is not None
    return found[1]


def test_a_webhook_comes_back_as_it_was_put_to_its_owner_only(records: Records) -> None:
    webhook = added(records, events=("job.failed", "model.ready"))
    assert records.webhook("local", webhook.id) == webhook
    assert records.webhooks("local", Page()) == [webhook]
    assert records.webhook("somebody", webhook.id) is None
    assert records.webhooks("somebody", Page()) == []
    assert not records.delete_webhook("somebody", webhook.id)
    assert records.delete_webhook("local", webhook.id)
    assert not records.delete_webhook("local", webhook.id)
    assert records.webhook("local", webhook.id) is None


def test_one_owner_has_so_many_and_no_more(records: Records) -> None:
    for _ in range(MAX_WEBHOOKS):
        added(records)
    with pytest.raises(TooMany):
        added(records)
    added(records, owner="somebody")


def test_webhooks_are_listed_in_pages_from_new_to_old(records: Records) -> None:
    old, new = added(records), added(records, created_at=901.0)
    assert records.webhooks("local", Page(limit=1)) == [new]
    assert records.webhooks("local", Page(after=(new.created_at, new.id))) == [old]


def test_the_end_of_a_job_is_told_with_what_it_came_to(records: Records) -> None:
    webhook = added(records)
    job, _ = records.add_job(a_job(request={"name": "smaller"}, tags={"team": "vision"}), None)
    assert records.claim(job.id, 1001.0, 30.0)
    assert told(records, webhook) == []
    assert records.finish(job.id, 1, 1002.5, {"state": "succeeded", "outcome": "accepted"})
    [delivery] = records.deliveries(webhook.id, Page())
    assert (delivery.event, delivery.state, delivery.attempt) == ("job.succeeded", "waiting", 0)
    assert (delivery.created_at, delivery.next_at) == (1002.5, 1002.5)
    assert delivery.payload == {
        "type": "job.succeeded",
        "timestamp": "1970-01-01T00:16:42.500000Z",
        "data": {
            "id": job.id,
            "name": "smaller",
            "state": "succeeded",
            "outcome": "accepted",
            "tags": {"team": "vision"},
            "problem": None,
        },
    }


def test_every_end_is_told_however_it_comes(records: Records) -> None:
    webhook = added(records)
    cancelled, _ = records.add_job(a_job(), None)
    records.cancel_job("local", cancelled.id, 1001.0)
    records.cancel_job("local", cancelled.id, 1001.5)
    lost, _ = records.add_job(a_job(max_attempts=1), None)
    assert records.claim(lost.id, 1002.0, 1.0)
    records.reap(1004.0, 15.0)
    search, _ = records.add_job(a_job(searches=True, created_at=1005.0), None)
    records.cancel_job("local", search.id, 1006.0)
    a_ready_model(records, now=1007.0)
    dataset, _ = records.add_upload(an_upload(kind="dataset", max_attempts=1))
    assert records.claim(dataset.id, 1008.0, 30.0)
    records.release(dataset.id, 1, 1009.0)
    deliveries = records.deliveries(webhook.id, Page())
    assert [delivery.event for delivery in reversed(deliveries)] == [
        *("job.cancelled", "job.failed", "job.cancelled", "model.ready", "dataset.rejected")
    ]
    assert deliveries[0].payload["data"]["problem"]["code"] == "worker_lost"


def test_only_what_was_asked_for_is_told_and_only_of_ones_own(records: Records) -> None:
    webhook = added(records, events=("job.failed",))
    others = added(records, owner="somebody")
    a_ready_model(records)
    job, _ = records.add_job(a_job(), None)
    records.cancel_job("local", job.id, 1001.0)
    assert (told(records, webhook), told(records, others)) == ([], [])


def test_what_is_refused_tells_nothing(records: Records) -> None:
    webhook = added(records)
    job, _ = records.add_job(a_job(), None)
    assert records.claim(job.id, 1001.0, 30.0)
    assert not records.finish(job.id, 2, 1002.0, {"state": "succeeded"})
    assert told(records, webhook) == []


def test_one_is_taken_by_one_sender_until_its_time_is_over(records: Records) -> None:
    webhook = added(records)
    a_ready_model(records)
    assert records.take_delivery(1001.0, 30.0) is None
    first = records.take_delivery(1003.0, 30.0)
    assert first is not None
    assert (first[0], first[1].attempt, first[1].lease_until) == (webhook, 1, 1033.0)
    assert records.take_delivery(1032.0, 30.0) is None
    again = taken(records, 1033.0)
    assert (again.id, again.attempt, again.payload) == (first[1].id, 2, first[1].payload)
    assert not records.settle_delivery(again.id, 1, 1034.0, 204, None, 0.0)
    assert records.settle_delivery(again.id, 2, 1034.0, 204, None, 0.0)
    assert not records.settle_delivery(again.id, 2, 1034.0, 204, None, 0.0)


def test_what_arrived_is_not_sent_again_until_it_is_replayed(records: Records) -> None:
    webhook = added(records)
    a_ready_model(records)
    sent = taken(records, 1003.0)
    assert records.settle_delivery(sent.id, 1, 1004.0, 204, None, 0.0)
    [delivered] = records.deliveries(webhook.id, Page())
    assert (delivered.state, delivered.status, delivered.next_at) == ("delivered", 204, None)
    assert records.take_delivery(9e9, 30.0) is None
    assert records.replay_delivery("whk_other", sent.id, 2000.0) is None
    replayed = records.replay_delivery(webhook.id, sent.id, 2000.0)
    assert replayed is not None
    assert (replayed.state, replayed.next_at) == ("waiting", 2000.0)
    assert (taken(records, 2000.0).id, taken(records, 2031.0).attempt) == (sent.id, 3)


def test_what_fails_is_tried_later_and_at_last_given_up(records: Records) -> None:
    webhook = added(records)
    a_ready_model(records)
    now = 1003.0
    for attempt in range(1, law.MAX_ATTEMPTS + 1):
        sent = taken(records, now)
        assert sent.attempt == attempt
        assert records.settle_delivery(sent.id, attempt, now, 500, "It was answered with 500.", 0.0)
        [delivery] = records.deliveries(webhook.id, Page())
        assert (delivery.status, delivery.error) == (500, "It was answered with 500.")
        if attempt < law.MAX_ATTEMPTS:
            assert delivery.next_at == now + law.pause(attempt, 0.0)
            assert records.take_delivery(delivery.next_at - 0.1, 30.0) is None
            now = delivery.next_at
    assert (delivery.state, delivery.next_at) == ("failed", None)
    records.replay_delivery(webhook.id, delivery.id, now)
    sent = taken(records, now)
    assert records.settle_delivery(sent.id, sent.attempt, now, None, "away", 0.0)
    assert records.deliveries(webhook.id, Page())[0].next_at == now + law.pause(1, 0.0)


def test_a_delivery_that_ends_all_its_senders_is_given_up(records: Records) -> None:
    webhook = added(records)
    a_ready_model(records)
    for attempt in range(law.MAX_ATTEMPTS):
        taken(records, 1003.0 + attempt, seconds=1.0)
    assert records.take_delivery(2000.0, 1.0) is None
    [delivery] = records.deliveries(webhook.id, Page())
    assert (delivery.state, delivery.error, delivery.lease_until) == ("failed", law.NOT_TOLD, None)


def test_a_webhook_gets_one_after_the_other_and_holds_up_no_other_one(records: Records) -> None:
    slow, quick = added(records), added(records, events=("job.cancelled",))
    a_ready_model(records)
    job, _ = records.add_job(a_job(), None)
    records.cancel_job("local", job.id, 1003.0)
    first, second = taken(records, 1004.0), taken(records, 1004.0)
    assert (first.webhook, second.webhook) == (slow.id, quick.id)
    assert records.take_delivery(1004.0, 30.0) is None
    assert records.settle_delivery(first.id, 1, 1005.0, 204, None, 0.0)
    assert taken(records, 1005.0).webhook == slow.id


def test_many_senders_at_once_never_have_the_same(records: Records) -> None:
    for _ in range(4):
        added(records)
    a_ready_model(records)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: records.take_delivery(1003.0, 30.0), range(8)))
    ids = [one[1].id for one in found if one is not None]
    while (one := records.take_delivery(1003.0, 30.0)) is not None:  # whom another held back for a moment
        ids.append(one[1].id)
    assert len(ids) == len(set(ids)) == 4


def test_deliveries_go_with_their_webhook_and_by_age_once_they_have_ended(records: Records) -> None:
    gone, kept = added(records), added(records)
    a_ready_model(records)
    assert records.delete_webhook("local", gone.id)
    assert records.deliveries(gone.id, Page()) == []
    assert records.forget_deliveries(2000.0) == 0
    sent = taken(records, 1003.0)
    assert records.settle_delivery(sent.id, 1, 1004.0, 204, None, 0.0)
    assert records.forget_deliveries(1002.0) == 0
    assert records.forget_deliveries(1003.0) == 1
    assert records.deliveries(kept.id, Page()) == []


@given(st.integers(1, 50), st.floats(0, 1, exclude_max=True))
def test_pauses_grow_and_have_an_end(tries: int, chance: float) -> None:
    longest = law.pause(tries, 1.0)
    assert longest / 2 <= law.pause(tries, chance) <= longest <= law.LONGEST_PAUSE_SECONDS
    assert longest <= law.pause(tries + 1, 1.0)
