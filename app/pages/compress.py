"""`/models/{id}/compress`: where a job is put together."""

from secrets import token_hex
from typing import Annotated, Any, Final

from fastapi import Depends, Request, Response

from app.api import datasets, presets, uploads, views
from app.api.deps import ModelId, Owner, Parts, Service
from app.pages.forms.chosen_data import HINTS, NONE, ChosenData, DataQuery, chosen_data, usable
from app.pages.forms.reading import feeds
from app.pages.forms.requirements import REQUIREMENTS
from app.pages.rendering import page
from app.pages.router import page_router
from app.storage.records import Page
from winnow.cli.settings import KINDS
from winnow.contract.data_uses import ROLES, DataUses
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import TASK_METRICS
from winnow.contract.model import Model
from winnow.contract.presets import RecommendationRequest, Recommended, is_search
from winnow.contract.presets import presets as all_presets
from winnow.contract.target import CPU_FEATURES, JobTarget, Precision

router = page_router()

CHOICES: Final = 100
"""So many datasets are looked at, the newest: those that feed the model can be chosen."""

TARGETS: Final[dict[JobTarget, str]] = {
    "onnxruntime-cpu": "a CPU, by ONNX Runtime",
    "openvino-cpu": "a CPU, by OpenVINO",
    "onnxruntime-cuda": "a GPU of NVIDIA, by ONNX Runtime",
    "tensorrt": "a GPU of NVIDIA, by TensorRT: checked by rules, timed on a CPU",
    "qnn": "a Qualcomm NPU, by ONNX Runtime (QNN): checked by rules, timed on a CPU",
    "coreml": "Apple devices, by ONNX Runtime (CoreML): checked by rules, timed on a CPU",
    "webgpu": "browsers and GPUs, by ONNX Runtime (WebGPU): checked by rules, timed on a CPU",
    "nnapi": "Android, by ONNX Runtime (NNAPI): checked by rules, timed on a CPU",
}
PRECISIONS: Final[dict[Precision, str]] = {"f32": "what the file says", "bf16": "bfloat16"}


@router.get("/models/{id}/compress")
def show_compress(
    id: ModelId, request: Request, service: Service, owner: Owner, query: Annotated[DataQuery, Depends()]
) -> Response:
    """What a job is asked for: data, what is required, and how."""
    model = views.model(uploads.find(service, owner, "model", id))
    data = _data(query, model, service, owner)
    listed = datasets.list_datasets(request, service, owner, Page(limit=CHOICES, after=None)).items
    chosen = {each.dataset.id for each in data.chosen}
    newest = {it.id: it for it in listed if it.id not in chosen}
    fitting = {id for id, it in newest.items() if feeds(it, model)}
    return page(
        request,
        "compress.html",
        model=model,
        data=data,
        uses=data.uses.model_dump(mode="json", exclude_defaults=True) if data.fits else {},
        query=query,
        roles=[(role, HINTS[role]) for role in ROLES],
        no_data=NONE,
        offered=[
            *(each.dataset for each in data.chosen if each.fits),
            *(it for id, it in newest.items() if id in fitting),
        ],
        unread=[it for id, it in newest.items() if id not in fitting],
        kinds=[*KINDS],
        suiting=recommended(id, data, service, owner) if model.state == "ready" else [],
        described={info.name: info for info in all_presets()},
        is_search=is_search,
        requirements=REQUIREMENTS,
        tasks=TASK_METRICS,
        targets=TARGETS,
        precisions=PRECISIONS,
        features=CPU_FEATURES,
        key=token_hex(16),
    )


def _data(query: DataQuery, model: Model, service: Parts, owner: str) -> ChosenData:
    """Raises `not_found`, `invalid_request`."""
    try:
        return chosen_data(query, model, service, owner)
    except ValueError as error:
        detail = "Rows are given as FIRST:LAST, the second the row behind the last: 0:512 takes 512."
        raise Refusal("invalid_request", detail) from error


def recommended(id: str, data: ChosenData, service: Parts, owner: str) -> list[Recommended]:
    """Presets for this model, the likeliest first."""
    uses: Any = data.uses if usable(data.chosen) else DataUses()
    return presets.recommend(id, service, owner, RecommendationRequest(data=uses)).items
