"""Changes that keep a format whole but for one place in it."""

import io
import json
import tarfile
import warnings
import zipfile
from collections.abc import Iterator
from random import Random
from typing import Any

from tests.support.fuzzing import plain
from tests.support.fuzzing.readers import Format
from tests.support.fuzzing.seeds import seeds

VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    -(2**70),
    1.5,
    1e308,
    "",
    "x",
    "../x",
    "a'b\"c\n",
    [],
    {},
    [[]],
]


def mutants(format: Format, random: Random) -> Iterator[bytes]:
    """Without end. The first ones are the honest files themselves."""
    honest = seeds(format)
    yield from honest
    while True:
        content = random.choice(honest)
        if random.random() < 0.5:
            yield plain.changed(content, random)
        elif format == "onnx":
            yield message(content, random)
        elif format == "onnx in tar":
            yield tar(content, random)
        else:
            yield archive(content, random)


def inside(name: str, content: bytes, random: Random) -> bytes:
    """A member's content changed as its name says that it should be read."""
    if name.endswith(".json") and random.random() < 0.8:
        return document(content, random)
    if name.endswith(".onnx") and random.random() < 0.8:
        return message(content, random)
    return plain.changed(content, random)


def archive(content: bytes, random: Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        members = _members([(name, source.read(name)) for name in source.namelist()], random)
    buffer = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(buffer, "w") as target:
        for name, member in members:
            info = zipfile.ZipInfo(name or "x")
            info.compress_type = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
            target.writestr(info, member)
    return buffer.getvalue()


def tar(content: bytes, random: Random) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(content)) as source:
        files = [(each.name, source.extractfile(each)) for each in source]
        members = _members([(name, file.read() if file else b"") for name, file in files], random)
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", format=random.choice((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    ) as target:
        for name, member in members:
            info = tarfile.TarInfo(name)
            info.size = len(member)
            if random.random() < 0.05:
                info.type, info.linkname = (
                    random.choice((tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE)),
                    "/etc",
                )
            target.addfile(info, io.BytesIO(member))
    return buffer.getvalue()


def _members(members: list[tuple[str, bytes]], random: Random) -> list[tuple[str, bytes]]:
    """One of them changed, renamed, left out, doubled, or moved."""
    at = random.randrange(len(members))
    name, content = members[at]
    kind = random.random()
    if kind < 0.7:
        members[at] = (name, inside(name, content, random))
    elif kind < 0.8:
        members[at] = (_name(name, random), content)
    elif kind < 0.85:
        del members[at]
    elif kind < 0.9:
        members.insert(
            random.randrange(len(members)), (_name(name, random) if random.random() < 0.5 else name, content)
        )
    elif kind < 0.95:
        members[at] = (name, random.choice(members)[1])
    else:
        random.shuffle(members)
    return members


def _name(name: str, random: Random) -> str:
    changed = plain.changed(name.encode(), random).decode("utf-8", "replace").replace("\0", "x") or "x"
    return random.choice((changed, name.upper(), name + "/", "../" + name, "/" + name, name[1:] or "x"))[
        :2000
    ]


def document(content: bytes, random: Random) -> bytes:
    """A JSON document with some of its values changed; texts in it that are JSON, too."""
    found = json.loads(content)
    for _ in range(random.choice((1, 1, 2, 5))):
        _change(found, random)
    return json.dumps(found).encode()


def _change(root: Any, random: Random) -> None:
    places = list(_places(root))
    if not places:
        return
    holder, key = random.choice(places)
    kind = random.random()
    if kind < 0.4:
        holder[key] = random.choice(VALUES)
    elif kind < 0.6:
        other, from_key = random.choice(places)
        holder[key] = json.loads(json.dumps(other[from_key]))
    elif kind < 0.7:
        del holder[key]
    elif kind < 0.8 and isinstance(holder, dict):
        holder[random.choice([*holder, "x", "as_custom_obj", "as_string", key + "x"])] = holder.pop(key)
    elif kind < 0.9 and isinstance(holder[key], str):
        holder[key] = plain.changed(holder[key].encode(), random).decode("utf-8", "replace")
    elif isinstance(holder, list):
        holder.insert(key, json.loads(json.dumps(holder[key])))
    elif isinstance(holder[key], int):
        holder[key] = random.choice(plain.NUMBERS) * random.choice((1, -1))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    for key, item in items:
        yield value, key
        if isinstance(item, dict | list):
            yield from _places(item)


Field = tuple[int, int, Any]
"""Number, wire type, and what it holds: bytes, or an int."""


def message(content: bytes, random: Random) -> bytes:
    """A protobuf message with one field changed, somewhere down in it; the lengths around it are right again."""
    fields = _fields(content)
    if not fields:
        return plain.changed(content, random)
    at = random.randrange(len(fields))
    number, kind, value = fields[at]
    if kind == 2 and random.random() < 0.75 and len(value) > 1 and _fields(value):
        fields[at] = (number, kind, message(value, random))
    else:
        _change_field(fields, at, random)
    return b"".join(map(_written, fields))


def _change_field(fields: list[Field], at: int, random: Random) -> None:
    number, kind, value = fields[at]
    match random.randrange(5):
        case 0:
            del fields[at]
        case 1:
            fields.insert(random.randrange(len(fields)), fields[at])
        case 2:
            fields[at] = (random.randrange(1, 30), kind, value)
        case 3:
            fields[at] = (number, *random.choice(fields)[1:])
        case _:
            fields[at] = (
                number,
                kind,
                random.choice(plain.NUMBERS) if kind != 2 else plain.changed(value, random),
            )


def _fields(content: bytes) -> list[Field] | None:
    """The fields, or None where the bytes are no message."""
    fields: list[Field] = []
    at = 0
    try:
        while at < len(content):
            key, at = _varint(content, at)
            number, kind = key >> 3, key & 7
            if kind == 0:
                value, at = _varint(content, at)
            elif kind == 2:
                length, at = _varint(content, at)
                value, at = content[at : at + length], at + length
            elif kind in (1, 5):
                size = 8 if kind == 1 else 4
                value, at = int.from_bytes(content[at : at + size], "little"), at + size
            else:
                return None
            if not 0 < number < 200 or at > len(content):
                return None
            fields.append((number, kind, value))
    except IndexError:
        return None
    return fields


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80 or shift > 63:
            return value, at


def _written(field: Field) -> bytes:
    number, kind, value = field
    key = _written_int(number << 3 | kind)
    if kind == 0:
        return key + _written_int(value % 2**64)
    if kind == 2:
        value = value if isinstance(value, bytes) else b""
        return key + _written_int(len(value)) + value
    size = 8 if kind == 1 else 4
    return key + (value if isinstance(value, int) else 0).__mod__(2 ** (8 * size)).to_bytes(size, "little")


def _written_int(value: int) -> bytes:
    written = b""
    while value > 0x7F:
        written, value = written + bytes([value & 0x7F | 0x80]), value >> 7
    return written + bytes([value])
