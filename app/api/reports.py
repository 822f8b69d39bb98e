"""A report on its way out: as JSON with or without its raw timings, and as the page that the worker made of it."""

import json
from typing import Annotated, Any, Final

from fastapi import Query, Request, Response

from app.api.accept import HTML
from app.api.conditional import etag, not_modified, unchanged
from app.api.content import attachment, content
from app.api.text import WRITTEN_FLAG
from app.storage.ports import Blobs
from winnow.contract.errors import Refusal

JSON: Final = "application/json"
RAW_FIELDS: Final = ("baseline_samples_ms", "candidate_samples_ms")
POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox"
)
"""A page runs nothing and asks for nothing, whoever wrote it: the child is not trusted. Its pictures are in it."""
MADE_LATER: Final = "`POST /v1/jobs/{}/report/render` has a worker make it."

Raw = Annotated[
    bool,
    Query(description="With the time of each single run in `latency`, which are null else.", examples=[True]),
    WRITTEN_FLAG,
]


def report_json(request: Request, blobs: Blobs, sha256: str, filename: str, raw: bool) -> Response:
    """The report as it was written, or without the raw timings. Raises `storage_unavailable`."""
    if raw:
        answer = content(request, blobs, sha256, filename, JSON)
    else:
        headers = {"content-disposition": attachment(filename)}
        answer = _whole(request, blobs, sha256, f"{sha256}-brief", headers, JSON)
    answer.headers["vary"] = "accept"
    return answer


def report_page(request: Request, blobs: Blobs, sha256: str) -> Response:
    """The page, shown and not downloaded, by us wherever its bytes lie: a store of blobs does not send the headers that
    keep it harmless. Raises `storage_unavailable`."""
    headers = {"content-security-policy": POLICY, "content-disposition": "inline", "vary": "accept"}
    return _whole(request, blobs, sha256, sha256, headers, f"{HTML}; charset=utf-8")


def _whole(
    request: Request, blobs: Blobs, sha256: str, name: str, own: dict[str, str], media_type: str
) -> Response:
    tag = etag(name)
    headers = {"etag": tag, "cache-control": "private, no-cache", **own}
    if unchanged(request, tag):
        return not_modified(tag, headers)
    file = blobs.open(sha256)
    if file is None:
        raise Refusal("storage_unavailable", "The bytes are missing in the store. Tell its operator.")
    with file:
        body = file.read()
    return Response(_brief(body) if media_type == JSON else body, headers=headers, media_type=media_type)


def _brief(report: bytes) -> bytes:
    told: dict[str, Any] = json.loads(report)
    for entry in told.get("latency", ()):
        entry.update(dict.fromkeys(RAW_FIELDS))
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
