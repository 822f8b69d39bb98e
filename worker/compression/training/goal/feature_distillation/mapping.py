"""Which hidden state of the teacher a hidden state of the student learns from.

Uniform (Jiao et al. 2020, TinyBERT, arXiv:1909.10351; Sanh et al. 2019, DistilBERT, arXiv:1910.01108, keeps every
second layer): of M states the m-th learns from the teacher's state

    g(m) = ⌊m · N / M + ½⌋      of N, both counted from 1

Maps are matched with maps of their own size, size by size, so that each stage learns from its stage.
"""

from collections import defaultdict
from collections.abc import Sequence

from worker.compression.graph.blocks.states import State

Pair = tuple[int, int]
"""Places of a student's and a teacher's state."""


def uniform(student: int, teacher: int) -> list[int]:
    """List the teacher's place for each of the student's, from 0: never falling, and the last for the last."""
    return [max(1, (2 * m * teacher + student) // (2 * student)) - 1 for m in range(1, student + 1)]


def mapped(student: Sequence[State], teacher: Sequence[State]) -> list[Pair]:
    """Pair the states, in the order of the student's; where no sizes agree, whatever their sizes."""
    by_size = _by_size(student), _by_size(teacher)
    pairs = [
        (own[m], others[n])
        for sizes, own in by_size[0].items()
        if (others := by_size[1].get(sizes))
        for m, n in enumerate(uniform(len(own), len(others)))
    ]
    if not pairs and teacher:
        pairs = list(enumerate(uniform(len(student), len(teacher))))
    return _never_back(sorted(pairs))


def _by_size(states: Sequence[State]) -> dict[tuple[int, ...], list[int]]:
    places = defaultdict[tuple[int, ...], list[int]](list)
    for place, state in enumerate(states):
        places[state.sizes].append(place)
    return places


def _never_back(pairs: Sequence[Pair]) -> list[Pair]:
    """Leave out what would lead back to an earlier state of the teacher, as a size that comes twice may."""
    forward, furthest = list[Pair](), 0
    for student, teacher in pairs:
        if teacher >= furthest:
            forward.append((student, teacher))
            furthest = teacher
    return forward
