"""The typed Python client. Start at `Client`."""

from app.client.client import Client
from app.client.errors import (
    ClientError,
    DamagedTransfer,
    JobFailed,
    ServiceProblem,
    ServiceUnreachable,
    UnexpectedAnswer,
    UnusableFile,
    UploadRejected,
)

__all__ = [
    "Client",
    "ClientError",
    "DamagedTransfer",
    "JobFailed",
    "ServiceProblem",
    "ServiceUnreachable",
    "UnexpectedAnswer",
    "UnusableFile",
    "UploadRejected",
]
