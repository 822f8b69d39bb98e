"""What a job may ask for: a closed recipe, an open one, one by its name, or whatever suits the model."""

from typing import Annotated, Any, Final, Literal, assert_never

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from winnow.contract.base import RequestModel
from winnow.contract.open_steps import OpenRecipe, is_open
from winnow.contract.recipe import Recipe

PresetName = Literal["fast", "small", "tiny", "no-data", "quality-first", "transformer", "pruned", "shallow"]


class Preset(RequestModel):
    """A recipe or several spaces of them, by name: `GET /v1/presets` lists them."""

    preset: PresetName = Field(description="Name of the preset.", examples=["small"])


class Anything(RequestModel):
    """No settings: what is tried follows from the model, the data and what is required."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Auto(RequestModel):
    """Spaces that the service writes for the model at hand."""

    auto: Anything = Field(description="An empty object.", examples=[{}])


_KINDS: Final[dict[type[BaseModel], str]] = {OpenRecipe: "open", Preset: "preset", Auto: "auto"}


def _kind(sent: Any) -> str:
    if isinstance(sent, BaseModel):
        return _KINDS.get(type(sent), "closed")
    keys = sent.keys() if isinstance(sent, dict) else ()
    for kind in ("preset", "auto"):
        if kind in keys:
            return kind
    return "open" if is_open(sent) else "closed"


def _any_of(schema: dict[str, Any]) -> None:
    """A closed recipe is an open one of which nothing is open: it fits both schemas."""
    if "oneOf" in schema:
        schema["anyOf"] = schema.pop("oneOf")


AskedRecipe = Annotated[
    Annotated[Recipe, Tag("closed")]
    | Annotated[OpenRecipe, Tag("open")]
    | Annotated[Preset, Tag("preset")]
    | Annotated[Auto, Tag("auto")],
    Discriminator(_kind),
    Field(json_schema_extra=_any_of),
]


def kinds_of(recipe: AskedRecipe) -> list[str]:
    """What a recipe consists of, in words: the kinds of its steps, or the name of what stands in their place."""
    match recipe:
        case Recipe() | OpenRecipe():
            return [step.kind for step in recipe.steps]
        case Preset(preset=name):
            return [f"preset {name}"]
        case Auto():
            return ["auto"]
    assert_never(recipe)
