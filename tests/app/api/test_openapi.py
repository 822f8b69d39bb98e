"""The documentation, held against the service."""

from typing import Any

import jsonschema
import pytest

from app.api import examples
from app.api.openapi import corpus
from tests.support.served import Served, served
from winnow.contract.dataset import Dataset
from winnow.contract.declaration import Declaration
from winnow.contract.errors import CODES, Problem
from winnow.contract.job import Job, JobRequest, LogRecord
from winnow.contract.model import Model
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with served(tmp_path_factory.mktemp("openapi")) as api:
        return dict(api.http.get("/openapi.json").json())


def operations(schema: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, it) for path, methods in schema["paths"].items() for method, it in methods.items()]


def put(value: Any, ids: dict[str, str]) -> Any:
    """The example with ids that exist here."""
    if isinstance(value, dict):
        return {name: put(item, ids) for name, item in value.items()}
    if isinstance(value, list):
        return [put(item, ids) for item in value]
    return ids.get(value, value) if isinstance(value, str) else value


def test_every_example_of_a_job_runs(
    api: Served, schema: dict[str, Any], model: str, other_model: str, dataset: str
) -> None:
    ids = {examples.MODEL: model, examples.OTHER_MODEL: other_model, examples.DATASET: dataset}
    told = schema["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    assert told.keys() == examples.JOBS.keys()
    for name, example in told.items():
        answer = api.http.post("/v1/jobs", json=put(example["value"], ids))
        assert answer.status_code == 202, (name, answer.text)


def test_the_example_of_a_declaration_runs(api: Served, schema: dict[str, Any], dataset: str) -> None:
    operation = schema["paths"]["/v1/datasets/{id}"]["patch"]
    example = operation["requestBody"]["content"]["application/json"]["example"]
    assert api.http.patch(f"/v1/datasets/{dataset}", json=example).status_code == 200


def test_problems_are_documented_as_such(schema: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in schema["components"]["schemas"]
    for path, method, operation in operations(schema):
        if path.startswith("/v1"):
            problem = operation["responses"]["default"]["content"]["application/problem+json"]
            assert problem["schema"]["$ref"] == "#/components/schemas/Problem", (path, method)


def test_operations_have_names_that_read_well(schema: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(schema)]
    assert len(set(names)) == len(names)
    assert all(name.replace("_", "").isalpha() and len(name) < 25 for name in names)


def test_every_reference_leads_somewhere(schema: dict[str, Any]) -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [ref for item in value.values() for ref in references(item)]
        return [ref for item in value for ref in references(item)] if isinstance(value, list) else []

    known = {f"#/components/schemas/{name}" for name in schema["components"]["schemas"]}
    assert set(references(schema)) <= known


def test_the_kind_of_a_step_is_required(schema: dict[str, Any]) -> None:
    kinds = ("Int8Static", "Int8Dynamic", "Float16", "Finetune", "Distillation", "QuantizationAwareTraining")
    for name in kinds:
        assert "kind" in schema["components"]["schemas"][name]["required"]


def resolved(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """The part with the components beside it, as a JSON schema of its own."""
    return {**part, "components": schema["components"]}


def valid(schema: dict[str, Any], part: dict[str, Any], value: Any) -> None:
    jsonschema.validate(value, resolved(schema, part), cls=jsonschema.Draft202012Validator)


def test_every_field_has_a_description_and_an_example_that_fits(schema: dict[str, Any]) -> None:
    for name, component in schema["components"]["schemas"].items():
        for field, part in component.get("properties", {}).items():
            assert part.get("description"), (name, field)
            assert part.get("examples"), (name, field)
            for example in part["examples"]:
                valid(schema, part, example)


def test_every_parameter_has_a_description_and_an_example_that_fits(schema: dict[str, Any]) -> None:
    for path, method, operation in operations(schema):
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), (path, method, parameter["name"])
            assert parameter["schema"].get("examples"), (path, method, parameter["name"])
            for example in parameter["schema"]["examples"]:
                valid(schema, parameter["schema"], example)


def test_every_body_and_every_answer_has_an_example_that_fits(schema: dict[str, Any]) -> None:
    for path, method, operation in operations(schema):
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        for answer in (*bodies, *operation["responses"].values()):
            for media_type, content in answer.get("content", {}).items():
                shown = [it["value"] for it in content.get("examples", {}).values()]
                shown += [content["example"]] if "example" in content else []
                assert shown, (path, method, media_type)
                for example in shown:
                    valid(schema, content.get("schema", {}), example)


def test_every_answer_says_what_it_is_and_names_its_request(schema: dict[str, Any]) -> None:
    for path, method, operation in operations(schema):
        for status, answer in operation["responses"].items():
            assert answer["description"], (path, method, status)
            assert "X-Request-Id" in answer["headers"], (path, method, status)


def test_the_codes_are_those_of_the_contract(schema: dict[str, Any]) -> None:
    assert schema["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] == [*CODES]


@pytest.mark.parametrize("kind", [Model, Dataset, Job, JobRequest, Report, LogRecord, Problem, Recipe])
def test_the_examples_are_of_the_contract(kind: Any) -> None:
    for example in corpus()[kind.__name__]:
        kind.model_validate(example)
    Declaration.model_validate(examples.REDECLARATION["declaration"])
