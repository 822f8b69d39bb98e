"""The loop in words, with and without figures."""

from winnow.contract.generation_words import in_words
from winnow.contract.report import GenerationReport, Pair


def report(**changes: object) -> GenerationReport:
    base: dict[str, object] = {
        "samples": 16, "tokens": 1280, "token_agreement": 0.995, "equal_answers": 0.875, "perplexity": None,
        "tokens_per_second": None, "speedup": None, "speedup_interval": None, "untold": "the machine was busy",
    }  # fmt: skip
    return GenerationReport.model_validate({**base, **changes})


def test_what_is_not_told_has_its_reason() -> None:
    said = in_words(report())
    assert "99.50% of 1,280 tokens of 16 answers" in said
    assert "87.50% of the answers wholly" in said
    assert said.endswith("not told: the machine was busy.")


def test_what_is_told_has_its_interval() -> None:
    said = in_words(
        report(
            perplexity=Pair(before=1.5, after=1.6, ratio=1.6 / 1.5),
            tokens_per_second=Pair(before=100.0, after=200.0, ratio=2.0),
            speedup=2.0,
            speedup_interval=(1.9, 2.1),
            untold=None,
        )
    )
    assert "Perplexity 1.5 before and 1.6 after." in said
    assert "2.00 times as fast (95 %: 1.90 to 2.10)" in said
