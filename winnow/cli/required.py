"""The options that say what the result has to meet."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from winnow.cli.settings import bounds


@dataclass(frozen=True, kw_only=True)
class RequirementOptions:
    """One field is one option of the command line."""

    max_metric_drop: Annotated[
        float | None,
        typer.Option(
            help="Of the first --metric, absolute: 0.01 is one point of top-1. The upper end of its 95 % interval "
            "decides."
        ),
    ] = None
    max_relative_drop: Annotated[
        float | None,
        typer.Option(
            help="Of the first --metric, as a share of the original's: 0.02 is 0.90 going to 0.882."
        ),
    ] = None
    min_agreement: Annotated[
        float | None,
        typer.Option(help="Of the predictions with the original's; needs --task, and no labels."),
    ] = None
    bound: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC [max_drop=…] [min=…] [max=…]",
            help="What one metric has to meet, e.g. 'f1 min=0.8'; repeatable.",
        ),
    ] = None
    min_cosine: Annotated[
        float | None,
        typer.Option(help="Between the outputs before and after, of the worst output."),
    ] = None
    min_snr_db: Annotated[
        float | None,
        typer.Option(
            help="Outputs over their error, of the worst output: 20 is an error of a tenth, 40 of a hundredth."
        ),
    ] = None
    min_speedup: Annotated[
        float | None,
        typer.Option(help="1.5 is one and a half times as fast, at the first --batch-size and --threads."),
    ] = None
    max_latency_ms: Annotated[
        float | None,
        typer.Option(
            help="Median of a run in milliseconds, at the first --batch-size and --threads, on the machine of the "
            "service."
        ),
    ] = None
    max_size_ratio: Annotated[float | None, typer.Option(help="0.5 is half the size of the file.")] = None
    max_size_bytes: Annotated[int | None, typer.Option(help="1000000 is a file of 1 MB.")] = None
    max_memory_bytes: Annotated[
        int | None,
        typer.Option(help="Peak of resident memory, loaded and run once."),
    ] = None

    def require(self) -> dict[str, Any]:
        """Make `require` of the request. Raises typer.BadParameter."""
        return {
            "max_metric_drop": self.max_metric_drop,
            "max_relative_drop": self.max_relative_drop,
            "min_speedup": self.min_speedup,
            "max_latency_ms": self.max_latency_ms,
            "max_size_ratio": self.max_size_ratio,
            "max_size_bytes": self.max_size_bytes,
            "max_memory_bytes": self.max_memory_bytes,
            "min_cosine": self.min_cosine,
            "min_snr_db": self.min_snr_db,
            "min_agreement": self.min_agreement,
            "metrics": bounds(self.bound),
        }
