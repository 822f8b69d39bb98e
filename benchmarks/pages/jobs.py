"""1,000 jobs: how long each page of their list takes, and the whole walk through them."""

import re
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from app.storage.open import open_records
from app.storage.records import Job, Upload
from benchmarks.parts import Row
from tests.support.browser import chromium
from tests.support.records import a_job, an_upload
from tests.support.service import Service, service
from winnow.contract.job import JobRequest

JOBS = 1000
MOST_SECONDS = 0.2
STATES = ("succeeded", "failed", "queued", "cancelled")
HTML = {"Accept": "text/html"}
LOADED = "() => performance.getEntriesByType('navigation')[0].loadEventEnd"


def rows(folder: Path) -> Iterator[Row]:
    with service(folder / "var", "--no-workers", WINNOW_LOG_LEVEL="WARNING") as running:
        _fill(running)
        with httpx.Client(base_url=running.url, headers=HTML, timeout=60) as http:
            http.get("/jobs").raise_for_status()
            seconds, count = _walked(http)
        yield _row(f"a page of 50, median of {len(seconds)}", statistics.median(seconds))
        yield _row("the slowest of them", max(seconds))
        yield Row("jobs", "the walk through all", f"{JOBS:,} jobs", f"{count:,} jobs", count == JOBS)
        with chromium() as browser, browser.new_context() as context:
            page = context.new_page()
            page.goto(f"{running.url}/jobs?limit=200")
            seconds = page.evaluate(LOADED) / 1000
            yield Row("jobs", "200 at once, loaded in Chromium", "< 1 s", f"{seconds:.2f} s", seconds < 1)


def _fill(running: Service) -> None:
    records = open_records(running.settings)
    model, _ = records.add_upload(an_upload())
    for number in range(JOBS):
        records.add_job(_job(model, number), None)


def _job(model: Upload, number: int) -> Job:
    asked = {"model": model.id, "name": f"job {number}", "recipe": {"steps": [{"kind": "float16"}]}}
    request = JobRequest.model_validate(asked).model_dump(mode="json")
    return a_job(model, created_at=1000.0 + number, state=STATES[number % len(STATES)], request=request)


def _walked(http: httpx.Client) -> tuple[list[float], int]:
    """Seconds of each page, and how many jobs all of them list."""
    seconds, found, address = list[float](), set[str](), "/jobs"
    while address:
        begun = time.perf_counter()
        text = http.get(address).raise_for_status().text
        seconds.append(time.perf_counter() - begun)
        found |= set(re.findall(r'href="\.\./jobs/(job_\w+)"|href="\./jobs/(job_\w+)"', text))
        older = re.search(r'href="(\?[^"]+)" rel="next"', text)
        address = f"/jobs{older[1].replace('&amp;', '&')}" if older else ""
    return seconds, len(found)


def _row(what: str, seconds: float) -> Row:
    asked, measured = f"< {1000 * MOST_SECONDS:.0f} ms", f"{1000 * seconds:.0f} ms"
    return Row("jobs", what, asked, measured, seconds < MOST_SECONDS)
