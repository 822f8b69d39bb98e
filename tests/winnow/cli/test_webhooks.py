"""`winnow webhooks`, from an API that sends nothing itself: the test plays the sender."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.support.records import a_job, an_upload
from tests.support.served import Served, served
from winnow.cli.commands import commands
from winnow.contract.webhook import Delivery, NewWebhook, Webhook

ADDRESS = "https://hooks.example.com/winnow"


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("COLUMNS", "200")
    with served(tmp_path / "data") as running:
        monkeypatch.setenv("WINNOW_URL", running.url)
        yield running


def ask(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(commands, ["webhooks", *arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def made(*options: str) -> NewWebhook:
    return NewWebhook.model_validate_json(ask("create", ADDRESS, *options, "--json").stdout)


def test_a_webhook_is_made_listed_and_deleted(api: Served) -> None:
    told = ask("create", ADDRESS)
    assert told.stdout.startswith("whsec_")
    assert told.stdout.count("\n") == 1, "the secret alone, to be kept in a file"
    assert "tells https://hooks.example.com/winnow of job.succeeded, job.failed, job.cancelled" in told.stderr
    other = made("--event", "model.ready", "--event", "job.failed")
    assert other.events == ["job.failed", "model.ready"]
    newest, oldest = map(Webhook.model_validate_json, ask("list", "--json").stdout.splitlines())
    assert (newest.id, oldest.url) == (other.id, ADDRESS)
    table = ask("list").stdout
    assert other.id in table
    assert "job.failed, model.ready" in table
    assert "whsec_" not in table
    assert json.loads(ask("delete", other.id, "--json").stdout) == {"deleted": other.id}
    assert f"{oldest.id} is deleted" in ask("delete", oldest.id).stderr
    assert ask("list", "--json").stdout == ""


def test_deliveries_are_told_and_sent_again(api: Served) -> None:
    webhook, records = made(), api.parts.records
    used, _ = records.add_upload(an_upload(state="ready"))
    for id in ("job_1", "job_2"):
        records.add_job(a_job(used, id=id), None)
        records.cancel_job("local", id, 2000.0)
    taken = records.take_delivery(9e9, 30.0)
    assert taken is not None
    assert records.settle_delivery(taken[1].id, 1, 2001.0, 500, "the answer is 500", 0.0)
    table = ask("deliveries", webhook.id).stdout
    for fact in ("job.cancelled", "job_1", "job_2", "waiting", "the answer is 500"):
        assert fact in table
    found = [*map(Delivery.model_validate_json, ask("deliveries", webhook.id, "--json").stdout.splitlines())]
    assert {it.payload.data.id for it in found} == {"job_1", "job_2"}
    (tried,) = (it for it in found if it.attempts == 1)
    told = ask("replay", webhook.id, tried.id).stderr
    assert f"{tried.id} is sent again: job.cancelled of {tried.payload.data.id}" in told
    assert Delivery.model_validate_json(ask("replay", webhook.id, tried.id, "--json").stdout).id == tried.id


def test_what_cannot_be_is_a_sentence(api: Served) -> None:
    assert "no webhook 'whk_none'" in ask("deliveries", "whk_none", code=1).stderr
    assert "no webhook 'whk_none'" in ask("delete", "whk_none", code=1).stderr
    assert "no delivery 'dlv_none'" in ask("replay", made().id, "dlv_none", code=1).stderr
    assert "WINNOW_WEBHOOK_PRIVATE" in ask("create", "http://10.0.0.1/", code=1).stderr
    assert "job.succeeded" in ask("create", ADDRESS, "--event", "job.running", code=2).stderr
