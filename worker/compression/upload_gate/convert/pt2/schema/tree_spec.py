"""How a program's arguments and results nest: a tree of tuples, lists and dictionaries, read and written anew.

torch keeps it as JSON in a string, and imports modules for enumerations and default factories that it names.
"""

import json
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator

from worker.compression.upload_gate.convert.pt2.json_text import parse_json
from worker.compression.upload_gate.convert.pt2.schema.data import Data, List
from worker.compression.upload_gate.convert.pt2.schema.names import MAX_NAME, plain_word

MAX_LENGTH: Final = 2**20
PROTOCOL: Final = 1

Kind = Literal[
    "builtins.tuple",
    "builtins.list",
    "builtins.dict",
    "collections.OrderedDict",
    "collections.namedtuple",
    "collections.deque",
]
WRITTEN: Final[dict[Kind, str]] = {
    "builtins.tuple": "builtins.tuple",
    "builtins.list": "builtins.list",
    "builtins.dict": "builtins.dict",
    "collections.OrderedDict": "builtins.dict",
    "collections.namedtuple": "builtins.tuple",
    "collections.deque": "builtins.list",
}
"""What each kind becomes. All flatten in the same order, which is all that a graph without Python knows of them."""


class Tree(Data):
    """A node; a leaf has no type, no context and no children."""

    type: Kind | None
    context: str | None
    children_spec: "List[Tree]"


def canonical_tree(text: str) -> str:
    """The specification, written from what was parsed. Raises `ValueError`."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"a tree specification has more than {MAX_LENGTH} characters")
    document = parse_json(text.encode())
    if not (isinstance(document, list) and len(document) == 2 and document[0] == PROTOCOL):
        raise ValueError(f"a tree specification should be [{PROTOCOL}, …]")
    return json.dumps([PROTOCOL, _written(Tree.model_validate(document[1]))])


def _written(tree: Tree) -> dict[str, Any]:
    if tree.type is None:
        if tree.context is not None or tree.children_spec:
            raise ValueError("a leaf of a tree specification holds something")
        return {"type": None, "context": None, "children_spec": []}
    children = [_written(child) for child in tree.children_spec]
    context = _context(tree, parse_json((tree.context or "").encode()))
    return {"type": WRITTEN[tree.type], "context": json.dumps(context), "children_spec": children}


def _context(tree: Tree, context: Any) -> list[str | int] | None:
    """The keys of a dictionary; None of all else. A tuple's name and a queue's length are dropped."""
    match tree.type:
        case "builtins.dict" | "collections.OrderedDict":
            return _keys(tree, context)
        case "collections.namedtuple" if isinstance(context, str):
            return None
        case "collections.deque" if context is None or type(context) is int:
            return None
        case "builtins.tuple" | "builtins.list" if context is None:
            return None
    raise ValueError(f"a {tree.type} in a tree specification says more than it should")


def _keys(tree: Tree, keys: Any) -> list[str | int]:
    """A dictionary's keys, made plain: one for each child, each once."""
    if not isinstance(keys, list) or not all(
        type(key) in (str, int) and len(str(key)) <= MAX_NAME for key in keys
    ):
        raise ValueError("the keys of a dictionary in a tree specification are no names")
    plain = [plain_word(key) if isinstance(key, str) else key for key in keys]
    if len(set(plain)) != len(tree.children_spec) or len(plain) != len(tree.children_spec):
        raise ValueError("a dictionary in a tree specification has other keys than children")
    return plain


TreeSpec = Annotated[str, AfterValidator(canonical_tree)]
