"""`/assets/{version}/{name}`: style sheet, scripts and icon. Their version is a hash of all of them, so that a browser
keeps them for good and asks again for those of another version."""

import hashlib
import re
from pathlib import Path as File
from typing import Annotated, Final

from fastapi import Path, Request, Response

from app.api.conditional import etag, not_modified, unchanged
from app.api.router import Router
from winnow.contract.errors import Refusal

router = Router(prefix="/assets", include_in_schema=False, access="open")

TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FILES: Final = {
    file.name: file.read_bytes()
    for file in sorted(File(__file__).with_name("static").iterdir())
    if file.suffix in TYPES
}
VERSION: Final = hashlib.sha256(b"".join(FILES.values())).hexdigest()[:12]
IMPORTED: Final = re.compile(rb'^import .* from "\./(.+)";$', re.MULTILINE)
FOR_GOOD: Final = "public, max-age=31536000, immutable"


def imports(name: str) -> set[str]:
    """The modules that this script cannot begin without, and those that they cannot."""
    direct = {match.decode() for match in IMPORTED.findall(FILES[name])}
    return direct.union(*map(imports, direct))


MODULES: Final = sorted(imports("main.js"))
"""A page names them, so that a browser fetches all at once in place of one level of imports after the other."""


@router.get("/{version}/{name}")
def asset(
    request: Request,
    version: Annotated[str, Path(description="Hash of all files.")],
    name: Annotated[str, Path(description="Of the file.")],
) -> Response:
    """Another version's address, which a page from before an upgrade has, answers what there is now."""
    if (content := FILES.get(name)) is None:
        raise Refusal("not_found", f"There is no file {name!r}.")
    tag = etag(f"{VERSION}-{name}")
    headers = {"etag": tag, "cache-control": FOR_GOOD if version == VERSION else "no-cache"}
    if unchanged(request, tag):
        return not_modified(tag, headers)
    return Response(content, media_type=TYPES[File(name).suffix], headers=headers)
