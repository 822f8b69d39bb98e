"""`GET /v1/targets`: where models can be made for, and what is known of each."""

from collections.abc import Collection

from pydantic import Field

from winnow.contract.base import ResponseModel
from winnow.contract.target import JOB_TARGETS, JobTarget, checked_by_rules, measured_on
from winnow.contract.target_rules.load import rules_of
from winnow.contract.target_rules.rules import TargetRules


class TargetInfo(ResponseModel):
    """A target that a job may name."""

    name: str = Field(description="As a job's `target` names it.")
    title: str = Field(description="What it is.")
    checked_by_rules: bool = Field(
        description="Whether rules alone say what it takes: candidates are timed on another runtime then."
    )
    timed_on: str = Field(description="The runtime on which candidates are timed and judged.")
    measurable: bool = Field(description="Whether a worker that lives can measure on the target itself.")
    available: bool = Field(
        description="Whether a worker that lives has the runtime that candidates are timed on."
    )
    rules: TargetRules = Field(description="What it takes, with sources.")


class Targets(ResponseModel):
    """All of them."""

    items: list[TargetInfo] = Field(description="The targets, those that are measured first.")


def targets(runtimes: Collection[str]) -> Targets:
    """All of them, where workers that live have these runtimes."""
    return Targets(items=[_described(target, runtimes) for target in JOB_TARGETS])


def _described(target: JobTarget, runtimes: Collection[str]) -> TargetInfo:
    rules, timing = rules_of(target), measured_on(target)
    return TargetInfo(
        name=target,
        title=rules.title,
        checked_by_rules=checked_by_rules(target) is not None,
        timed_on=timing,
        measurable=target in runtimes,
        available=timing in runtimes,
        rules=rules,
    )
