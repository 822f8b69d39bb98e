"""What the benchmarks say is held by a test names a test that exists."""

import ast
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def constants(module: Path) -> dict[str, Any]:
    """The module's values that are written out: nothing is imported."""
    values: dict[str, Any] = {}
    for node in ast.parse(module.read_text()).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            code = compile(ast.Expression(node.value), str(module), "eval")
            try:
                value = eval(code, {}, values)
            except (NameError, AttributeError):
                continue
            values |= {target.id: value for target in targets if isinstance(target, ast.Name)}
    return values


HELD = {
    f"{module.relative_to(ROOT)}: {item}": test
    for module in sorted((ROOT / "benchmarks").rglob("*.py"))
    for item, test in constants(module).get("HELD", {}).items()
}


def test_there_is_something_to_look_at() -> None:
    assert len(HELD) > 100


def test_what_holds_an_item_exists() -> None:
    for item, test in HELD.items():
        file, *names = test.split("[")[0].split("::")
        source = (ROOT / file).read_text()
        names = [name for name in names if f"def {name}(" not in source and f"\n{name} = " not in source]
        assert names == [], item
