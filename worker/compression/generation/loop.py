"""The greedy loop over the graphs of a package, one sample at a time, in ONNX Runtime.

h = before(data);  logits, cache = first(start, h);  t₁ = argmax logits
logits, cache = then(tᵢ, cache, h);                  tᵢ₊₁ = argmax logits
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from winnow.contract.errors import Refusal
from winnow.contract.generation_plan import Feed, GenerationPlan, GraphPlan
from winnow.contract.model import TensorSpec
from worker.compression.ir.arrays import Array
from worker.compression.runtime.session import open_cpu_session

Feeds = dict[str, Array]
Watcher = Callable[[str, Feeds], None]
"""Told of each run: the name of its graph and what it is fed with."""


def _nobody(_: str, __: Feeds) -> None: ...


@dataclass
class _State:
    """What is known while a sample is answered. `values` are of data and of graphs that have run, by their names in the
    one graph; `known` counts tokens, those of a prompt too."""

    values: Feeds
    cache: Feeds = field(default_factory=dict)
    known: int = 0


@dataclass(frozen=True)
class Loop:
    """`sessions` of the graphs by name; `role` names them in errors: "the original"."""

    plan: GenerationPlan
    sessions: Mapping[str, Any]
    start_token: int
    role: str

    @classmethod
    def opened(
        cls, plan: GenerationPlan, files: Mapping[str, Path], start_token: int, threads: int, role: str
    ) -> "Loop":
        """Load the graphs of the loop."""
        sessions = {name: open_cpu_session(file, threads=threads) for name, file in files.items()}
        return cls(plan, sessions, start_token, role)

    def tokens(self, data: Feeds, most: int, end_token: int | None, watcher: Watcher = _nobody) -> list[int]:
        """Answer one sample with the likeliest token each time, up to `most` or the end token, which is among them."""
        chosen: list[int] = []
        for scores in self.scores(data, chosen, watcher):
            chosen.append(int(scores.argmax()))
            if len(chosen) == most or chosen[-1] == end_token:
                break
        return chosen

    def scores(self, data: Feeds, chosen: Sequence[int], watcher: Watcher = _nobody) -> Iterator[Array]:
        """Yield the scores [vocabulary] of each next token; whoever takes them says in `chosen` which it was, before it
        asks for the next."""
        plan, state = self.plan, _State(dict(data))
        for graph in plan.before:
            self._run(graph, None, state, watcher)
        begin = data[_prompt(plan)] if plan.prompted else np.array([[self.start_token]])
        yield self._step(plan.first, begin, plan.logits[0], state, watcher)
        while True:
            yield self._step(plan.then, np.array([[chosen[-1]]]), plan.logits[1], state, watcher)

    def _step(self, graph: GraphPlan, tokens: Array, logits: str, state: _State, watcher: Watcher) -> Array:
        state.known += tokens.shape[1]
        outputs = self._run(graph, tokens, state, watcher)
        return np.asarray(outputs[logits][0, -1], np.float64)

    def _run(self, graph: GraphPlan, tokens: Array | None, state: _State, watcher: Watcher) -> Feeds:
        feeds = {feed.spec.name: _made(feed, tokens, state) for feed in graph.feeds}
        watcher(graph.name, feeds)
        try:
            results = self.sessions[graph.name].run(list(graph.outputs), feeds)
        except Exception as error:  # ONNX Runtime's own have no common base
            shapes = ", ".join(f"{name} {list(x.shape)}" for name, x in feeds.items())
            raise Refusal(
                "model_does_not_run",
                f"In the loop of generate, {graph.name!r} of {self.role} failed on {shapes}: {str(error)[:400]}",
                field="generate",
            ) from error
        outputs = dict(zip(graph.outputs, results, strict=True))
        state.values |= {f"{graph.name}:{name}": x for name, x in outputs.items()}
        made = {cache: outputs[name] for cache, name in graph.caches.items() if outputs[name].size}
        state.cache |= made  # a merged decoder puts out empty ones in place of those that it was given
        return outputs


def _prompt(plan: GenerationPlan) -> str:
    return next(feed.source for feed in plan.first.feeds if feed.kind == "token")


def _made(feed: Feed, tokens: Array | None, state: _State) -> Array:
    """The array of an input, in the type that it takes."""
    match feed.kind:
        case "data" | "value":
            made = state.values[feed.source]
        case "past":
            made = state.cache.get(feed.source, _empty(feed.spec))
        case "has_cache":
            made = np.full([1] * len(feed.spec.shape), bool(state.cache))
        case "mask":
            made = np.ones((1, state.known))
        case "token" | "positions":
            assert tokens is not None, "graphs that run before take no tokens"
            given = np.arange(state.known - tokens.shape[1], state.known)[None]
            made = tokens if feed.kind == "token" else given
    return np.ascontiguousarray(made, np.dtype(feed.spec.dtype))


def _empty(spec: TensorSpec) -> Array:
    """A cache of nothing: one sample, and 0 along what is open."""
    batch = spec.batch_axis
    sizes = [
        size if isinstance(size, int) else 1 if axis == batch else 0 for axis, size in enumerate(spec.shape)
    ]
    return np.zeros(sizes, np.dtype(spec.dtype))
