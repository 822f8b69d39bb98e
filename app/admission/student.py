"""Can a student be made: has the model weights that it could learn with, blocks enough, and widths that divide?"""

from app.admission.model_state import ModelState
from app.admission.named_layers import NamedLayers, check_patterns
from winnow.contract.dividing import check_width
from winnow.contract.errors import Refusal, Refusals
from winnow.contract.evenly import going, units_of
from winnow.contract.glob import matches_any
from winnow.contract.model import ModelFacts
from winnow.contract.steps.student import StudentSettings


def check_request(settings: StudentSettings, facts: ModelFacts) -> None:
    """What `POST /v1/models/{id}/students` refuses. Raises `invalid_request` for patterns that would take long,
    `pattern_matches_nothing`, and what `check_student` does."""
    state = ModelState("The model", facts)
    check_patterns(settings.exclude, facts)
    refusals = Refusals()
    with refusals:
        NamedLayers(state).matched_by_all(settings.exclude, "exclude")
    with refusals:
        check_student("", settings, facts)
    refusals.raise_all()


def check_student(where: str, settings: StudentSettings, facts: ModelFacts) -> None:
    """Raises `nothing_to_train`, `already_quantized`, `nothing_to_compress`, `invalid_request`, `does_not_divide`, at a
    field below `where`. What inspection has not kept is left to the worker."""
    refusals = Refusals()
    with refusals:
        _check_learns(where, facts)
    if facts.blocks is not None:
        units = units_of(facts.blocks, [layer.name for layer in facts.layers])
        with refusals:
            going(units, settings.depth, settings.exclude, _below(where, "depth"))
    if facts.channel_groups is not None and settings.width < 1 and settings.round_to is None:
        with refusals:
            _check_width(settings, facts, _below(where, "width"))
    refusals.raise_all()


def _check_learns(where: str, facts: ModelFacts) -> None:
    if facts.quantized:
        raise Refusal(
            "already_quantized",
            "The model is quantized, and a student learns with weights that are floats. Give the float model.",
            field=where or "model",
        )
    if not facts.layers or not facts.parameters:
        raise Refusal(
            "nothing_to_train",
            "The model has no layers with weights: no student of it could learn.",
            field=where or "model",
        )


def _check_width(settings: StudentSettings, facts: ModelFacts, where: str) -> None:
    groups = _groups(settings, facts)
    if not groups:
        detail = (
            "The model has no channels that can be cut, so no width but 1. Leave width out, and give a depth."
        )
        raise Refusal("nothing_to_compress", detail, field=where)
    check_width(settings.width, groups, where)


def _groups(settings: StudentSettings, facts: ModelFacts) -> list[tuple[str, int]]:
    """The channels of each group that can be cut, by the first layer that makes them."""
    groups = []
    for group in facts.channel_groups or ():
        makers = [facts.layers[place] for place in group.producers]
        names = {name for layer in makers for name in layer.names}
        if makers and not any(matches_any(name, settings.exclude) for name in names):
            groups.append((makers[0].name, group.channels))
    return groups


def _below(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
