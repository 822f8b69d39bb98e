"""Shape expressions that torch's loader would evaluate."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.attacks.pt2_files import PROGRAM, code, edited, honest, objects, packed

SYMBOL = "Symbol('s73', positive=True, integer=True)"


def everywhere(text: str) -> bytes:
    """The honest program, each of its expressions this text."""
    return edited(lambda document: _replace(document, text))


def _replace(document: Any, text: str) -> None:
    for entry in objects(document):
        if "expr_str" in entry:
            entry["expr_str"] = text


def _in_another_member(marker: Path) -> bytes:
    """torch reads all below models/; a gate read what ends in .json."""
    files = honest()
    document = files[PROGRAM].decode()
    evil = document.replace(f'"{SYMBOL}"', '"' + code(marker).replace('"', "'") + '"')
    return packed({**files, "models/model.jsox": evil.encode()})


def _only_member_renamed(marker: Path) -> bytes:
    files = honest()
    evil = files.pop(PROGRAM).decode().replace(f'"{SYMBOL}"', '"' + code(marker) + '"')
    names = {"data/sample_inputs/model.pt", *(name for name in files if "model_" in name)}
    return packed({**files, "models/model.jsox": evil.encode(), **{name: files[name] for name in names}})


def _as_key_of_a_range(marker: Path) -> bytes:
    return edited(lambda d: d["range_constraints"].update({code(marker): {"min_val": 0, "max_val": 9}}))


def _as_hint(marker: Path) -> bytes:
    def change(document: Any) -> None:
        for entry in objects(document):
            if "hint" in entry:
                entry["hint"] = {"as_int": code(marker)}

    return edited(change)


WRITTEN: dict[str, Callable[[str], str]] = {
    "bare code": lambda code: code,
    "a comment that line breaks end": lambda code: f"Symbol(''\n's73') #''', {code})",
    "a comment behind a carriage return": lambda code: f"{SYMBOL}\r#\r+{code}",
    "behind a symbol": lambda code: f"{SYMBOL} or {code}",
    "behind a semicolon": lambda code: f"{SYMBOL}; {code}",
    "an argument": lambda code: f"Add({SYMBOL}, {code})",
    "an assumption": lambda code: f"Symbol('s73', integer={code})",
    "a quote in a name": lambda code: f"Symbol('s73' + {code} + '')",
    "escapes in a name": lambda code: "Symbol('" + "".join(f"\\x{ord(c):02x}" for c in code) + "')",
    "an attribute": lambda code: f"{SYMBOL}.__class__({code})",
    "a format string": lambda code: f"f'{{{code}}}'",
    "a lambda": lambda code: f"(lambda: {code})()",
    "letters of full width": lambda code: code.replace("import", "ｉｍｐｏｒｔ"),
    "a string to sympify again": lambda code: f"sympify({code!r})",
    "a function given text": lambda code: f"Max({code!r}, {SYMBOL})",
    "a precision": lambda code: f"Float('1.5', precision={code})",
    "a number's text": lambda code: f"Integer({code!r})",
    "a subscript": lambda code: f"[{SYMBOL}, {code}][0]",
    "an assignment": lambda code: f"(x := {code})",
    "a null byte": lambda code: f"{SYMBOL}\0{code}",
}

ATTACKS: dict[str, Callable[[Path], bytes]] = {
    **{
        name: lambda marker, write=write: everywhere(write(code(marker)))  # type: ignore[misc]
        for name, write in WRITTEN.items()
    },
    "a second program, not named .json": _in_another_member,
    "the only program, not named .json": _only_member_renamed,
    "the key of a range": _as_key_of_a_range,
    "a hint": _as_hint,
    "a power without end": lambda _: everywhere(
        "Pow(Pow(Pow(Integer(9), Integer(64)), Integer(64)), Integer(64))"
    ),
    "a shift without end": lambda _: everywhere("LShift(Integer(1), Integer(9223372036854775807))"),
    "nested without end": lambda _: everywhere("Abs(" * 3000 + "s0" + ")" * 3000),
}
