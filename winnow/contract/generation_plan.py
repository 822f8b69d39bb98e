"""What goes into which input while a package answers token by token: from what a job says, and from names.

past_key_values.X    present.X of the graph that ran last and has it; empty where none ran
encoder_X            input X of a graph that ran before, where nothing else feeds it
input_ids            the token (`first` is given the prompt of the data where no graph runs before it)
attention_mask       ones, as many as tokens are known; position_ids the places of the tokens given
use_cache_branch     whether there is a cache
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from winnow.contract.errors import Refusal, Refusals
from winnow.contract.generate import Generate
from winnow.contract.model import PackagedGraph, TensorSpec

PAST: Final = re.compile(r"past(?:_key_values?)?[._](.+)")
PRESENT: Final = re.compile(r"present(?:_key_values?)?[._](.+)")
TOKENS: Final = ("input_ids", "decoder_input_ids")
INTEGERS: Final = ("int64", "int32")

Kind = Literal["data", "value", "token", "past", "mask", "positions", "has_cache"]


@dataclass(frozen=True)
class Feed:
    """What an input gets. `source`: of `data` and `value` the name in the one graph (`encoder:h`), of `past` the cache
    that it takes (`0.decoder.key`), of `token` the input that the data has the prompt for, if any."""

    spec: TensorSpec
    kind: Kind
    source: str = ""


@dataclass(frozen=True)
class GraphPlan:
    """`feeds` of all inputs in order; `caches` from what a cache is called to the output that has it."""

    name: str
    feeds: tuple[Feed, ...]
    outputs: tuple[str, ...]
    caches: Mapping[str, str]


@dataclass(frozen=True)
class GenerationPlan:
    """The graphs that run once, in order, then the loop. `logits` of `first` and `then`. `prompted`: `first` is given
    tokens of the data."""

    before: tuple[GraphPlan, ...]
    first: GraphPlan
    then: GraphPlan
    logits: tuple[str, str]
    prompted: bool

    @property
    def roots(self) -> list[str]:
        """Inputs of the one graph that data is needed for."""
        feeds = (feed for graph in (*self.before, self.first, self.then) for feed in graph.feeds)
        return list(
            dict.fromkeys(feed.source for feed in feeds if feed.source and feed.kind in ("data", "token"))
        )


def plan_of(generate: Generate, graphs: Sequence[PackagedGraph]) -> GenerationPlan:
    """Raises `Refusal` with the names and the field of each fault: `unknown_output`, `unknown_input`,
    `invalid_request`."""
    refusals = Refusals()
    by_name = {graph.name: graph for graph in graphs}
    for field in ("first", "then"):
        with refusals:
            if (name := getattr(generate, field)) not in by_name:
                raise _no_graph(name, by_name, f"generate.{field}")
    fed: dict[tuple[str, str], str] = {}
    for output, inputs in generate.feeds.items():
        with refusals:
            _feed(output, [inputs] if isinstance(inputs, str) else inputs, by_name, fed)
    refusals.raise_all()
    order = _before(generate, by_name, fed)
    prompted = not order
    before = tuple(_plan(by_name[name], "before", fed, order, by_name, None) for name in order)
    first, then = by_name[generate.first], by_name[generate.then]
    plans = [
        _plan(first, "prompt" if prompted else "first", fed, order, by_name, {}),
        _plan(then, "then", fed, order, by_name, {**_caches(first), **_caches(then)}),
    ]
    return GenerationPlan(before, plans[0], plans[1], (_logits(first), _logits(then)), prompted)


def _feed(
    output: str, inputs: list[str], by_name: Mapping[str, PackagedGraph], fed: dict[tuple[str, str], str]
) -> None:
    field = f"generate.feeds.{output}"
    graph, name = _place(output, by_name, field)
    if name not in (names := [spec.name for spec in graph.outputs]):
        detail = f"The graph {graph.name!r} has no output {name!r}; it has {_listed(names)}."
        raise Refusal("unknown_output", detail, field=field)
    for each in inputs:
        target, input = _place(each, by_name, field)
        if input not in (names := [spec.name for spec in target.inputs]):
            detail = f"The graph {target.name!r} has no input {input!r}; it has {_listed(names)}."
            raise Refusal("unknown_input", detail, field=field)
        if fed.setdefault((target.name, input), f"{graph.name}:{name}") != f"{graph.name}:{name}":
            raise Refusal("invalid_request", f"Two outputs are fed into {each!r}. Feed one.", field=field)


def _place(text: str, by_name: Mapping[str, PackagedGraph], field: str) -> tuple[PackagedGraph, str]:
    """`graph.name`; either may have dots of its own."""
    for name in sorted(by_name, key=len, reverse=True):
        if text.startswith(f"{name}."):
            return by_name[name], text.removeprefix(f"{name}.")
    raise _no_graph(text.partition(".")[0], by_name, field)


def _no_graph(name: str, by_name: Mapping[str, PackagedGraph], field: str) -> Refusal:
    detail = (
        f"The package has no graph {name!r}; it has {_listed(by_name)}. Values are named as graph.output."
    )
    return Refusal("invalid_request", detail, field=field)


def _before(
    generate: Generate, by_name: Mapping[str, PackagedGraph], fed: Mapping[tuple[str, str], str]
) -> list[str]:
    """The graphs that run once, each behind those that feed it. All graphs have a part in the loop."""
    loop = {generate.first, generate.then}
    needs = {
        name: {source.partition(":")[0] for (to, _), source in fed.items() if to == name} for name in by_name
    }
    order: list[str] = []
    waiting = [name for name in by_name if name not in loop]
    while ready := [name for name in waiting if needs[name] <= {*order}]:
        order += ready
        waiting = [name for name in waiting if name not in ready]
    used = set().union(*needs.values())
    if stray := waiting or [name for name in order if name not in used]:
        raise Refusal(
            "invalid_request",
            f"The graph {stray[0]!r} has no part in the loop: it is neither first nor then, and feeds nothing. Say in "
            f"feeds where its outputs go ({_listed(_outputs(by_name[stray[0]]))}), or leave it out of the package.",
            field="generate.feeds",
        )
    return order


def _plan(
    graph: PackagedGraph,
    role: Literal["before", "prompt", "first", "then"],
    fed: Mapping[tuple[str, str], str],
    order: Sequence[str],
    by_name: Mapping[str, PackagedGraph],
    caches: Mapping[str, str] | None,
) -> GraphPlan:
    feeds = tuple(_fed(spec, graph, role, fed, order, by_name, caches) for spec in graph.inputs)
    if role != "before" and not any(feed.kind == "token" for feed in feeds):
        names = _listed(spec.name for spec in graph.inputs)
        detail = (
            f"The graph {graph.name!r} takes no tokens: none of its inputs ({names}) is called input_ids."
        )
        raise Refusal("invalid_request", detail, field=f"generate.{'then' if role == 'then' else 'first'}")
    return GraphPlan(graph.name, feeds, tuple(_outputs(graph)), _caches(graph))


def _fed(
    spec: TensorSpec,
    graph: PackagedGraph,
    role: str,
    fed: Mapping[tuple[str, str], str],
    order: Sequence[str],
    by_name: Mapping[str, PackagedGraph],
    caches: Mapping[str, str] | None,
) -> Feed:
    own = f"{graph.name}:{spec.name}"
    if source := fed.get((graph.name, spec.name)):
        return Feed(spec, "value", source)
    if role == "before" or caches is None:
        return Feed(spec, "data", own)
    if past := PAST.fullmatch(spec.name):
        return _past(spec, graph, past.group(1), role, caches)
    if spec.name in TOKENS:
        return Feed(spec, "token", own if role == "prompt" else "")
    if spec.name == "use_cache_branch":
        return Feed(spec, "has_cache")
    if spec.name in ("attention_mask", "decoder_attention_mask") and spec.dtype in INTEGERS:
        return Feed(spec, "mask")
    if spec.name == "position_ids":
        return Feed(spec, "positions")
    bare = spec.name.removeprefix("encoder_")
    for name in order if bare != spec.name else ():
        if bare in [other.name for other in by_name[name].inputs]:
            return Feed(spec, "data", f"{name}:{bare}")
    return Feed(spec, "data", own)


def _past(spec: TensorSpec, graph: PackagedGraph, cache: str, role: str, caches: Mapping[str, str]) -> Feed:
    """An input of the cache. At the beginning it is empty, later something has to have made it."""
    if role == "then" and cache not in caches:
        raise Refusal(
            "invalid_request",
            f"The input {spec.name!r} of {graph.name!r} takes a cache that no graph of the loop makes: no output is "
            f"called present.{cache}; there are {_listed([*caches.values()][:8])}.",
            field="generate.then",
        )
    return Feed(spec, "past", cache)


def _caches(graph: PackagedGraph) -> dict[str, str]:
    """From what a cache is called to the output that has it."""
    named = ((PRESENT.fullmatch(name), name) for name in _outputs(graph))
    return {match.group(1): name for match, name in named if match is not None}


def _logits(graph: PackagedGraph) -> str:
    """The output with a number for each token of the vocabulary."""
    names = [spec.name for spec in graph.outputs if PRESENT.fullmatch(spec.name) is None]
    scores = [n for n in names if n == "logits"] or names[:1]
    if not scores:
        detail = f"The graph {graph.name!r} has no output of scores; it has {_listed(_outputs(graph))}."
        raise Refusal("unknown_output", detail, field="generate.first")
    return scores[0]


def _outputs(graph: PackagedGraph) -> Iterator[str]:
    return (spec.name for spec in graph.outputs)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "none"
