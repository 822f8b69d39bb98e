"""The files of a bundle, `GET /v1/jobs/{id}/bundle`: a zip of these names, stored, in this order."""

from typing import Final

from winnow.contract.report import Report

ARTIFACT: Final = "model.onnx"
"""What readers of ONNX look for in a repository."""
PACKAGE: Final = "model.zip"
"""The artifact in its place where it is a package: the zip of its graphs."""
REPORT: Final = "report.json"
PAGE: Final = "page.html"
CARD: Final = "README.md"
"""By this name a Hugging Face repository shows it."""
BOM: Final = "bom.cdx.json"
RECIPE: Final = "recipe.json"

NEEDED: Final = (REPORT, CARD, BOM, RECIPE)
"""In every bundle, beside the artifact; the page where the job has one."""
MAX_TEXT_BYTES: Final = 64 * 2**20
"""Of a file that is no artifact: a report of twenty thousand layers has fewer."""


def artifact_of(report: Report) -> str:
    """What the artifact is called in the bundle of a report."""
    return ARTIFACT if report.package is None else PACKAGE
