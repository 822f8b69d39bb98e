"""What looks unprepared in that which a model is fed."""

from winnow.contract.model import ModelFacts
from worker.compression.data.inspection.suspicious import channels_behind, stretched_pictures, unscaled_inputs
from worker.compression.data.samples import Samples
from worker.compression.proposal.choices.words import largest_of, tokens_beyond


def fed_notes(model: ModelFacts, samples: Samples, *, scale_known: bool = False) -> list[str]:
    """Note numbers that were not scaled, channels at the wrong end, tokens that the model has no row for.

    Raises `Refusal` where the samples cannot be read.
    """
    feed = next(samples.batches(8))
    tokens = [
        note
        for spec in model.inputs
        if spec.name in feed and (largest := largest_of(feed[spec.name])) is not None
        if (note := tokens_beyond(model, spec.name, largest)) is not None
    ]
    unscaled = [] if scale_known else unscaled_inputs(samples)
    return [*unscaled, *channels_behind(samples), *stretched_pictures(samples), *tokens]
