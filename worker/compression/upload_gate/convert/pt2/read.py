"""A `.pt2` into models: the program, and which bytes its weights and constants are."""

from typing import Any, Final, TypeVar

from pydantic import ValidationError

from winnow.contract.errors import Refusal
from worker.compression.upload_gate.convert.pt2.archive import CONFIGS, PROGRAM, invalid, pickled
from worker.compression.upload_gate.convert.pt2.json_text import containers, parse_json
from worker.compression.upload_gate.convert.pt2.schema.data import Data
from worker.compression.upload_gate.convert.pt2.schema.program import (
    SCHEMAS,
    ExportedProgram,
    PayloadConfig,
    schema_version,
)
from worker.compression.upload_gate.convert.zipped import Zipped

MAX_JSON_BYTES: Final = 2**26
MAX_NODES: Final = 10_000
MAX_EXPRESSIONS: Final = 2**22
"""Characters. torch and sympy take a millisecond and more for each node and expression."""

Model = TypeVar("Model", bound=Data)


def read_program(files: Zipped) -> ExportedProgram:
    """The program. Raises `Refusal` `invalid_model`, `unsafe_archive`."""
    document = _document(files, PROGRAM)
    version = schema_version(document)
    if not all(type(number) is int for number in version) or version not in SCHEMAS:
        known = ", ".join(f"{major}.{minor} (torch {torch})" for (major, minor), torch in SCHEMAS.items())
        raise invalid(
            f"The program has version {version[0]!s:.20}.{version[1]!s:.20} of torch's schema; these can be read: "
            f"{known}. Export it anew with one of these."
        )
    _check_amount(document)
    return _validated(ExportedProgram, document, PROGRAM)


def _check_amount(document: Any) -> None:
    """Bound all graphs together, those inside nodes too. Raises `Refusal` `model_too_complex`."""
    objects = [entry for entry in containers(document) if isinstance(entry, dict)]
    nodes = sum(len(entry["nodes"]) for entry in objects if isinstance(entry.get("nodes"), list))
    characters = sum(len(str(entry["expr_str"])) for entry in objects if "expr_str" in entry)
    for count, limit, what in (
        (nodes, MAX_NODES, "nodes"),
        (characters, MAX_EXPRESSIONS, "characters of shape expressions"),
    ):
        if count > limit:
            advice = "Export it with loops instead of unrolled steps."
            raise Refusal(
                "model_too_complex", f"The program has {count} {what}; {limit} are the most. {advice}"
            )


def read_config(files: Zipped, kind: str) -> PayloadConfig:
    """Read what weights or constants are. Raises `Refusal` `pickle_refused`, `invalid_model`, `unsafe_archive`."""
    document = _document(files, CONFIGS[kind])
    for name, entry in _entries(document):
        path = entry.get("path_name")
        if entry.get("use_pickle") or str(path).startswith(("custom_obj_", "opaque_obj_")):
            raise pickled(f"{name} in {CONFIGS[kind]}")
    return _validated(PayloadConfig, document, CONFIGS[kind])


def _document(files: Zipped, name: str) -> Any:
    try:
        return parse_json(files.read(name, limit=MAX_JSON_BYTES))
    except ValueError as error:
        raise invalid(f"{name} in the archive cannot be read: {str(error)[:200]}.") from error


def _entries(document: Any) -> list[tuple[str, dict[str, Any]]]:
    config = document.get("config") if isinstance(document, dict) else None
    entries = config.items() if isinstance(config, dict) else ()
    return [(name, entry) for name, entry in entries if isinstance(entry, dict)]


def _validated(model: type[Model], document: Any, name: str) -> Model:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise invalid(f"{name} in the archive: {_first(error)}.") from error


def _first(error: ValidationError) -> str:
    """The first fault: where, and what."""
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part)[:100] for part in fault["loc"][-12:])
    if fault["type"] == "extra_forbidden":
        return f"{place} is not known in the schemas of torch 2.10 to 2.13"
    return f"{place}: {fault['msg'].removeprefix('Value error, ')[:200]}"
