"""Targets of a step's own that could not be reached, as the report tells them."""

from collections.abc import Sequence

from winnow.contract.report import RequirementResult


def zeros_targets(
    name: str, counts: Sequence[int], wanted: Sequence[int], sizes: Sequence[int]
) -> list[RequirementResult]:
    """An entry only where the zeros that were asked for cannot be had."""
    reached, asked, size = sum(counts), sum(wanted), sum(sizes)
    if reached >= asked:
        return []
    return [
        RequirementResult(
            name=name,
            asked=asked / size,
            measured=reached / size,
            interval=None,
            met=False,
            why=f"{asked} of {size} weights were to be zero, but every layer keeps at least one unit of its structure, "
            f"so that something gets through: {reached} are.",
        )
    ]
