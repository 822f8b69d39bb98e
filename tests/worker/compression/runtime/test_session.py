"""One module makes the sessions of the library."""

import ast
from pathlib import Path

import worker.compression

LIBRARY = Path(worker.compression.__file__).parent


def called(path: Path) -> set[str]:
    """The names of what a module calls; texts in which code stands are none of them."""
    calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return {getattr(call, "attr", getattr(call, "id", "")) for call in calls}


def test_only_one_module_makes_sessions() -> None:
    makers = [path for path in LIBRARY.rglob("*.py") if "InferenceSession" in called(path)]
    assert makers == [LIBRARY / "runtime" / "session.py"]
