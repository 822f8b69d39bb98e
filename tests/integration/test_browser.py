"""The whole job in a real browser, on a service with workers; over networks that are slow, break off, and end."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.digits import Digits, digits
from tests.support.service import Service
from winnow.client import Client

pytestmark = pytest.mark.integration

PATIENCE = 120_000.0
"""Milliseconds: other tests run beside this one."""
RECIPE = '{"steps": [{"kind": "weight_only", "bits": {"any_of": [8, 4]}}]}'
LONG = {"steps": [{"kind": "no_op", "seconds": 60}, {"kind": "float16"}]}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    """Data that nobody else has declared."""
    return digits(tmp_path_factory.mktemp("digits"), rows=900)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context() as context:
        context.set_default_timeout(PATIENCE)
        yield context.new_page()


def test_from_a_model_to_its_result(page: Page, winnow: Service, files: Digits, tmp_path: Path) -> None:
    page.goto(winnow.url)
    page.get_by_label("Choose a model").set_input_files(files.model)
    page.wait_for_url("**/models/mdl_*")
    page.get_by_role("link", name="Compress it").click()
    choose_data(page, files)
    ask_for_a_search(page)
    page.wait_for_url("**/jobs/job_*")
    follow_it(page)
    assert_it_is_shown(page)
    assert_its_report_opens(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the result").click()
    got = Path(download.value.path()).read_bytes()
    job = page.url.rpartition("/")[2]
    assert got == httpx.get(f"{winnow.url}/v1/jobs/{job}/artifact").content
    with Client(winnow.url) as client:
        made = client.job(job)
    assert (made.outcome, made.artifact and made.artifact.sha256) == (
        "accepted",
        hashlib.sha256(got).hexdigest(),
    )
    assert_a_page_is_made(page, winnow, job, tmp_path)


def choose_data(page: Page, files: Digits) -> None:
    """Images without an axis for channels: a declaration is proposed, taken, and what comes of it is seen."""
    page.get_by_label("Choose data").set_input_files(files.data)
    page.wait_for_url("**dataset=dst_*")
    expect(page.get_by_text("Proposed")).to_be_visible(timeout=PATIENCE)
    assert '"add_axis": 1' in page.get_by_label("Columns, and how").input_value()
    page.get_by_role("button", name="Read it like this").click()
    pictures = page.locator(".pictures img")
    expect(pictures).to_have_count(6, timeout=PATIENCE)
    assert pictures.first.evaluate("image => image.decode().then(() => image.naturalWidth)") == 8


def ask_for_a_search(page: Page) -> None:
    """First so that it cannot be: what is wrong is said before it is sent."""
    page.get_by_label("File at most this share of the original").fill("0.6")
    page.get_by_label("A recipe of my own").check()
    page.get_by_label("Steps, as JSON").fill('{"steps": [{"kind": "weight_onli"}]}')
    expect(page.locator(".check")).to_contain_text("weight_onli")
    page.get_by_label("Steps, as JSON").fill(RECIPE)
    page.get_by_label("Wanted most").select_option("size")
    page.get_by_label("Trials at most").fill("2")
    page.get_by_label("Name of the job").fill("<b>digits</b>")
    expect(page.locator(".check")).to_contain_text("It fits", timeout=PATIENCE)
    page.get_by_role("button", name="Start the job").click()


def follow_it(page: Page) -> None:
    """The log grows and a trial appears by themselves, also after the page is loaded again."""
    expect(page.get_by_label(re.compile("Waits|At work|Step"))).to_be_visible()
    lines = page.locator("#log li")
    expect(lines.nth(2)).to_be_visible()
    page.reload()
    expect(page.locator("#trials ~ .charts circle").first).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_role("heading", name="accepted")).to_be_visible(timeout=PATIENCE)
    expect(page.locator("#announcement")).to_contain_text("has ended")


def assert_it_is_shown(page: Page) -> None:
    expect(page.get_by_role("heading", name="<b>digits</b>")).to_be_visible()
    expect(page.locator("circle.chosen")).to_have_count(1)
    assert page.locator("circle").count() == 2
    row = page.get_by_role("row", name="max size ratio")
    expect(row).to_contain_text("met")
    expect(page.get_by_role("region", name="Before and after")).to_contain_text("24.1 KiB")
    ids = page.locator("#log li").evaluate_all("all => all.map(it => it.textContent)")
    assert len(ids) == len(set(ids)), "no line twice, though the page was loaded again"


def assert_its_report_opens(page: Page) -> None:
    """As a page, on which a link within leads on though nothing can run. Its model has the first name that it had."""
    page.get_by_role("link", name="Report", exact=True).click()
    expect(page).to_have_title(re.compile(r"^model(\.onnx)?, <b>digits</b>: weight_only – Winnow report$"))
    page.get_by_role("link", name="Layers", exact=True).click()
    expect(page.get_by_role("heading", name="Layers", exact=True)).to_be_in_viewport()
    page.go_back()
    page.go_back()


def assert_a_page_is_made(page: Page, winnow: Service, job: str, folder: Path) -> None:
    """For a job that has none, as one that was imported."""
    with Client(winnow.url) as client:
        imported = client.import_job(client.export(job, folder / "job.tar"))
    page.goto(f"{winnow.url}/jobs/{imported.id}")
    page.get_by_role("button", name="Make the report page").click()
    expect(page.get_by_role("link", name="Report", exact=True)).to_be_visible(timeout=PATIENCE)


def test_a_file_that_is_none_is_refused_and_another_can_be_chosen(
    page: Page, winnow: Service, files: Digits, tmp_path: Path
) -> None:
    (wrong := tmp_path / "model.onnx").write_text("<html>not found</html>")
    page.goto(f"{winnow.url}/models")
    page.get_by_label("Choose a model").set_input_files(wrong)
    expect(page.get_by_role("alert")).to_contain_text("a web page, perhaps a download's error page")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(bytes([8, 10, 58, 4]) + b"grap")
    page.get_by_label("Choose a model").set_input_files(broken)
    page.wait_for_url("**/models/mdl_*")
    expect(page.get_by_role("heading", name="The model is not valid")).to_be_visible(timeout=PATIENCE)


def test_a_page_outlasts_a_restart_and_the_job_is_cancelled_and_deleted(
    page: Page, winnow: Service, files: Digits
) -> None:
    with Client(winnow.url) as client:
        model = client.upload_model(files.model).id
        job = client.submit(model=model, recipe=LONG).id
    page.goto(f"{winnow.url}/jobs/{job}")
    badge = page.locator("h1 .badge")
    expect(badge).to_have_text("running", timeout=PATIENCE)
    winnow.stop()
    expect(page.locator("#announcement")).to_contain_text("cannot be reached", timeout=PATIENCE)
    winnow.start()
    expect(page.get_by_text("attempt 2 of").first).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="Cancel").click()
    expect(badge).to_have_text("cancelled", timeout=PATIENCE)
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    page.wait_for_url("**/jobs")
    assert httpx.get(f"{winnow.url}/v1/jobs/{job}").status_code == 404


def test_an_upload_over_a_slow_network_shows_how_far_it_is_and_can_be_cancelled(
    page: Page, winnow: Service, tmp_path: Path
) -> None:
    np.save(tmp_path / "rows.npy", np.zeros((2**21,), np.uint8))
    slow = page.context.new_cdp_session(page)
    page.goto(f"{winnow.url}/datasets")
    limits = {"offline": False, "latency": 300, "downloadThroughput": 2**20, "uploadThroughput": 2**18}
    slow.send("Network.emulateNetworkConditions", limits)
    page.get_by_label("Choose data").set_input_files(tmp_path / "rows.npy")
    bar = page.get_by_role("progressbar", name="Sending rows.npy")
    expect(bar).to_be_visible()
    page.wait_for_function(
        "() => { const it = document.querySelector('progress'); return it.value > 0 && it.value < 1 }"
    )
    page.get_by_role("button", name="Cancel").click()
    expect(bar).to_be_hidden()
    expect(page.locator("#announcement")).to_have_text("The upload was cancelled.")
    slow.send("Network.emulateNetworkConditions", {**limits, "latency": 0, "uploadThroughput": -1})
    page.get_by_label("Choose data").set_input_files(tmp_path / "rows.npy")
    page.wait_for_url("**/datasets/dst_*")


def test_a_large_upload_that_breaks_off_goes_on_where_it_was(
    page: Page, winnow: Service, tmp_path: Path
) -> None:
    rows = np.zeros((66 * 2**20,), np.uint8)
    rows[-1] = 7
    np.save(tmp_path / "large.npy", rows)
    offsets: list[int] = []
    seen: list[str] = []

    def note(request: Any) -> None:
        if request.method == "PATCH":
            offsets.append(int(request.headers["upload-offset"]))

    def break_the_second_part(route: Any) -> None:
        seen.append(route.request.method)
        if seen == ["HEAD", "PATCH", "PATCH"]:
            route.abort("connectionreset")
        else:
            route.continue_()

    page.goto(f"{winnow.url}/datasets")
    page.on("request", note)
    page.route("**/v1/uploads/datasets/*", break_the_second_part, times=3)
    page.get_by_label("Choose data").set_input_files(tmp_path / "large.npy")
    page.wait_for_url("**/datasets/dst_*")
    part = 16 * 2**20
    assert offsets == [0, part, part, 2 * part, 3 * part, 4 * part]
    sha256 = httpx.get(f"{winnow.url}/v1/datasets/{page.url.rpartition('/')[2]}").json()["sha256"]
    assert sha256 == hashlib.sha256((tmp_path / "large.npy").read_bytes()).hexdigest()
    assert page.evaluate("localStorage.length") == 0
