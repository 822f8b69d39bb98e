"""The bounds of all whole numbers that a client may send, and a request that goes to them."""

import random
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from winnow.contract.job import JobRequest

Place = tuple[str, int, int]


def integers(schema: dict[str, Any], definitions: dict[str, Any], path: str = "") -> Iterator[Place]:
    """(path, lowest, highest) of each; raises KeyError for one that has no bound."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rsplit("/", 1)[-1]]
    if schema.get("type") == "integer" and not schema.keys() & {"const", "enum"}:
        yield path, _lowest(schema), _highest(schema)
    for name, inner in schema.get("properties", {}).items():
        yield from integers(inner, definitions, f"{path}.{name}")
    for inner in (*schema.get("anyOf", []), *schema.get("oneOf", []), *schema.get("prefixItems", [])):
        yield from integers(inner, definitions, path)
    for inner in (schema.get("items"), schema.get("additionalProperties")):
        if isinstance(inner, dict):
            yield from integers(inner, definitions, f"{path}[]")


def _lowest(schema: dict[str, Any]) -> int:
    return int(schema["minimum"]) if "minimum" in schema else int(schema["exclusiveMinimum"]) + 1


def _highest(schema: dict[str, Any]) -> int:
    return int(schema["maximum"]) if "maximum" in schema else int(schema["exclusiveMaximum"]) - 1


def all_of(model: type[BaseModel]) -> list[Place]:
    schema = model.model_json_schema()
    return list(integers(schema, schema.get("$defs", {})))


def extreme(rng: random.Random) -> dict[str, Any]:
    """A request all of whose own numbers are as large or as small as they may be."""
    places = {
        path.removeprefix("."): (low, high)
        for path, low, high in all_of(JobRequest)
        if not path.startswith((".recipe", ".search"))
    }
    pick = {path: rng.choice(bounds) for path, bounds in places.items()}
    rows = pick["data.calibration.slice"]
    return {
        "model": "mdl_1",
        "recipe": {"steps": [{"kind": "int8_static", "samples": 100_000}]},
        "seed": pick["seed"],
        "data": {"calibration": {"dataset": "dst_1", "slice": [0, max(rows, 1)]}},
        "benchmark": {
            "batch_sizes": [pick["benchmark.batch_sizes[]"]],
            "threads": pick["benchmark.threads"],
            "rounds": pick["benchmark.rounds"],
            "shapes": {"x": [pick["benchmark.shapes[][]"]] * 4},
        },
        "limits": {"seconds": pick["limits.seconds"], "memory_bytes": pick["limits.memory_bytes"]},
    }
