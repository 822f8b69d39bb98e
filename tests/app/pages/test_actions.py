"""What is done from a page in a real browser: try again, cancel, delete; workers and queue are seen and followed."""

import re

from playwright.sync_api import Page, expect

from tests.support.records import a_worker
from tests.support.served import Served
from winnow.contract.errors import Refusal


def test_a_failed_job_is_tried_again_cancelled_and_deleted(page: Page, api: Served, job: str) -> None:
    api.finish(job, state="failed", problem=Refusal("step_failed", "It broke.").problem.model_dump())
    page.goto(f"{api.url}/jobs/{job}")
    badge = page.locator("h1 .badge")
    expect(badge).to_have_text("failed")
    page.get_by_role("button", name="Try again").click()
    expect(badge).to_have_text("queued")
    page.get_by_role("button", name="Cancel").click()
    expect(badge).to_have_text("cancelled")
    page.on("dialog", lambda asked: asked.accept())
    page.get_by_role("button", name="Delete").click()
    page.wait_for_url("**/jobs")
    assert api.http.get(f"/v1/jobs/{job}").status_code == 404


def test_what_is_in_use_is_not_deleted_and_the_page_says_why(
    page: Page, api: Served, model: str, job: str
) -> None:
    page.on("dialog", lambda asked: asked.accept())
    page.goto(f"{api.url}/models/{model}")
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_role("alert")).to_contain_text(re.compile("use|job"))
    assert api.http.get(f"/v1/models/{model}").status_code == 200


def test_who_declines_deletes_nothing(page: Page, api: Served, dataset: str) -> None:
    page.on("dialog", lambda asked: asked.dismiss())
    page.goto(f"{api.url}/datasets/{dataset}")
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_role("button", name="Delete it")).to_be_enabled()
    assert api.http.get(f"/v1/datasets/{dataset}").status_code == 200


def test_workers_and_the_queue_are_shown_as_they_come(page: Page, api: Served, model: str) -> None:
    page.goto(f"{api.url}/workers")
    expect(page.get_by_text("No worker was seen")).to_be_visible()
    expect(page.get_by_text("No job of yours waits.")).to_be_visible()
    api.parts.records.worker_seen(a_worker(host="anvil"), 0.0)
    steps = [{"kind": "float16"}]
    for name in ("first", "second"):
        asked = {"model": model, "recipe": {"steps": steps}, "name": name}
        assert api.http.post("/v1/jobs", json=asked).status_code == 202
    expect(page.get_by_role("region", name="Workers")).to_contain_text("anvil", timeout=20_000)
    waiting = page.get_by_role("region", name="Jobs that wait")
    for name, place in (("first", "1"), ("second", "2")):
        expect(waiting.get_by_role("row", name=name).get_by_role("cell").nth(1)).to_have_text(place)
