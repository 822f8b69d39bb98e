"""What the job requires, as far as a step can judge it while it chooses: on calibration data, not the evaluation's."""

from collections.abc import Callable

from winnow.contract.recipe import Requirements
from worker.compression.quantization.search.output_error import Judged

HARMLESS_DB = 20.0
"""Signal to noise of the outputs that counts as harmless where nothing else is asked: an error of a tenth."""

Meets = Callable[[Judged], bool]


def meeting(require: Requirements, labelled: bool) -> tuple[Meets, str]:
    """Whether a candidate does, and in words what was judged.

    `max_metric_drop` is judged where the calibration data has labels; without any requirement on quality that can be
    judged, the outputs have to stay `HARMLESS_DB` above the noise.
    """
    asked: list[tuple[Meets, str]] = []
    if (cosine := require.min_cosine) is not None:
        asked.append((lambda judged: judged.cosine >= cosine, f"cosine ≥ {cosine:g}"))
    if (most := require.max_metric_drop) is not None and labelled:
        asked.append((lambda judged: judged.drop is not None and judged.drop <= most, f"drop ≤ {most:g}"))
    if not asked:
        asked.append((lambda judged: judged.snr_db >= HARMLESS_DB, f"SNR ≥ {HARMLESS_DB:g} dB"))
    return (lambda judged: all(meets(judged) for meets, _ in asked)), " and ".join(
        words for _, words in asked
    )
