"""`python -m tests.support.waiting_job FOLDER`: put a model and a dataset that are ready and a job that waits into the
database of a service, and print their ids."""

import json
import sys

from app.storage.engine import open_engine
from app.storage.sql import SqlRecords
from tests.support.facts import model_facts
from tests.support.records import a_job, an_upload


def main(folder: str) -> None:
    records = SqlRecords(open_engine(f"sqlite:///{folder}/winnow.db"))
    facts = model_facts().model_dump(mode="json")
    model, _ = records.add_upload(an_upload(state="ready", facts=facts))
    dataset, _ = records.add_upload(an_upload("d" * 64, kind="dataset", state="ready"))
    request = {"model": model.id, "recipe": {"steps": [{"kind": "float16"}]}}
    job, _ = records.add_job(a_job(model, request=request), None)
    print(json.dumps({"model": model.id, "dataset": dataset.id, "job": job.id}))


if __name__ == "__main__":
    main(sys.argv[1])
