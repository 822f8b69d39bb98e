"""What a report suggests is sent as it stands, by HTTP, and is taken."""

from pathlib import Path

import httpx
import pytest

from tests.support.digits import DECLARATION, digits
from tests.support.service import Service
from winnow.client import Client

pytestmark = pytest.mark.integration


def test_every_suggestion_of_a_report_is_taken_as_it_is(winnow: Service, tmp_path: Path) -> None:
    files = digits(tmp_path, rows=600)
    with Client(winnow.url) as client:
        model = client.upload_model(files.model).id
        dataset = client.upload_dataset(files.data, DECLARATION).id
        job = client.submit(
            model=model,
            recipe={"steps": [{"kind": "int8_static"}]},
            data={"dataset": dataset},
            evaluation={"metric": "top1"},
            require={"min_snr_db": 90},
            benchmark={"rounds": 9},
            name="too much",
        )
        client.wait(job.id)
        answer = httpx.get(f"{winnow.url}/v1/jobs/{job.id}/report").json()
        (entry,) = answer["requirements"]
        assert (entry["met"], entry["cause"]) == (
            False,
            "All of it comes with step 1 of 1 (int8_static), the only step that changed anything.",
        )
        assert len(answer["next_steps"]) == 3
        for suggestion in answer["next_steps"]:
            taken = httpx.post(f"{winnow.url}/v1/jobs", json=suggestion["request"])
            assert taken.status_code in (201, 202), taken.text
            assert (taken.json()["model"], taken.json()["name"]) == (model, "too much")
            assert taken.json()["data"]["dataset"] == dataset
            assert taken.json()["recipe"] != job.recipe.model_dump(mode="json")
            client.cancel(taken.json()["id"])
            client.wait(taken.json()["id"])
