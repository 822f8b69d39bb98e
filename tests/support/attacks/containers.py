"""Archives that readers read differently, or that lead out of the folder."""

import io
import json
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.attacks.expressions import everywhere
from tests.support.attacks.pt2_files import PROGRAM, WEIGHTS, code, edited, honest, packed


def evil_program(marker: Path) -> bytes:
    """The program with code for its shapes."""
    with zipfile.ZipFile(io.BytesIO(everywhere(code(marker)))) as archive:
        return archive.read(f"model/{PROGRAM}")


def _with(name: str, content: bytes) -> bytes:
    return packed({**honest(), name: content})


def _twice(marker: Path, *, evil_first: bool) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(buffer, "w") as archive:
        for name, content in honest().items():
            both = [content, evil_program(marker)] if name == PROGRAM else [content]
            for each in both[::-1] if evil_first else both:
                archive.writestr(f"model/{name}", each)
    return buffer.getvalue()


def _behind(marker: Path) -> bytes:
    """A second archive behind the first: who reads from the end sees it, who reads from the start does not."""
    return packed(honest()) + packed({**honest(), PROGRAM: evil_program(marker)})


def _hidden(marker: Path) -> bytes:
    """The header of the program names another file than the directory does."""
    content = packed({**honest(), PROGRAM: evil_program(marker)})
    return content.replace(PROGRAM.encode(), b"models/model.jsno", 1)


def _renamed_by_extra_field(marker: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in honest().items():
            archive.writestr(f"model/{name}", content)
        info = zipfile.ZipInfo("model/extra/model.txt")
        unicode_path = f"model/{PROGRAM}".encode()
        info.extra = struct.pack(
            "<2HBI", 0x7075, 5 + len(unicode_path), 1, zipfile.crc32(info.filename.encode())
        )
        info.extra += unicode_path
        archive.writestr(info, evil_program(marker))
    return buffer.getvalue()


def _link(marker: Path) -> bytes:
    buffer = io.BytesIO(packed(honest()))
    with zipfile.ZipFile(buffer, "a") as archive:
        info = zipfile.ZipInfo("model/data/weights/weight_9")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, str(marker))
    return buffer.getvalue()


def _weight(**fields: Any) -> bytes:
    return edited(lambda document: document["config"]["fc.weight"].update(fields), WEIGHTS)


def _meta(**fields: Any) -> bytes:
    return edited(lambda document: document["config"]["fc.weight"]["tensor_meta"].update(fields), WEIGHTS)


def _numbers(*numbers: int) -> list[dict[str, int]]:
    return [{"as_int": number} for number in numbers]


ATTACKS: dict[str, Callable[[Path], bytes]] = {
    "the program twice": lambda marker: _twice(marker, evil_first=False),
    "the program twice, turned round": lambda marker: _twice(marker, evil_first=True),
    "a second archive behind the first": _behind,
    "an archive behind a shell script": lambda marker: b"#!/bin/sh\n" + packed(honest()),
    "another name in the header": _hidden,
    "another name in an extra field": _renamed_by_extra_field,
    "a name in capitals": lambda marker: _with("models/MODEL.json", evil_program(marker)),
    "a name with a blank": lambda marker: _with("models/model.json ", evil_program(marker)),
    "a name with a backslash": lambda marker: _with("models\\model.json", evil_program(marker)),
    "a name in another folder": lambda marker: packed(
        {**honest(), "../other/" + PROGRAM: evil_program(marker)}
    ),
    "a second folder": lambda marker: packed(
        {
            **{f"model/{name}": content for name, content in honest().items()},
            f"x/{PROGRAM}": evil_program(marker),
        },
        folder="",
    ),
    "a second program": lambda marker: _with("models/evil.json", evil_program(marker)),
    "a program in a folder": lambda marker: _with("models/a/model.json", evil_program(marker)),
    "a program in UTF-16": lambda marker: _with(PROGRAM, evil_program(marker).decode().encode("utf-16")),
    "a program behind a byte order mark": lambda marker: _with(
        PROGRAM, b"\xef\xbb\xbf" + evil_program(marker)
    ),
    "compiled code": lambda _: _with("data/aotinductor/model/code.so", b"\x7fELF"),
    "a link": _link,
    "a weight elsewhere": lambda _: _weight(path_name="../../../../etc/passwd"),
    "a weight at the root": lambda _: _weight(path_name="/etc/passwd"),
    "a weight beyond its bytes": lambda _: _meta(sizes=_numbers(5, 400)),
    "a weight before its bytes": lambda _: _meta(storage_offset={"as_int": -8}),
    "a weight with steps back": lambda _: _meta(strides=_numbers(-4, 1)),
    "a weight without end": lambda _: _meta(sizes=_numbers(2**40, 2**20), strides=_numbers(0, 0)),
    "a weight of no type": lambda _: _meta(dtype=99),
    "a weight on a device to load": lambda _: _meta(device={"type": "privateuseone", "index": 0}),
    "a weight with a size to evaluate": lambda marker: _meta(
        sizes=[{"as_expr": {"expr_str": code(marker), "hint": None}}, {"as_int": 4}]
    ),
    "not a number": lambda _: _with(PROGRAM, honest()[PROGRAM].replace(b'"min_val": 0', b'"min_val": NaN')),
    "brackets without end": lambda _: _with(PROGRAM, b"[" * 200_000),
    "a number without end": lambda _: _with(PROGRAM, b'{"schema_version": ' + b"9" * 200_000 + b"}"),
    "no object at all": lambda _: _with(PROGRAM, json.dumps([]).encode()),
}
