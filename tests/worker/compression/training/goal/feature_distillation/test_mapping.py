"""The student's states learn from the teacher's in order, the last from the last."""

from hypothesis import given
from hypothesis import strategies as st

from worker.compression.graph.blocks.states import State
from worker.compression.training.goal.feature_distillation.mapping import mapped, uniform

COUNTS = st.integers(1, 40)
SIZES = st.lists(st.sampled_from([(), (32, 32), (16, 16), (8, 8)]), min_size=1, max_size=12)


@given(student=COUNTS, teacher=COUNTS)
def test_it_is_monotone_and_ends_at_the_end(student: int, teacher: int) -> None:
    places = uniform(student, teacher)
    assert places == sorted(places)
    assert places[-1] == teacher - 1
    assert min(places) >= 0


@given(count=COUNTS, times=st.integers(1, 5))
def test_of_a_multiple_every_so_manyth_state_is_taken(count: int, times: int) -> None:
    """TinyBERT's g(m) = m · N / M."""
    assert uniform(count, count * times) == [m * times - 1 for m in range(1, count + 1)]


@given(student=SIZES, teacher=SIZES)
def test_pairs_go_forward_in_both_and_agree_in_size_where_any_do(
    student: list[tuple[int, ...]], teacher: list[tuple[int, ...]]
) -> None:
    states = [[State(str(place), sizes) for place, sizes in enumerate(each)] for each in (student, teacher)]
    pairs = mapped(*states)
    assert pairs
    assert [m for m, _ in pairs] == sorted({m for m, _ in pairs})
    assert [n for _, n in pairs] == sorted(n for _, n in pairs)
    if set(student) & set(teacher):
        assert all(student[m] == teacher[n] for m, n in pairs)


def test_a_network_is_mapped_on_itself_state_by_state() -> None:
    states = [State(str(place)) for place in range(7)]
    assert mapped(states, states) == [(place, place) for place in range(7)]


def test_no_states_make_no_pairs() -> None:
    assert mapped([], [State("a")]) == mapped([State("a")], []) == []
