"""Which layers the patterns of a recipe name: found once for every pattern, in a number of steps that is bounded."""

from collections.abc import Iterable
from typing import Final

from app.admission.model_state import ModelState, lower_first
from winnow.contract.errors import Refusal, Refusals
from winnow.contract.glob import Glob, glob, is_plain, matching_effort
from winnow.contract.model import Layer, ModelFacts
from winnow.contract.recipe import AnyStep, Sparsity, StructuredPruning

MAX_EFFORT: Final = 10**8
"""Steps of matching all patterns of a recipe; about half a second in the worst case that was found."""

SHOWN: Final = 5


def check_effort(steps: Iterable[tuple[AnyStep, ModelState]]) -> None:
    """Raises `invalid_request` where patterns and names are so many that comparing them would hold up the service."""
    efforts = (matching_effort(_patterns(step), _names(state.facts.layers)) for step, state in steps)
    _refuse_beyond(sum(efforts), "recipe.steps")


def check_patterns(patterns: list[str], facts: ModelFacts) -> None:
    """The same of what is no recipe, at the field `exclude`."""
    _refuse_beyond(matching_effort(patterns, _names(facts.layers)), "exclude")


def _refuse_beyond(effort: int, field: str) -> None:
    if effort > MAX_EFFORT:
        raise Refusal(
            "invalid_request",
            f"Comparing these patterns with the names of the layers takes about {effort} steps, and {MAX_EFFORT} are "
            "the most. Use fewer patterns, or fewer `?` and `[…]` in them; plain names cost nothing.",
            field=field,
        )


class NamedLayers:
    """The layers of a state by the names that patterns may use; layers are told by their place in the table."""

    def __init__(self, state: ModelState) -> None:
        self.state, self.layers = state, state.facts.layers
        self._places: dict[str, list[int]] = {}
        for place, layer in enumerate(self.layers):
            for name in layer.names:
                self._places.setdefault(name, []).append(place)

    def matched_by_all(self, patterns: list[str], field: str) -> set[int]:
        """The layers that any of the patterns names. Raises `pattern_matches_nothing` for all that name none."""
        places: set[int] = set()
        refusals = Refusals()
        for pattern, index in distinct(patterns).items():
            with refusals:
                places.update(self.matched(pattern, f"{field}.{index}"))
        refusals.raise_all()
        return places

    def matched(self, pattern: str, field: str) -> list[int]:
        """The layers that the pattern names. Raises `pattern_matches_nothing`."""
        places = self._places.get(pattern, []) if is_plain(pattern) else self._matched(glob(pattern))
        if not places:
            some = ", ".join(repr(layer.name) for layer in self.layers[:SHOWN]) or "none"
            raise Refusal(
                "pattern_matches_nothing",
                f"{pattern!r} matches none of the {len(self.layers)} layers of {lower_first(self.state.model)}, "
                f"which are called like {some}. `*` stands for anything.",
                field=field,
            )
        return places

    def _matched(self, pattern: Glob) -> list[int]:
        return [place for name, places in self._places.items() if pattern.matches(name) for place in places]


def distinct(patterns: Iterable[str]) -> dict[str, int]:
    """Each pattern once, with its first position: one that stands a thousand times is looked up once."""
    positions: dict[str, int] = {}
    for position, pattern in enumerate(patterns):
        positions.setdefault(pattern, position)
    return positions


def _patterns(step: AnyStep) -> list[str]:
    more = step.layers if isinstance(step, Sparsity) else []
    if isinstance(step, StructuredPruning) and step.recovery is not None:
        more = step.recovery.patterns
    return [*step.patterns, *more]


def _names(layers: Iterable[Layer]) -> list[str]:
    return [name for layer in layers for name in layer.names]
