"""The files of facts: each read strictly, each fact with a source, and held against what can be had here."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from onnx import defs
from pydantic import BaseModel, ValidationError

from winnow.contract.target import CHECKED, JOB_TARGETS
from winnow.contract.target_rules.load import DATA, WITHOUT_CONTRIB, known_names, rules_of
from winnow.contract.target_rules.rules import Fact, TargetRules

TABLES = Path(onnxruntime.__file__).parent / "tools" / "mobile_helpers"
UNCHECKED_BY_TABLE = {"Argmax": "ArgMax"}
"""As ONNX calls it."""


def facts(part: Any) -> Iterator[Fact]:
    if isinstance(part, Fact):
        yield part
    if isinstance(part, BaseModel):
        for _, value in part:
            yield from facts(value)
    if isinstance(part, list):
        for value in part:
            yield from facts(value)


def listed(table: str) -> set[str]:
    """Operators of a table that ONNX Runtime's own usability checker reads."""
    lines = (TABLES / table).read_text()
    names = re.findall(r"^\|([a-z.]+):(\w+)\|", lines, re.MULTILINE)
    return {
        UNCHECKED_BY_TABLE.get(op, op) if domain == "ai.onnx" else f"{domain}.{op}" for domain, op in names
    }


def taken(name: str) -> dict[str, Any]:
    operators = rules_of(name).operators
    assert operators is not None
    assert operators.taken is not None
    return dict(operators.taken)


def test_every_target_has_a_file_and_no_file_is_of_anything_else() -> None:
    assert set(known_names()) == {*JOB_TARGETS, WITHOUT_CONTRIB}


@pytest.mark.parametrize("name", known_names())
def test_a_file_is_of_its_name_and_every_fact_says_where_it_is_from(name: str) -> None:
    rules = rules_of(name)
    assert rules.name == name
    assert [fact for fact in facts(rules) if not fact.source.startswith("https://")] == []
    assert len({fact.source for fact in facts(rules)}) >= (2 if name in CHECKED else 1)


@pytest.mark.parametrize("name", CHECKED)
def test_what_was_not_found_out_is_said_to_be_unknown(name: str) -> None:
    assert rules_of(name).unknown


def test_a_file_is_read_strictly() -> None:
    facts_of_qnn = tomllib.loads((DATA / "qnn.toml").read_text())
    for wrong in (
        facts_of_qnn | {"speed": "fast"},
        facts_of_qnn | {"shapes": {"effect": "falls_back", "says": "No."}},
        facts_of_qnn | {"shapes": {"effect": "explodes", "says": "No.", "source": "https://example.com"}},
        facts_of_qnn | {"shapes": {"effect": "refused", "says": "No.", "source": "somebody said so"}},
    ):
        with pytest.raises(ValidationError):
            TargetRules.model_validate(wrong)


@pytest.mark.parametrize(
    ("name", "table"),
    [("nnapi", "nnapi_supported_ops.md"), ("coreml", "coreml_supported_mlprogram_ops.md")],
)
def test_operators_are_those_of_the_table_that_this_onnx_runtime_brings_along(name: str, table: str) -> None:
    assert taken(name).keys() == listed(table)


@pytest.mark.parametrize("name", CHECKED)
def test_what_is_called_an_operator_of_onnx_is_one(name: str) -> None:
    schemas = {schema.name for schema in defs.get_all_schemas_with_history() if schema.domain == ""}
    named_by_tensorrt_alone = {"ImageScaler", "ParametricSoftplus", "ScaledTanh"}
    assert {op for op in taken(name) if "." not in op} - schemas <= named_by_tensorrt_alone


def test_on_webgpu_an_operator_ends_where_its_next_version_begins() -> None:
    """`VerifyVersion` of kernel_registry.cc: a kernel without an end takes the version that it begins with alone."""
    versions = {
        (schema.name, schema.since_version)
        for schema in defs.get_all_schemas_with_history()
        if schema.domain == ""
    }
    ends = {op: rule.last_opset for op, rule in taken("webgpu").items() if rule.last_opset is not None}
    assert ends.keys() >= {"AveragePool", "Sin", "HardSigmoid"}
    assert [op for op, last in ends.items() if op != "GridSample" and (op, last + 1) not in versions] == []
