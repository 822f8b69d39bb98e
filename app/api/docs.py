"""`/docs`: Swagger UI from an installed package, nothing from elsewhere, no script or style inside the page.

Of the package `fastapi-swagger` only the two files of Swagger UI are used; its code is never imported. Addresses are
relative, so that the page also works behind a proxy that puts a path before ours.
"""

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from fastapi import Request, Response

from app.api.conditional import etag, not_modified, unchanged
from app.api.router import Router

router = Router(prefix="/docs", include_in_schema=False, access="open")

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
KEPT: Final = "public, max-age=86400"
PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Winnow</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</html>
"""
START: Final = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  layout: "BaseLayout",
  presets: [SwaggerUIBundle.presets.apis],
  validatorUrl: null,
});
"""


@router.get("")
def show_docs() -> Response:
    return Response(PAGE, media_type="text/html", headers={"content-security-policy": POLICY})


@router.get("/start.js")
def start_docs(request: Request) -> Response:
    return _script(request, START.encode(), "text/javascript")


@router.get("/swagger-ui-bundle.js")
def swagger_script(request: Request) -> Response:
    return _script(request, swagger_file("swagger-ui-bundle.js"), "text/javascript")


@router.get("/swagger-ui.css")
def swagger_style(request: Request) -> Response:
    return _script(request, swagger_file("swagger-ui.css"), "text/css")


def _script(request: Request, content: bytes, media_type: str) -> Response:
    headers = {"etag": etag(hashlib.sha256(content).hexdigest()), "cache-control": KEPT}
    if unchanged(request, headers["etag"]):
        return not_modified(headers["etag"], headers)
    return Response(content, media_type=media_type, headers=headers)


@cache
def swagger_file(name: str) -> bytes:
    """One of Swagger UI's files. Raises `FileNotFoundError`."""
    spec = find_spec("fastapi_swagger")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the package fastapi-swagger is not installed")
    return (Path(spec.submodule_search_locations[0]) / "resources" / name).read_bytes()
