"""What comes of holding a graph against a target's rules."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from pydantic import Field

from winnow.contract.base import ResponseModel
from winnow.contract.target_rules.rules import Effect

MAX_FINDINGS: Final = 100
"""That are listed one by one."""
MAX_NAMED: Final = 5
"""Nodes, or reasons, that a sentence names."""


class Finding(ResponseModel):
    """A node that the target does not take, or something of the whole graph."""

    node: str | None = Field(
        description="Name of the node; null for the whole graph, empty where it has none."
    )
    operator: str | None = Field(description="Its operator; null for the whole graph.")
    effect: Effect = Field(
        description="`falls_back`: another processor computes it; `refused`: the file is not loaded; `slower`: it "
        "runs, and costs time."
    )
    rule: str = Field(description="Which part of the target's rules it breaks.")
    why: str = Field(description="What is taken and what came, in a sentence.")
    source: str = Field(description="Where the rule is said.")


class TargetCheck(ResponseModel):
    """What rules say of a graph on a target, without running it there."""

    target: str = Field(description="The target.")
    as_of: str = Field(description="The version that the rules are of.")
    runs: bool = Field(description="Whether the target can run any of it, as far as the rules know.")
    nodes: int = Field(description="How many nodes the graph has.")
    taken: int = Field(description="How many of these break no rule.")
    findings: list[Finding] = Field(
        max_length=MAX_FINDINGS, description="What breaks a rule, the whole graph first; at most 100."
    )
    more: int = Field(description="How many more there are.")
    by_operator: dict[str, int] = Field(description="Operator → how many of its nodes are not taken.")
    unchecked: list[str] = Field(description="Limits of operators in the graph that were not checked.")
    unknown: list[str] = Field(description="What is not known of the target.")

    @property
    def refused(self) -> bool:
        """Whether the whole file is not loaded."""
        return any(finding.effect == "refused" for finding in self.findings)

    @property
    def summary(self) -> str:
        """In a sentence."""
        told = [finding.why for finding in self.findings if finding.node is None]
        left = self.nodes - self.taken
        if left:
            most = Counter(self.by_operator).most_common()
            listed = ", ".join(f"{operator} ({count})" for operator, count in most[:MAX_NAMED])
            more = ", …" if len(most) > MAX_NAMED else ""
            verb = "are refused" if self.refused else "fall back to another processor"
            told.append(f"{left} of {self.nodes} nodes {verb}: {listed}{more}.")
        return " ".join(told) or f"All {self.nodes} nodes are taken, as far as the rules know."

    @property
    def reasons(self) -> Iterator[str]:
        """Different ones, each with the first node that gives it and its source."""
        seen: set[str] = set()
        for finding in self.findings:
            if finding.why in seen:
                continue
            seen.add(finding.why)
            name = "" if finding.node is None else f"{finding.node or 'a node without a name'}: "
            yield f"{name}{finding.why} ({finding.source})"
