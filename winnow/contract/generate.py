"""How a package answers token by token: what a job says of the loop."""

from typing import Annotated, Any, Final

from pydantic import Field

from winnow.contract.base import RequestModel

MAX_TOKENS: Final = 1024
EXAMPLE: Final[dict[str, Any]] = {
    "start_token": 0,
    "end_token": 1,
    "max_tokens": 32,
    "first": "decoder",
    "then": "decoder_with_past",
    "feeds": {"encoder.last_hidden_state": "decoder.encoder_hidden_states"},
}
"""Of an encoder-decoder as Hugging Face exports it."""
Place = Annotated[str, Field(min_length=3, max_length=400)]
"""`graph.output` or `graph.input`."""
Graph = Annotated[str, Field(min_length=1, max_length=64)]
Token = Annotated[int, Field(ge=0, lt=2**31)]


class Generate(RequestModel):
    """A greedy loop over the graphs of a package: `first` makes the first token, `then` each further one; graphs that
    feed them run once before. Caches (`present.*` into `past_key_values.*`) are fed by their names."""

    start_token: Token = Field(
        description="What `first` is given to begin with; where no graph runs before it, the data's prompt is."
    )
    end_token: Token = Field(description="Behind it an answer ends.")
    max_tokens: int = Field(
        default=32, ge=2, le=MAX_TOKENS, description="Tokens of an answer at most, the end among them."
    )
    first: Graph = Field(description="Name of the graph that makes the first token.")
    then: Graph = Field(description="Name of the graph that makes each further one; may be the same.")
    feeds: dict[Place, Place | Annotated[list[Place], Field(min_length=1, max_length=16)]] = Field(
        default_factory=dict,
        max_length=64,
        description="From `graph.output` to the `graph.input` that it goes into, or to several.",
        examples=[{"encoder.last_hidden_state": "decoder.encoder_hidden_states"}],
    )
