"""The typed Python client. Start at `Client`."""

from winnow.client.client import Client
from winnow.client.errors import (
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
