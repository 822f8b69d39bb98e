"""Read XML that nobody vouches for: elements and their text, no document type, so no entities."""

from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

MAX_DEPTH: Final = 32


class BadXml(ValueError):
    """The text is no XML, or more than elements and text."""


@dataclass
class Element:
    name: str
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    def all(self, name: str) -> list["Element"]:
        """The children of this name."""
        return [child for child in self.children if child.name == name]

    def first(self, *path: str) -> "Element | None":
        """The first element along this path."""
        element: Element | None = self
        for name in path:
            element = next(iter(element.all(name)), None) if element is not None else None
        return element

    def word(self, *path: str) -> str | None:
        """The text of the first element along this path."""
        element = self.first(*path)
        return element.text.strip() if element is not None else None


def parse_xml(content: bytes) -> Element:
    """Raises `BadXml`."""
    root = Element("")
    stack = [root]

    def start(name: str, _attributes: object) -> None:
        if len(stack) > MAX_DEPTH:
            raise BadXml("it is too deep")
        stack[-1].children.append(Element(name))
        stack.append(stack[-1].children[-1])

    def text(content: str) -> None:
        stack[-1].text += content

    def refuse(*_: object) -> None:
        raise BadXml("it declares a document type, which is not read here")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, lambda _name: stack.pop()
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text, refuse
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise BadXml(f"it is no valid XML ({error})") from error
    return root.children[0]
