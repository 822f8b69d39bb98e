"""The open form of every step: each setting as the step has it, or a range or choice of it. Derived, never written.

    {"between": [low, high]}    any number from low to high, both included
    {"any_of": [a, b, …]}       one of these

`kind` stays closed; a step inside a step (`recovery`) is open in the same way; `optional` says that a step may be left
out.
"""

from collections.abc import Callable, Iterator
from copy import copy
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Self, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    create_model,
    model_validator,
)
from pydantic.fields import FieldInfo

from winnow.contract.base import RequestModel, Whole64
from winnow.contract.recipe import AnyStep
from winnow.contract.steps.base import KIND

MAX_CHOICES: Final = 50
BETWEEN, ANY_OF, VALUE = "between", "any_of", "value"

Number = Whole64 | float


class Between(RequestModel):
    """Any number from the first to the second."""

    between: tuple[Number, Number] = Field(
        description="The lowest number and the highest, both included.", examples=[[0.1, 0.8]]
    )

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        low, high = self.between
        if not low < high:
            raise ValueError(
                f"a range goes from a lower number to a higher one, not from {low:g} to {high:g}"
            )
        return self

    @property
    def values(self) -> list[Any]:
        """The ends, which a setting has to take for the range to be one of it."""
        return [*self.between]


class AnyOf(RequestModel):
    """One of several values."""

    any_of: list[Any] = Field(
        min_length=1,
        max_length=MAX_CHOICES,
        description="Values, each of which the setting takes.",
        examples=[[8, 4]],
    )

    @model_validator(mode="after")
    def _different(self) -> Self:
        if any(_same(a, b) for at, a in enumerate(self.any_of) for b in self.any_of[:at]):
            raise ValueError("the same value stands there twice: name each once")
        return self

    @property
    def values(self) -> list[Any]:
        return self.any_of


class OpenSettings(RequestModel):
    """What open forms have in common. `whole` are the settings whose numbers are whole."""

    whole: ClassVar[frozenset[str]] = frozenset()


class OpenStep(OpenSettings):
    """A step with settings left open."""

    kind: str = Field(description=KIND)
    optional: bool = Field(default=False, description="Whether the step may be left out as well.")


def is_open(sent: Any) -> bool:
    """Whether something of a recipe as JSON is left open."""
    if isinstance(sent, list):
        return any(map(is_open, sent))
    if not isinstance(sent, dict):
        return False
    if sent.get("optional") is True or sent.keys() & {BETWEEN, ANY_OF}:
        return True
    return any(map(is_open, sent.values()))


@cache
def opened(model: type[BaseModel], base: type[OpenSettings] = OpenSettings) -> type[OpenSettings]:
    """Derive the open form of a model."""
    fields: dict[str, Any] = {name: _opened_field(name, field) for name, field in model.model_fields.items()}
    form = create_model(f"Open{model.__name__}", __base__=base, __doc__=model.__doc__, **fields)
    form.whole = frozenset(name for name, field in model.model_fields.items() if is_whole(field.annotation))
    return form


def _opened_field(name: str, field: FieldInfo) -> tuple[Any, FieldInfo]:
    if name == "kind":
        return field.annotation, field
    shown = copy(field)
    shown.metadata, shown.discriminator = [], None
    if not field.is_required():
        shown.examples = shown.examples or [field.get_default(call_default_factory=True)]
    adapter = cache(lambda: _adapter(field))
    ways: dict[str, Any] = {
        VALUE: _with_metadata(_opened_inside(field), field),
        ANY_OF: _open_way(AnyOf, adapter),
    }
    ways |= {BETWEEN: _open_way(Between, adapter)} if is_number(field.annotation) else {}
    tagged = [Annotated[way, Tag(tag)] for tag, way in ways.items()]
    return Annotated[Union[*tagged], _told_apart(BETWEEN in ways)], shown


def _adapter(field: FieldInfo) -> TypeAdapter[Any]:
    """Validates a value of the closed field."""
    bare = isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    config = None if bare else RequestModel.model_config  # pydantic takes none for a model, which has its own
    return TypeAdapter(_with_metadata(field.annotation, field), config=config)


def _open_way(way: Any, adapter: Callable[[], TypeAdapter[Any]]) -> Any:
    """A range or choice whose values the closed field takes: its validator is built for the first one."""

    def check(setting: Between | AnyOf) -> Between | AnyOf:
        for value in setting.values:
            adapter().validate_python(value)
        return setting

    return Annotated[way, AfterValidator(check)]


def _told_apart(with_range: bool) -> Discriminator:
    """By the one key that says so. A range is refused where there is none."""
    ranges = "" if with_range else "; it is no number that could be taken from a range"
    return Discriminator(
        _tag,
        custom_error_type="not_open_so",
        custom_error_message=f'a value was expected, or {{"any_of": [...]}}{ranges}',
    )


def _tag(value: Any) -> str:
    if isinstance(value, Between) or (isinstance(value, dict) and BETWEEN in value):
        return BETWEEN
    return ANY_OF if isinstance(value, AnyOf) or (isinstance(value, dict) and ANY_OF in value) else VALUE


def _with_metadata(annotation: Any, field: FieldInfo) -> Any:
    discriminated = [Field(discriminator=field.discriminator)] if field.discriminator else []
    metadata = [*field.metadata, *discriminated]
    return Annotated[annotation, *metadata] if metadata else annotation


def _opened_inside(field: FieldInfo) -> Any:
    """The annotation with models inside it opened; of lists and maps only the whole is open."""
    return _mapped(field.annotation, opened)


def _mapped(annotation: Any, change: Callable[[type[BaseModel]], Any]) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return change(annotation)
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return Annotated[_mapped(inside[0], change), *inside[1:]]
    if origin in (Union, UnionType):
        return Union[*(_mapped(each, change) for each in inside)]
    return annotation


def is_number(annotation: Any) -> bool:
    """Whether a setting of this type takes any number between two."""
    return bool({int, float} & {*_kinds(annotation)})


def is_whole(annotation: Any) -> bool:
    """Whether the numbers of a setting of this type are whole."""
    return float not in {*_kinds(annotation)}


def _kinds(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) in (Annotated, Union, UnionType):
        for inside in get_args(annotation):
            yield from _kinds(inside)
    else:
        yield annotation


def _same(a: Any, b: Any) -> bool:
    """JSON's own equality: 1 is not true."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)


_FORMS: Final = tuple(opened(step, OpenStep) for step in get_args(get_args(AnyStep)[0]))

if TYPE_CHECKING:
    AnyOpenStep = OpenStep
else:
    AnyOpenStep = Annotated[Union[_FORMS], Field(discriminator="kind")]  # noqa: UP007


class OpenRecipe(RequestModel):
    """Steps of which something is left open: what to try them with is searched for."""

    steps: list[AnyOpenStep] = Field(
        description="What is done, one step after the other.", min_length=1, max_length=20
    )
