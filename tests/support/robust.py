"""Facts of robustness as a report has them, for tests of what shows them."""

from winnow.contract.robustness import Dependence, Invariance, Noise, Robustness, Unseen, WithoutVnni

SAME = Dependence(depends=False, snr_db=None, max_relative_error=0.0)
MOVED = Dependence(depends=True, snr_db=38.0, max_relative_error=0.01)


def robustness() -> Robustness:
    """Of a dynamically quantized model whose data was not padded, on a noisy machine."""
    return Robustness(
        neighbours=Invariance(
            samples=4, data="evaluation", before=SAME, after=MOVED, says="An answer depends <b>."
        ),
        padding=Invariance(samples=0, data=None, before=None, after=None, says="The data is not padded."),
        without_vnni=WithoutVnni(
            layers=3, exposed=1, cut_off=0.01, exact_db=40.0, cut_off_db=12.0, seven_bits_db=38.0,
            says="A CPU without VNNI can cut off sums.",
        ),
        noise=Noise(control_spread=0.02, speedup_spread=0.03, told_from=0.02, says="From round to round."),
        unseen=Unseen(
            part=None, samples=0, metric=None, before=None, after=None, drop=None, drop_interval=None,
            says="No quality was judged.",
        ),
    )  # fmt: skip
