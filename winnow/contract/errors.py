"""What can go wrong, as data: RFC 9457 problems with stable codes.

    Refusal                 carries a Problem; raised by the service and the library alike
    └── (no subclasses)     the code tells them apart; `CODES` is the whole list

A code, once published, keeps its meaning. `detail` says what was expected, what came and what to do.
"""

from collections.abc import Sequence
from typing import Final

from pydantic import Field

from winnow.contract.base import ResponseModel

CODES: Final[dict[str, tuple[int, str]]] = {
    # the request itself
    "malformed_request": (400, "The request could not be read"),
    "digest_mismatch": (400, "The bytes do not match the digest sent with them"),
    "key_needed": (401, "The request does not say who sends it"),
    "key_unknown": (401, "There is no such key"),
    "key_expired": (401, "The key has expired"),
    "key_revoked": (401, "The key was revoked"),
    "session_ended": (401, "The session has ended"),
    "token_invalid": (401, "The token is not accepted here"),
    "token_expired": (401, "The token has expired"),
    "scope_missing": (403, "The key does not allow this"),
    "link_invalid": (403, "The link is none of this service's"),
    "cross_origin": (403, "A page of another site may not change things here"),
    "not_found": (404, "There is no such thing"),
    "method_not_allowed": (405, "This address does not answer that method"),
    "request_timeout": (408, "The request arrived too slowly"),
    "link_expired": (410, "The link has expired"),
    "tus_version": (412, "The request is of another version of tus"),
    "upload_too_large": (413, "The upload is larger than this service accepts"),
    "unknown_format": (415, "The bytes are no format this service reads"),
    "unsupported_media_type": (415, "The request body has the wrong content type"),
    "range_not_satisfiable": (416, "The range lies outside the content"),
    "host_not_allowed": (421, "This service does not answer to that name"),
    "invalid_request": (422, "The request does not fit its schema"),
    "too_many_requests": (429, "More requests came than one owner may send"),
    "checksum_mismatch": (460, "The bytes do not match the checksum sent with them"),
    "headers_too_large": (431, "The headers are larger than this service reads"),
    "empty_upload": (422, "The upload is empty"),
    "idempotency_conflict": (422, "This idempotency key was used with another request"),
    "address_not_allowed": (422, "The service does not send to that address"),
    # the state of things
    "model_not_ready": (409, "The model is not ready"),
    "dataset_not_ready": (409, "The dataset is not ready"),
    "in_use": (409, "A job uses this"),
    "declaration_fixed": (409, "The declaration can no longer change"),
    "job_not_finished": (409, "The job has not finished"),
    "job_finished": (409, "The job has already finished"),
    "job_not_retryable": (409, "The job cannot be retried"),
    "no_artifact": (409, "The job has no artifact"),
    "keys_disabled": (409, "This service takes no keys"),
    "last_admin_key": (409, "This is the last key that can administer"),
    "too_many_jobs": (429, "One owner may not have more unfinished jobs"),
    "offset_conflict": (409, "The part does not begin where the last one ended"),
    "too_many_uploads": (409, "There is no room for another open upload"),
    "upload_busy": (423, "Another request is sending to this upload"),
    "too_many_webhooks": (409, "There is no room for another webhook"),
    # uploads that are refused, at the door or by inspection
    "invalid_model": (422, "The model is not valid"),
    "unsupported_type": (422, "The model takes or answers what is no tensor of numbers"),
    "custom_operator": (422, "The model needs operators that are not part of ONNX"),
    "unsafe_archive": (422, "The archive is not safe to unpack"),
    "unsafe_external_data": (422, "The external data is not safe to read"),
    "pickle_refused": (422, "Pickled objects are never loaded"),
    "torchscript_disabled": (422, "TorchScript is switched off"),
    "inputs_undeclared": (422, "The format does not carry its inputs"),
    "conversion_failed": (422, "The model could not be converted to ONNX"),
    "invalid_dataset": (422, "The dataset is not valid"),
    "invalid_declaration": (422, "The declaration does not fit the dataset"),
    "model_too_complex": (422, "The model expands beyond what is allowed"),
    # recipes that cannot work
    "one_graph_needed": (422, "This works on models of one graph"),
    "missing_data": (422, "The recipe needs data that was not given"),
    "inputs_do_not_fit": (422, "The data does not fit the model's inputs"),
    "labels_do_not_fit": (422, "The labels do not fit"),
    "outputs_do_not_fit": (422, "The model's outputs are not what the evaluation decodes"),
    "unknown_output": (422, "The model has no such output"),
    "unknown_input": (422, "The model has no such input"),
    "already_quantized": (422, "The model is already quantized"),
    "not_quantized": (422, "The model has no quantization to train"),
    "wrong_order": (422, "The steps are in an order that cannot work"),
    "unsupported_operator": (422, "The model has an operator that cannot be trained"),
    "nothing_to_train": (422, "The model has no weights to train"),
    "does_not_divide": (422, "A layer's size does not divide"),
    "teacher_does_not_fit": (422, "The teacher does not fit the student"),
    "unknown_value": (422, "The model computes no such value"),
    "pattern_matches_nothing": (422, "A pattern matches no layer"),
    "batch_size_fixed": (422, "The model's batch size is fixed"),
    "shape_needed": (422, "A dimension must be given to measure the model"),
    "not_finite": (422, "The data contains NaN or infinity"),
    "empty_slice": (422, "A slice selects no samples"),
    "slice_beyond_data": (422, "A slice reaches beyond the data"),
    "too_few_samples": (422, "The dataset is too small to be split"),
    "target_unavailable": (422, "No worker has the runtime that was asked for"),
    "target_cannot_run": (422, "The target cannot run the model"),
    # jobs that fail
    "nothing_to_quantize": (422, "Nothing could be quantized"),
    "nothing_to_compress": (422, "Nothing could be compressed"),
    "model_does_not_run": (422, "The model does not run"),
    "step_failed": (422, "A step could not be done"),
    "training_diverged": (422, "The training diverged"),
    "time_limit_exceeded": (422, "The time limit was reached"),
    "memory_limit_exceeded": (422, "The memory limit was reached"),
    "measuring_busy": (503, "The machine was busy measuring"),
    "worker_lost": (500, "Every attempt ended before it could finish"),
    # the service
    "internal_error": (500, "Something failed on our side"),
    "too_busy": (503, "The service has no room for this now"),
    "storage_unavailable": (503, "The storage cannot be reached"),
    "issuer_unreachable": (503, "The issuer of tokens cannot be reached"),
    "quota_exceeded": (507, "One owner may not store more"),
    "disk_full": (507, "There is no room left to store this"),
}
"""code → (HTTP status, title)."""

TYPE_PREFIX: Final = "https://winnow.dev/problems/"


MAX_ERRORS: Final = 100
"""Of the faults that one problem lists; `detail` says that there are more."""

MAX_COLLECTED: Final = MAX_ERRORS + 1
"""Of the faults that are looked for in one text: the last says that there are more."""

MAX_SENTENCES: Final = 5
"""Of the faults that `detail` names itself."""


class FieldError(ResponseModel):
    """One fault of a request: where it is, and what is wrong there."""

    path: str = Field(
        description="Where in the request: keys and positions joined by dots, or the name of a parameter, form field "
        "or header.",
    )
    detail: str = Field(description="What was expected, what came, and what to do.")


class Problem(ResponseModel):
    """An RFC 9457 problem. `field` is the path of what was wrong in the request, `layer` a node of the model."""

    type: str = Field(description="A URI that names the kind of problem; it ends with the code.")
    title: str = Field(
        description="The kind of problem in a few words, the same for every problem of its code."
    )
    status: int = Field(description="The HTTP status of the answer that carried it, or would have.")
    code: str = Field(
        description="The kind of problem, for programs. A code that was published keeps its meaning.",
        json_schema_extra={"enum": [*CODES]},
    )
    detail: str = Field(description="What was expected, what came, and what to do, for people.")
    field: str | None = Field(
        description="Path of the first fault in the request; null where it has no place there."
    )
    layer: str | None = Field(
        description="Name of the node of the model that it is about; null for the others."
    )
    errors: list[FieldError] = Field(
        default_factory=list,
        description=f"Every fault that has a place in the request, the first one too; at most {MAX_ERRORS}.",
    )
    request_id: str | None = Field(
        default=None,
        description="Of the request that it answers, as in X-Request-Id and in the service's log; null in the record "
        "of an upload or job.",
    )


class Refusal(Exception):
    """Something asked for cannot be had. Carries all that the asker needs to know; `errors` are all the faults, of
    which the problem lists the first. `parts` are the refusals that it was made of, itself where it was made alone.

    `retry_after` is in how many seconds the answer may be another, None where waiting does not help. Raises `KeyError`
    when made with a code that is not in `CODES`.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        layer: str | None = None,
        errors: Sequence[FieldError] = (),
        parts: Sequence["Refusal"] = (),
        retry_after: int | None = None,
    ) -> None:
        status, title = CODES[code]
        own = [] if field is None else [FieldError(path=field, detail=detail)]
        self.errors = [*(errors or own)]
        self.problem = Problem(
            type=TYPE_PREFIX + code,
            title=title,
            status=status,
            code=code,
            detail=detail,
            field=field,
            layer=layer,
            errors=self.errors[:MAX_ERRORS],
        )
        self.parts: Sequence[Refusal] = parts or (self,)
        self.retry_after = retry_after
        super().__init__(f"{code}: {detail}")


def refusal_of_fields(errors: Sequence[FieldError], code: str = "invalid_request") -> Refusal:
    """All these faults as one refusal."""
    sentences = [
        *dict.fromkeys(f"{error.path}: {error.detail}" if error.path else error.detail for error in errors)
    ]
    return Refusal(code, _some_of(sentences), field=errors[0].path or None, errors=errors)


class Refusals:
    """`with refusals:` keeps what is refused inside, and goes on behind it."""

    def __init__(self) -> None:
        self.kept: list[Refusal] = []

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, Refusal):
            self.kept.append(error)
        return isinstance(error, Refusal)

    def raise_all(self) -> None:
        """Raises the first one, with the faults of all of them; nothing when there is none."""
        if len(self.kept) == 1:
            raise self.kept[0]
        if self.kept:
            first, errors = self.kept[0].problem, [error for one in self.kept for error in one.errors]
            elsewhere = [one.problem.detail for one in self.kept if not one.errors]
            details = [*dict.fromkeys([*(error.detail for error in errors), *elsewhere])]
            raise Refusal(
                first.code,
                _some_of(details),
                field=first.field,
                layer=first.layer,
                errors=errors,
                parts=self.parts,
            )

    @property
    def parts(self) -> list[Refusal]:
        """Every refusal by itself, each once."""
        parts = (part for refusal in self.kept for part in refusal.parts)
        return list(
            {(part.problem.code, part.problem.detail, part.problem.field): part for part in parts}.values()
        )


def _some_of(sentences: Sequence[str]) -> str:
    more, most = len(sentences) - MAX_SENTENCES, MAX_ERRORS - MAX_SENTENCES
    count = f"more than {most}" if more > most else more
    return " ".join(sentences[:MAX_SENTENCES]) + (f" And {count} more." if more > 0 else "")
