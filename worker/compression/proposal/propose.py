"""Propose how a dataset is read for a model: match columns and inputs, try what is open, say what it rests on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from winnow.contract.declaration import ArrayInput, AudioInput, Declaration, ImageInput
from winnow.contract.errors import Refusal
from winnow.contract.inquiry import Proposal, ProposedPart
from worker.compression.data.formats.opening import open_table
from worker.compression.proposal.choices.choice import Choice
from worker.compression.proposal.matching import Matches, matched
from worker.compression.proposal.subject import Subject, open_runnable
from worker.compression.proposal.targets import proposed_target
from worker.compression.proposal.trying import Trial, trials
from worker.compression.proposal.warning import fed_notes

SCALE: Final = ("scale", "mean", "std")
PLACE: Final = ("layout", "add_axis", "resize", "crop")
GROUPS: Final = (SCALE, PLACE)
SHOWN: Final = 3
"""Other ways that a reason names."""


def propose(path: Path, model: Path, scratch: Path, *, max_unpacked_bytes: int) -> Proposal:
    """Propose a declaration of the dataset at `path` for this model.

    Raises `Refusal` `inputs_do_not_fit` where nothing can be an input, and what opening either raises.
    """
    runnable = open_runnable(model, scratch, max_unpacked_bytes=max_unpacked_bytes)
    table = open_table(path, scratch, max_unpacked_bytes=max_unpacked_bytes)
    subject = Subject(runnable, path, table, scratch, max_unpacked_bytes)
    matches = matched(runnable.facts, table)
    used = [column for choices in matches.choices.values() for column in columns_of(choices[0].how)]
    target, part = proposed_target(table, len(table.columns[used[0]]), used)
    base = Declaration(constants=matches.constants, state=matches.state, targets=target)
    return _decided(subject, matches, base, [part] if part is not None else [])


def columns_of(how: Any) -> list[str]:
    """Name the columns that an input is made of."""
    match how:
        case ArrayInput():
            return [how.array]
        case ImageInput() | AudioInput():
            return [how.column] if how.column is not None else []
        case _:
            return list(how.columns)


def _decided(subject: Subject, matches: Matches, base: Declaration, parts: list[ProposedPart]) -> Proposal:
    """Try the ways of the first input that has several, and take the best."""
    open_input = next((name for name, ways in matches.choices.items() if len(ways) > 1), None)
    name = open_input or next(iter(matches.choices))
    ways = matches.choices[name]
    declarations = [_with(base, matches, name, way) for way in ways]
    tried = trials(subject, declarations)
    fed = [(way, result) for way, result in zip(ways, tried, strict=True) if isinstance(result, Trial)]
    if not fed:
        raise _none_fits(tried)
    best = _best(fed)
    declaration = declarations[ways.index(best[0])]
    for other, choices in matches.choices.items():
        chosen = best[0] if other == name else choices[0]
        parts += _matched_parts(other, chosen, [] if other != name else fed)
    parts += _tried_parts(name, best, fed)
    parts, notes = _labels_doubted(parts, best[1])
    parts = [*parts, *matches.parts]
    known = any(part.sure and part.path.rpartition(".")[2] in SCALE for part in parts)
    notes += fed_notes(subject.model.facts, subject.samples(declaration, 8), scale_known=known)
    return Proposal(declaration=declaration, sure=all(part.sure for part in parts), parts=parts, notes=notes)


def _with(base: Declaration, matches: Matches, name: str, way: Choice) -> Declaration:
    inputs = {other: choices[0].how for other, choices in matches.choices.items()}
    return base.model_copy(update={"inputs": {**inputs, name: way.how}})


def _none_fits(tried: Sequence[Trial | Refusal]) -> Refusal:
    first = next(refusal for refusal in tried if isinstance(refusal, Refusal)).problem
    return Refusal(first.code, f"Nothing that was tried can be fed. {first.detail}")


def _best(fed: list[tuple[Choice, Trial]]) -> tuple[Choice, Trial]:
    """Most right answers, then most likelihood, then what is usual."""

    def rank(entry: tuple[Choice, Trial]) -> tuple[float, float]:
        trial = entry[1]
        likelihood = 0.0 if trial.likelihoods is None else float(trial.likelihoods.mean())
        return (trial.accuracy or 0.0, likelihood)

    if not any(trial.is_right for _, trial in fed):
        return fed[0]
    return max(fed, key=rank)


def _matched_parts(name: str, chosen: Choice, fed: list[tuple[Choice, Trial]]) -> list[ProposedPart]:
    """What speaks for the choice without its being tried."""
    tried = {field for field in PLACE if len({_value(way, field) for way, _ in fed}) > 1}
    return [
        ProposedPart(
            path=".".join(["inputs", name, *([reason.field] if reason.field else [])]),
            sure=reason.sure,
            because=reason.because,
        )
        for reason in chosen.reasons
        if reason.field not in tried
    ]


def _tried_parts(
    name: str, best: tuple[Choice, Trial], fed: list[tuple[Choice, Trial]]
) -> list[ProposedPart]:
    """What was decided by trying: of each group of fields that differ, against the same with only these changed."""
    parts = []
    for group in GROUPS:
        rest = [field for other in GROUPS if other is not group for field in other]
        alike = [
            (way, trial)
            for way, trial in fed
            if way is not best[0] and all(_value(way, field) == _value(best[0], field) for field in rest)
        ]
        if alike:
            sure = best[1].is_right and all(best[1].beats(trial) for _, trial in alike)
            differ = [f for f in group if any(_value(way, f) != _value(best[0], f) for way, _ in alike)]
            parts.append(
                ProposedPart(
                    path=f"inputs.{name}.{differ[0]}", sure=sure, because=_account(best, alike, group)
                )
            )
    return parts


def _account(best: tuple[Choice, Trial], others: list[tuple[Choice, Trial]], group: tuple[str, ...]) -> str:
    if best[1].accuracy is None:
        return f"{_tells(best[0], group)} is what is usual; without labels nothing could be tried"
    if not best[1].is_right:
        return f"{_tells(best[0], group)} is what is usual; no way gives answers that are right more often than guessed"
    ranked = sorted(others, key=lambda entry: -(entry[1].accuracy or 0))[:SHOWN]
    told = ", ".join(f"{trial.accuracy:.0%} with {_tells(way, group)}" for way, trial in ranked)
    return (
        f"of {best[1].samples} labelled samples {best[1].accuracy:.0%} are answered right with "
        f"{_tells(best[0], group)}; {told}"
    )


def _tells(way: Choice, group: tuple[str, ...]) -> str:
    if group is SCALE:
        return way.tells
    fields = set(PLACE) if isinstance(way.how, ArrayInput) else {"resize", "crop"}
    values = way.how.model_dump(mode="json", include=fields, exclude_none=True)
    return ", ".join(f"{field} {value}" for field, value in values.items()) or "the axes as they are"


def _labels_doubted(parts: list[ProposedPart], best: Trial) -> tuple[list[ProposedPart], list[str]]:
    """Labels that no way of feeding makes the model agree with are perhaps not its own."""
    if best.accuracy is None or best.is_right:
        return parts, []
    doubted = [part.model_copy(update={"sure": False}) if part.path == "targets" else part for part in parts]
    note = (
        f"The model answers {best.accuracy:.0%} of {best.samples} labelled samples right, which is what guessing "
        "reaches: the classes may have other numbers than the model's (give their order in targets.classes), or the "
        "data is not what it was trained on."
    )
    return doubted, [note]


def _value(way: Choice, field: str) -> str:
    return repr(getattr(way.how, field, None))
