"""Talk to a Winnow service from Python: upload a model, get back a smaller and faster ONNX file, measured.

from winnow import Client

with Client() as client:
    model = client.upload_model("model.onnx")
"""

from importlib import import_module
from typing import TYPE_CHECKING

__all__ = [
    "Client",
    "ClientError",
    "DamagedTransfer",
    "Dataset",
    "Declaration",
    "Job",
    "JobFailed",
    "JobRequest",
    "Model",
    "Problem",
    "Recipe",
    "Report",
    "Requirements",
    "ServiceProblem",
    "ServiceUnreachable",
    "UnexpectedAnswer",
    "UnusableFile",
    "UploadRejected",
]

if TYPE_CHECKING:
    from winnow.client import (
        Client,
        ClientError,
        DamagedTransfer,
        JobFailed,
        ServiceProblem,
        ServiceUnreachable,
        UnexpectedAnswer,
        UnusableFile,
        UploadRejected,
    )
    from winnow.contract.dataset import Dataset
    from winnow.contract.declaration import Declaration
    from winnow.contract.errors import Problem
    from winnow.contract.job import Job, JobRequest
    from winnow.contract.model import Model
    from winnow.contract.recipe import Recipe, Requirements
    from winnow.contract.report import Report
else:
    HOMES = (
        "client",
        *(
            f"contract.{name}"
            for name in ("dataset", "declaration", "errors", "job", "model", "recipe", "report")
        ),
    )

    def __getattr__(name: str) -> object:
        """Import a name when it is first used: a worker imports `winnow.contract`, and does without httpx."""
        if name in __all__:
            for home in HOMES:
                module = import_module(f"{__name__}.{home}")
                if hasattr(module, name):
                    return getattr(module, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
