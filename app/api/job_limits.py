"""What the operator allows a job to take: refused where it asks for more, lowered to it where it leaves it out.

`GET /v1/limits` tells it beforehand.
"""

from pydantic import Field

from app.api.deps import Service
from app.api.problems import documented
from app.api.router import Router
from app.settings import Settings
from winnow.contract.base import ResponseModel
from winnow.contract.errors import FieldError, refusal_of_fields
from winnow.contract.job import MAX_MEMORY_BYTES, Limits

router = Router(prefix="/v1/limits", tags=["limits"])

VARIABLES = {"seconds": "WINNOW_MAX_JOB_SECONDS", "memory_bytes": "WINNOW_MAX_JOB_MEMORY_BYTES"}


class Allowed(ResponseModel):
    """`default` is for who leaves it out."""

    default: int = Field(description="What a job gets that does not say.")
    maximum: int = Field(description="The most that a job may ask for.")


class ServiceLimits(ResponseModel):
    """What this service accepts: the size of an upload, what one archive may unpack to, what one owner may have, and a
    job's `limits`."""

    max_upload_bytes: int = Field(description="Bytes of one upload.")
    max_unpacked_bytes: int = Field(description="Bytes that one archive may unpack to.")
    max_stored_bytes: int | None = Field(
        description="Bytes of uploads and results that one owner may have; null for any number."
    )
    max_open_jobs: int | None = Field(
        description="Jobs that one owner may have that have not finished; null for any number."
    )
    requests_per_minute: int | None = Field(
        description="That one owner may send to each process of the service; null for any number."
    )
    seconds: Allowed = Field(description="Of a job's `limits.seconds`.")
    memory_bytes: Allowed = Field(description="Of a job's `limits.memory_bytes`.")


@router.get("", operation_id="get_limits", responses=documented())
def get_limits(service: Service) -> ServiceLimits:
    """What the operator of this service allows."""
    settings = service.settings
    allowed = {
        name: Allowed(default=min(Limits.model_fields[name].default, most), maximum=most)
        for name, most in maxima(settings).items()
    }
    return ServiceLimits(
        max_upload_bytes=settings.max_upload_bytes,
        max_unpacked_bytes=settings.max_unpacked_bytes,
        max_stored_bytes=settings.max_stored_bytes,
        max_open_jobs=settings.max_open_jobs,
        requests_per_minute=settings.requests_per_minute,
        **allowed,
    )


def maxima(settings: Settings) -> dict[str, int]:
    """Field of `Limits` → the most that may be asked for."""
    return {
        "seconds": settings.max_job_seconds,
        "memory_bytes": settings.max_job_memory_bytes or MAX_MEMORY_BYTES,
    }


def check_limits(settings: Settings, limits: Limits) -> None:
    """Raises `invalid_request` for what asks for more than is allowed."""
    errors = [
        FieldError(
            path=f"limits.{name}",
            detail=f"This service allows at most {most}, not {value}; its operator sets that with {VARIABLES[name]}.",
        )
        for name, most in maxima(settings).items()
        if name in limits.model_fields_set and (value := getattr(limits, name)) > most
    ]
    if errors:
        raise refusal_of_fields(errors)


def lowered(settings: Settings, limits: Limits) -> Limits:
    """What is left out is at most what is allowed."""
    return limits.model_copy(
        update={name: min(getattr(limits, name), most) for name, most in maxima(settings).items()}
    )
