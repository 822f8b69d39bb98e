"""Turns what the job requires into a rule for candidates, judged on calibration data and not the evaluation's."""

from collections.abc import Callable
from dataclasses import replace

from winnow.contract.recipe import Requirements
from worker.compression.quantization.search.output_error import OutputQuality

HARMLESS_DB = 20.0
"""Signal to noise of the outputs that counts as harmless where nothing else is asked: an error of a tenth."""

MARGIN_DB = 1.0
"""More than what is required: what is chosen on some samples is less good on others. yolox_nano, 64 samples chosen by
and 64 others: 0.1 to 0.2 dB less, on the worse half of these 0.7 to 1.0;
ppocrv3-det, where layers were taken back, 1.7."""

Acceptance = Callable[[OutputQuality], bool]


def with_margin(accepts: Acceptance) -> Acceptance:
    """Make the rule that accepts what would be accepted with `MARGIN_DB` less signal to noise."""
    return lambda quality: accepts(replace(quality, snr_db=quality.snr_db - MARGIN_DB))


def judged_by_labels(require: Requirements, labelled: bool) -> bool:
    """Whether a drop of the metric decides, which calibration data with labels can tell."""
    return labelled and (require.max_metric_drop is not None or require.max_relative_drop is not None)


def aimed_db(require: Requirements, labelled: bool) -> float | None:
    """Choose the signal to noise that repairs aim at, in dB; None where labels judge."""
    if judged_by_labels(require, labelled):
        return None
    return HARMLESS_DB if require.min_snr_db is None else require.min_snr_db


def acceptance_rule(require: Requirements, labelled: bool) -> tuple[Acceptance, str]:
    """Make the rule that accepts a candidate, and say in words what it asks.

    Drops of the metric are judged where the calibration data has labels; without any requirement on quality that can be
    judged, the outputs have to stay `HARMLESS_DB` above the noise.
    """
    rules: list[tuple[Acceptance, str]] = []
    by_labels = judged_by_labels(require, labelled)
    if (cosine := require.min_cosine) is not None:
        rules.append((lambda quality: quality.cosine >= cosine, f"cosine ≥ {cosine:g}"))
    if (snr := require.min_snr_db) is not None:
        rules.append((lambda quality: quality.snr_db >= snr, f"SNR ≥ {snr:g} dB"))
    if (max_drop := require.max_metric_drop) is not None and by_labels:
        rules.append(
            (lambda quality: quality.drop is not None and quality.drop <= max_drop, f"drop ≤ {max_drop:g}")
        )
    if (share := require.max_relative_drop) is not None and by_labels:
        rules.append(
            (
                lambda quality: quality.relative_drop is not None and quality.relative_drop <= share,
                f"relative drop ≤ {share:g}",
            )
        )
    if (agreement := require.min_agreement) is not None:
        rules.append(
            (
                lambda quality: quality.agreement is not None and quality.agreement >= agreement,
                f"agreement ≥ {agreement:g}",
            )
        )
    if not rules:
        rules.append((lambda quality: quality.snr_db >= HARMLESS_DB, f"SNR ≥ {HARMLESS_DB:g} dB"))
    return (lambda quality: all(accepts(quality) for accepts, _ in rules)), " and ".join(
        words for _, words in rules
    )
