"""Recipes and spaces by name, and which of them suit a model: what `{"preset": …}` and `{"auto": {}}` stand for.

`auto` searches the spaces of the presets that suit, the likeliest first.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import Field

from winnow.contract.asked_recipe import Preset, PresetName
from winnow.contract.base import RequestModel, ResponseModel
from winnow.contract.data_uses import DataUses
from winnow.contract.errors import Problem
from winnow.contract.job import ClosedJob, JobRequest
from winnow.contract.model import ModelFacts
from winnow.contract.open_steps import OpenRecipe
from winnow.contract.recipe import Recipe
from winnow.contract.search import Objective, Space
from winnow.contract.spaces import corners, dimensions
from winnow.contract.target import CheckedTarget, JobTarget, checked_by_rules
from winnow.contract.target_rules.written import not_taken

PRODUCTS: Final = frozenset({"MatMul", "Gemm", "LSTM"})
MANY_PARAMETERS: Final = 20_000_000
"""From here on weights are most of what a product waits for."""
FEW_PRODUCTS: Final = 0.05
"""Of the multiply-accumulates; products in few bits bring no more than that."""

TRAINING_RATE: Final = 3e10
"""Multiply-accumulates in a second of training, on two cores with AVX-512; a GPU does more in the same time."""
ROUNDING_TAKES: Final = 3
TYPICAL_MACS: Final = 100_000_000
TYPICAL_SECONDS: Final = 300
FEW_STEPS: Final = 100
MANY_STEPS: Final = 500
FEW_SAMPLES, MANY_SAMPLES = 100, 512
ENOUGH_TO_JUDGE: Final = 256
"""Of which `int8` sets an eighth apart."""


class PresetInfo(ResponseModel):
    """A preset, as `GET /v1/presets` lists it."""

    name: PresetName = Field(description='For `{"preset": name}`.')
    description: str = Field(description="What it does, and whom for.")
    needs: list[str] = Field(
        description="What has to be given: `calibration`, `training`, `evaluation` data, `search`."
    )
    spaces: list[OpenRecipe] = Field(description="What it tries.")


class Presets(ResponseModel):
    """`GET /v1/presets`."""

    items: list[PresetInfo] = Field(description="All presets.")


class RecommendationRequest(RequestModel):
    """`POST /v1/models/{id}/recommendation`: what there is besides the model."""

    data: DataUses = Field(default_factory=DataUses, description="The data that a job would have.")
    objective: Objective = Field(default="latency", description="What is wanted most.")


class Recommended(ResponseModel):
    """How well a preset suits the model."""

    preset: PresetName = Field(description="Its name.")
    suits: bool = Field(description="Whether the service would take it for this model and data.")
    because: str = Field(description="Why it stands where it does.")
    problem: Problem | None = Field(description="What it would be refused for; null where it suits.")


class Recommendations(ResponseModel):
    """The presets, the best first."""

    items: list[Recommended] = Field(description="All presets.")


def _space(why: str, *steps: dict[str, object]) -> Space:
    return Space(recipe=OpenRecipe.model_validate({"steps": list(steps)}), why=why)


INT8 = _space("8-bit integers are the fastest arithmetic of most CPUs", {"kind": "int8"})
STATIC = _space(
    "8 bits with ranges from calibration data; layers that cost quality stay float",
    {
        "kind": "int8_static",
        "calibration": {"any_of": ["minmax", "percentile", "entropy"]},
        "exclude": {"any_of": [[], "auto"]},
    },
)
MIXED_FOR_SPEED = _space(
    "8 bits for the layers that gain most time for what they cost, the others stay float",
    {"kind": "mixed_precision", "min_speedup": {"between": [1.1, 4.0]}},
)
MIXED_FOR_SIZE = _space(
    "8 or 4 bits for each layer, by what it costs and how large it is",
    {"kind": "mixed_precision", "max_size_ratio": {"between": [0.12, 0.6]}},
)
DYNAMIC = _space("8-bit products without calibration data", {"kind": "int8_dynamic"})
WEIGHTS = _space(
    "weights in few bits: the smallest file, and faster where memory is what is waited for",
    {"kind": "weight_only", "bits": {"any_of": [8, 4, 3]}, "block": {"any_of": [32, 128]}},
)
HALF = _space("weights of 16 bits: half the bytes at almost no loss", {"kind": "float16"})
PALETTE = _space(
    "weights shared by clustering: small files at any size of a layer",
    {"kind": "palette", "colors": {"any_of": [16, 64]}},
)
PRUNED = _space(
    "channels that matter least are cut out: fewer multiplications on every runtime",
    {"kind": "channel_pruning", "amount": {"between": [0.05, 0.6]}},
)
PRUNED_INT8 = _space(
    "fewer channels, and those in 8 bits",
    {"kind": "channel_pruning", "amount": {"between": [0.05, 0.6]}},
    {"kind": "int8"},
)
LOW_RANK = _space(
    "weights as products of smaller ones: fewer multiplications in large layers",
    {"kind": "low_rank", "amount": {"between": [0.1, 0.6]}},
)
TRAINED = _space(
    "channels are cut and the rest is trained towards the original's answers",
    {"kind": "channel_pruning", "amount": {"between": [0.1, 0.8]}},
    {"kind": "distillation", "epochs": 6},
)
TRAINED_TO_INT8 = _space(
    "channels are cut and the rest is trained towards the original's answers, then in 8 bits",
    {"kind": "channel_pruning", "amount": {"between": [0.1, 0.8]}},
    {"kind": "distillation", "epochs": 6},
    {"kind": "int8"},
)
SHALLOW = _space(
    "residual blocks go and the rest is trained towards the original's answers: fewer layers on every runtime",
    {"kind": "depth_pruning", "amount": {"between": [0.1, 0.7]}},
    {"kind": "distillation", "epochs": 6},
)
SHALLOW_TO_INT8 = _space(
    "residual blocks go and the rest is trained towards the original's answers, then in 8 bits",
    {"kind": "depth_pruning", "amount": {"between": [0.1, 0.7]}},
    {"kind": "distillation", "epochs": 6},
    {"kind": "int8"},
)
TRAINED_INT8 = _space(
    "8 bits trained through the rounding",
    {"kind": "int8_static"},
    {"kind": "quantization_aware_training", "epochs": 3},
)
SMOOTH = _space(
    "8-bit products, with the outliers of activations moved into the weights",
    {"kind": "int8_dynamic", "smooth": {"between": [0.2, 0.8]}},
)


@dataclass(frozen=True)
class _Definition:
    description: str
    needs: tuple[str, ...]
    spaces: tuple[Space, ...]


_PRESETS: Final[dict[PresetName, _Definition]] = {
    "fast": _Definition(
        "The fastest 8-bit form, measured on this machine, without a search.", ("calibration",), (INT8,)
    ),
    "no-data": _Definition(
        "What can be done without any data: weights and products in few bits.",
        ("search",),
        (DYNAMIC, WEIGHTS, HALF, PALETTE),
    ),
    "small": _Definition(
        "The smallest file at a quality of your choice, without training.",
        ("calibration", "search"),
        (WEIGHTS, STATIC, MIXED_FOR_SIZE, PALETTE),
    ),
    "quality-first": _Definition(
        "8 bits with the least loss: layers that cost quality stay float.",
        ("calibration", "search"),
        (STATIC, MIXED_FOR_SPEED, HALF),
    ),
    "transformer": _Definition(
        "Products of language models and vision transformers in few bits.",
        ("calibration", "search"),
        (SMOOTH, DYNAMIC, WEIGHTS),
    ),
    "pruned": _Definition(
        "Fewer channels, without training: faster on every runtime.",
        ("calibration", "search"),
        (PRUNED_INT8, PRUNED, LOW_RANK),
    ),
    "tiny": _Definition(
        "As small and fast as training data allows: pruned, distilled, in 8 bits.",
        ("calibration", "training", "search"),
        (TRAINED_TO_INT8, TRAINED, TRAINED_INT8),
    ),
    "shallow": _Definition(
        "Fewer layers: residual blocks go, and what is left is distilled.",
        ("calibration", "training", "search"),
        (SHALLOW_TO_INT8, SHALLOW),
    ),
}


def presets() -> list[PresetInfo]:
    """All presets."""
    return [
        PresetInfo(
            name=name,
            description=definition.description,
            needs=list(definition.needs),
            spaces=[space.recipe for space in definition.spaces],
        )
        for name, definition in _PRESETS.items()
    ]


def spaces_of(name: PresetName) -> list[Space]:
    """What a preset tries."""
    return [*_PRESETS[name].spaces]


def is_search(name: PresetName) -> bool:
    """Whether a preset leaves something open."""
    spaces = spaces_of(name)
    return len(spaces) > 1 or bool(dimensions(spaces[0].recipe))


def closed_job(request: JobRequest) -> ClosedJob | None:
    """The job with the recipe that was asked for, a preset's written out; None where something is open."""
    match request.recipe:
        case Recipe():
            return request.closed(request.recipe)
        case Preset(preset=name) if not is_search(name):
            return request.closed(next(corners(spaces_of(name)[0].recipe, 1)))
        case _:
            return None


def ranked(facts: ModelFacts, data: DataUses, objective: Objective) -> list[tuple[PresetName, str]]:
    """The presets, the likeliest to be worth it first, each with the reason."""
    return sorted(_reasons(facts, data, objective), key=lambda pair: _order(pair[0], facts, objective))


def auto_spaces(facts: ModelFacts, request: JobRequest) -> list[Space]:
    """What `auto` tries: of all presets the spaces that can bring what is wanted, the likeliest first, each once.

    Trainings are as long as fits: a whole one is to take a sixth of the budget's seconds at most. Where a
    model is large, fewer samples are looked at.
    """
    assert request.search is not None, "auto needs a search"
    objective = request.search.objective
    spaces = [space for name, _ in ranked(facts, request.data, objective) for space in spaces_of(name)]
    useless = [] if _bounds_size(request) else _useless(facts, objective, request.target)
    fitted = _fitted_settings(facts, request.search.budget.seconds)
    useless += [space for space in spaces if _is_not_taken(space, checked_by_rules(request.target))]
    chosen = {id(space): space for space in spaces if space not in useless}
    return [_with_settings(space, fitted) for space in chosen.values()]


def _bounds_size(request: JobRequest) -> bool:
    bounds = request.require
    return any(
        limit is not None for limit in (bounds.max_size_ratio, bounds.max_size_bytes, bounds.max_memory_bytes)
    )


def _is_not_taken(space: Space, target: CheckedTarget | None) -> bool:
    """Whether a step of it writes what the target has no operators for."""
    return any(not_taken(step.kind, target) for step in space.recipe.steps)


def _useless(facts: ModelFacts, objective: Objective, target: JobTarget) -> list[Space]:
    """The spaces that cannot make small what is wanted."""
    products = _product_share(facts)
    useless = [] if products >= FEW_PRODUCTS else [DYNAMIC, SMOOTH]
    if objective == "latency":
        useless += [PALETTE, MIXED_FOR_SIZE]
        useless += [] if target == "onnxruntime-cuda" else [HALF]
        useless += [] if products > 0.5 or facts.parameters > MANY_PARAMETERS else [WEIGHTS]
    if objective in ("size", "memory"):
        useless += [MIXED_FOR_SPEED]
    if objective == "macs":
        useless = [INT8, STATIC, MIXED_FOR_SPEED, MIXED_FOR_SIZE, DYNAMIC, SMOOTH, WEIGHTS, HALF, PALETTE]
        useless += [PRUNED_INT8, TRAINED_TO_INT8, SHALLOW_TO_INT8, TRAINED_INT8]
    return useless


def _fitted_settings(facts: ModelFacts, seconds: int | None) -> dict[str, dict[str, object]]:
    """By kind of step.

    steps   = seconds/6 · rate / (4 · MACs · batch)      forwards for two models, backwards as long again; through
                                                         the rounding a step takes three times as long
    samples = rate / 6 / MACs
    """
    macs, seconds = max(1, facts.macs or TYPICAL_MACS), seconds or TYPICAL_SECONDS
    for batch in (128, 32):
        steps = int(seconds / 6 * TRAINING_RATE / (4 * macs * batch))
        if steps >= FEW_STEPS:
            break
    steps = min(max(steps, 1), MANY_STEPS)
    samples = min(max(round(TRAINING_RATE / 6 / macs), FEW_SAMPLES), MANY_SAMPLES)
    looking = ("channel_pruning", "int8_static", "low_rank", "mixed_precision")
    return {
        "distillation": {"steps": steps, "batch_size": batch},
        "quantization_aware_training": {"steps": max(steps // ROUNDING_TAKES, 1), "batch_size": batch},
        **{kind: {"samples": samples} for kind in looking},
        "int8": {"samples": max(samples, ENOUGH_TO_JUDGE)},
    }


def _with_settings(space: Space, settings: Mapping[str, dict[str, object]]) -> Space:
    steps = space.recipe.model_dump(mode="json", exclude_unset=True)["steps"]
    if not any(step["kind"] in settings for step in steps):
        return space
    return _space(space.why, *(step | settings.get(step["kind"], {}) for step in steps))


def _reasons(facts: ModelFacts, data: DataUses, objective: Objective) -> Iterator[tuple[PresetName, str]]:
    share, calibrated = _product_share(facts), data.calibration is not None or data.dataset is not None
    mostly = f"{share:.0%} of its multiply-accumulates are matrix products"
    yield "transformer", mostly if share > 0.5 else f"only {mostly}"
    yield (
        "fast",
        "there is calibration data" if calibrated else "without calibration data only products become 8-bit",
    )
    yield "quality-first", "layers that cost quality can stay float; that takes calibration data"
    yield "pruned", _channels(facts)
    yield "small", f"{facts.parameters:,} weights are what its file consists of"
    trains = data.training is not None or data.dataset is not None
    yield "tiny", "there is training data" if trains else "there is no training data"
    yield "shallow", _blocks(facts)
    yield "no-data", "it needs nothing but the model"


def _channels(facts: ModelFacts) -> str:
    if facts.channel_groups is None:
        return "its channels are not known: it is too large, or was inspected before they were followed"
    free = sum(group.channels - 1 for group in facts.channel_groups)
    return f"{free} channels can be cut, in {len(facts.channel_groups)} groups"


def _blocks(facts: ModelFacts) -> str:
    if facts.blocks is None:
        return (
            "its residual blocks are not known: it is too large, or was inspected before they were looked for"
        )
    free = sum(block.pinned is None for block in facts.blocks)
    return f"{free} residual blocks can be taken out"


def _order(name: PresetName, facts: ModelFacts, objective: Objective) -> int:
    products = _product_share(facts) > 0.5
    by_size: tuple[PresetName, ...] = (
        "small",
        "no-data",
        "tiny",
        "transformer",
        "quality-first",
        "fast",
        "pruned",
        "shallow",
    )
    by_speed: tuple[PresetName, ...] = (
        ("transformer", "fast", "no-data", "quality-first", "small", "shallow", "tiny", "pruned")
        if products or facts.parameters > MANY_PARAMETERS
        else ("fast", "quality-first", "shallow", "tiny", "pruned", "small", "transformer", "no-data")
    )
    return (by_size if objective in ("size", "memory") else by_speed).index(name)


def _product_share(facts: ModelFacts) -> float:
    """The share of multiply-accumulates that are products; of layers where these are not known."""
    weights = [layer.macs if layer.macs is not None else 1 for layer in facts.layers]
    products = [w for w, layer in zip(weights, facts.layers, strict=True) if layer.op in PRODUCTS]
    return sum(products) / sum(weights) if sum(weights) else 0.0
