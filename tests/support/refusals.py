"""What an action is refused with."""

from collections.abc import Callable

from winnow.contract.errors import Problem, Refusal


def refusal(action: Callable[[], object]) -> Problem | None:
    """None when it goes through; whatever else it raises is an accident and is passed on."""
    try:
        action()
    except Refusal as refused:
        return refused.problem
    return None
