"""The rule by which a result is recommended, as laws over whatever can be measured."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.compression.measure.verdict.test_requirements import HALF, latency, parity, quality
from winnow.contract.recipe import Requirements
from winnow.contract.report import Parity, RequirementResult
from worker.compression.measure.quality.parity import MAX_FLOAT32
from worker.compression.measure.verdict.recommendation import (
    MAX_CLEARLY_SMALLER_RATIO,
    MIN_SNR_DB,
    MIN_TELLING_SPEEDUP,
    Measured,
    recommend,
)
from worker.compression.measure.verdict.requirements import judge, outcome_of
from worker.compression.measure.verdict.verdict import verdict

GOOD = Measured(changed=1, broken=None, speedup=(1.5, 1.6), size_ratio=0.5, drop=None, snr_db=40.0)
numbers = st.floats(0.01, 10, allow_nan=False)
intervals = st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair)))
drops = st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(lambda pair: (min(pair), max(pair)))
measured = st.builds(
    Measured,
    changed=st.integers(0, 3),
    broken=st.sampled_from([None, "output 'y' is NaN"]),
    speedup=st.none() | intervals,
    size_ratio=numbers,
    drop=st.none() | drops,
    snr_db=st.none() | st.floats(-50, 200),
    refused=st.sampled_from([None, "the target qnn cannot run the result"]),
)


@given(measured)
def test_use_is_recommended_exactly_where_all_of_the_defaults_hold(m: Measured) -> None:
    """The rule of the issue, written a second time."""
    slower = m.speedup is not None and m.speedup[1] < 1
    faster = m.speedup is not None and m.speedup[0] > 1 + MIN_TELLING_SPEEDUP
    worth = (not slower and m.size_ratio <= 1) or faster or m.size_ratio <= MAX_CLEARLY_SMALLER_RATIO
    kept = m.drop[0] <= 0 if m.drop is not None else m.snr_db is not None and m.snr_db >= MIN_SNR_DB
    use = m.changed > 0 and m.broken is None and m.refused is None and worth and kept
    advice, because = recommend(m)
    assert (advice == "use_result") == use
    assert because.endswith(".")


@given(measured, st.floats(0.01, 1))
def test_a_smaller_file_never_speaks_against_a_result(m: Measured, factor: float) -> None:
    smaller = recommend(replace(m, size_ratio=m.size_ratio * factor))[0]
    assert recommend(m)[0] == "keep_original" or smaller == "use_result"


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({"speedup": (0.4, 0.5), "size_ratio": 0.99}, "keep_original"),
        ({"speedup": (0.8, 1.1), "size_ratio": 1.0}, "use_result"),
        ({"speedup": None, "size_ratio": 1.01}, "keep_original"),
        ({"speedup": (1.5, 1.6), "size_ratio": 1.24}, "use_result"),
        ({"drop": (0.001, 0.02)}, "keep_original"),
        ({"drop": (-0.01, 0.02), "snr_db": None}, "use_result"),
        ({"drop": (-0.02, 0.02), "broken": "output 'y' is NaN"}, "keep_original"),
        ({"snr_db": 19.9}, "keep_original"),
        ({"snr_db": None}, "keep_original"),
        ({"changed": 0}, "keep_original"),
        ({"agreement": 1.0, "samples": 3}, "keep_original"),
        ({"agreement": 1.0, "samples": 59}, "keep_original"),
        ({"agreement": 0.95, "samples": 60}, "use_result"),
        ({"agreement": 0.94, "samples": 6000}, "keep_original"),
        ({"agreement": 1.0, "samples": 3, "drop": (-0.01, 0.02)}, "use_result"),
    ],
)
def test_the_defaults(change: dict[str, object], advice: str) -> None:
    assert recommend(replace(GOOD, **change))[0] == advice


@pytest.mark.parametrize(("samples", "unseen"), [(1, "1.00"), (3, "1.00"), (30, "0.10")])
def test_few_samples_that_agree_are_said_to_be_few(samples: int, unseen: str) -> None:
    because = recommend(replace(GOOD, agreement=1.0, samples=samples))[1]
    assert f"on {samples} samples only" in because
    assert f"{unseen} of others may not" in because
    assert "Give 60 or more" in because


def test_agreement_on_few_pictures_is_no_advice_to_use_the_result() -> None:
    whole = quality(0, 0, 0).model_copy(
        update={"metric": "agreement", "after": 1.0, "after_interval": (1.0, 1.0)}
    )
    for samples, advice in ((3, "keep_original"), (60, "use_result")):
        entry = whole.model_copy(update={"samples": samples})
        result = verdict(latency=[], quality=[entry], parity=[parity("a", 1.0)], size_bytes=HALF)
        assert result.recommend == advice


def test_accepted_is_what_was_required_and_met_and_nothing_required_is_unchecked() -> None:
    met = RequirementResult(name="min_cosine", asked=0.9, measured=1.0, interval=None, met=True, why=None)
    unmet = met.model_copy(update={"met": False, "why": "It moved."})
    asked = Requirements(min_cosine=0.9)
    assert outcome_of(asked, [met]) == "accepted"
    assert outcome_of(Requirements(), []) == "unchecked"
    assert outcome_of(Requirements(), [met]) == "unchecked", "a met target of a step alone"
    assert outcome_of(asked, [met, unmet]) == outcome_of(Requirements(), [unmet]) == "requirements_not_met"


def judged(found: list[Parity], **changes: object) -> list[RequirementResult]:
    given = {"quality": [], "latency": [], "parity": found, "size_bytes": HALF} | changes
    return judge(Requirements(min_cosine=0.5), **given)


@pytest.mark.parametrize("reason", ["its shape [4, 6] became [3, 6]", "it is no tensor", "it is gone"])
def test_an_output_that_cannot_be_compared_meets_no_cosine_and_is_not_recommended(reason: str) -> None:
    found = [parity("a", 0.999).model_copy(update={"snr_db": 40.0})]
    (entry,) = judged(found, uncompared={"boxes": reason})
    assert not entry.met
    assert entry.why is not None
    assert "'boxes'" in entry.why
    assert reason in entry.why
    told = verdict(latency=[], quality=[], parity=found, size_bytes=HALF, uncompared={"boxes": reason})
    assert told.recommend == "keep_original"
    assert verdict(latency=[], quality=[], parity=found, size_bytes=HALF).recommend == "use_result"


def test_integers_that_moved_meet_no_cosine_and_those_that_did_not_are_no_hindrance() -> None:
    for error, met in ((3.0, False), (0.0, True)):
        (entry,) = judged([parity("a", 0.999), parity("b", None).model_copy(update={"max_error": error})])
        assert entry.met is met


def test_what_is_broken_is_never_accepted_whatever_was_asked() -> None:
    bad = [parity("b", 0.0).model_copy(update={"max_error": MAX_FLOAT32})]
    nothing = {"latency": [latency(2, 1.9, 2.1)], "size_bytes": HALF}
    for found, nan in ((bad, 0), ([parity("b", 1.0)], 3)):
        given = {"quality": [quality(0, 0, 0)], "parity": found, "nan_samples": nan} | nothing
        (entry,) = judge(Requirements(), **given)
        assert (entry.name, entry.met) == ("finite_outputs", False)
        assert outcome_of(Requirements(), [entry]) == "requirements_not_met"
        assert verdict(**given).recommend == "keep_original"
