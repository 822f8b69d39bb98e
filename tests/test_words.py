"""Functions are named by what they do and parameters by what they are: words that could name anything name nothing."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
EMPTY_WORDS = {"found", "told", "one", "left", "there", "kept", "answer", "asked", "given"}


def named(source: str) -> Iterator[tuple[str, int]]:
    """Every function and parameter, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name.lstrip("_"), node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg.lstrip("_"), node.lineno


def test_no_function_or_parameter_has_an_empty_name() -> None:
    empty = [
        f"{path.relative_to(ROOT)}:{line}: {word}"
        for folder in ("app", "winnow", "worker")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for word, line in named(path.read_text())
        if word in EMPTY_WORDS
    ]
    assert not empty, "name what it is or does (`report_progress`, a `layer`, `as_report()`)"


def test_the_words_are_seen_wherever_they_name_something() -> None:
    source = (
        "async def told(one, /, *left, given=0, **kept): lambda found: 0\nclass A:\n def _asked(self): ..."
    )
    assert {word for word, _ in named(source)} >= {"told", "one", "left", "given", "kept", "found", "asked"}
