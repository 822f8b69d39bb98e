"""What the documents are made of: sections, and tables whose rows begin with code."""

import re
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).parents[2] / "docs"


def sections(page: Path) -> dict[str, str]:
    """Heading of the second level → its text."""
    parts = re.split(r"^## (.+)$", page.read_text(), flags=re.MULTILINE)
    headings = parts[1::2]
    assert len(headings) == len(set(headings)), f"{page.name} has a heading twice"
    return dict(zip(headings, parts[2::2], strict=True))


def rows(text: str) -> dict[str, list[str]]:
    """First cell (without its backticks) → the other cells, of every table row that begins with code."""
    found = re.findall(r"^\| `([^`]+)` \|(.*)\|$", text, flags=re.MULTILINE)
    return {name: [cell.strip() for cell in rest.split(" | ")] for name, rest in found}
