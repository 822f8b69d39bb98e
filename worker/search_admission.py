"""Which recipes of a search would be refused as jobs: an open setting may have any of its values, and the door has
looked at a few of them.
"""

from collections.abc import Callable
from functools import cache, partial

from app.admission.check import check
from app.storage.ports import Records
from app.storage.records import Job, Upload, UploadKind
from winnow.contract.dataset import DatasetFacts
from winnow.contract.errors import Problem, Refusal
from winnow.contract.job import ClosedJob, JobRequest
from winnow.contract.model import ModelFacts
from winnow.contract.needed_data import uses
from winnow.contract.other_models import named_models
from winnow.contract.recipe import Recipe
from worker.search.plan import Refuse


def refusals(records: Records, job: Job) -> Refuse:
    """What `POST` would say to each recipe of a job that searches: by the uploads as they are now, which are read once,
    when the first recipe is asked for. Of what is gone or not ready by now nothing is said."""
    request = JobRequest.model_validate(job.request)
    admit = cache(lambda: _admission(records, job.owner, request))

    def refuse(recipe: Recipe) -> Problem | None:
        try:
            admit()(request.closed(recipe))
        except Refusal as refusal:
            return refusal.problem
        return None

    return refuse


def _admission(records: Records, owner: str, request: JobRequest) -> Callable[[ClosedJob], None]:
    named = dict.fromkeys([request.model, *named_models(request.recipe)])
    models = {id: upload for id in named if (upload := _ready(records, owner, "model", id))}
    asked = dict.fromkeys(use.dataset for use in uses(request.data).values())
    datasets = {id: upload for id in asked if (upload := _ready(records, owner, "dataset", id))}
    facts = {id: ModelFacts.model_validate(upload.facts) for id, upload in models.items()}
    return partial(
        check,
        model=facts[request.model],
        datasets={id: DatasetFacts.model_validate(upload.facts) for id, upload in datasets.items()},
        others=facts,
        augmenting={id for id, upload in datasets.items() if upload.declaration.get("augment")},
    )


def _ready(records: Records, owner: str, kind: UploadKind, id: str) -> Upload | None:
    upload = records.upload(owner, kind, id)
    return upload if upload is not None and upload.state == "ready" else None
