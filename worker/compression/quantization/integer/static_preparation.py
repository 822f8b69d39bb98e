"""From a float graph to one that is ready for static quantization: rewritten for integer kernels."""

from dataclasses import dataclass, fields

from winnow.contract.recipe import Int8Static
from winnow.contract.target import CheckedTarget, CpuFeature
from worker.compression.cache.shared_arrays import UNSHARED, SharedArrays
from worker.compression.data.samples import Samples
from worker.compression.ir.edit import GraphEdit
from worker.compression.layers.batchnorm import fold_batchnorms
from worker.compression.quantization.calibration.histogram import Method
from worker.compression.quantization.integer.hardware import (
    WeightRangeChoice,
    four_bits,
    resolve_target,
    weight_range,
)
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.preparation.mean_to_pool import replace_means_with_pools
from worker.compression.quantization.preparation.unfuse_skip_layernorm import unfuse_skip_layernorms


@dataclass(frozen=True)
class StaticSettings:
    """What `int8_static` can be asked for besides the nodes it leaves alone, and what `int8` and `mixed_precision` want
    of static quantization. `target` and `weight_range` may be "auto"; `smooth` is SmoothQuant's alpha."""

    calibration: Method = "percentile"
    percentile: float = 99.99
    target: str = "auto"
    weight_bits: int = 8
    weight_range: WeightRangeChoice = "auto"
    equalize: bool = False
    smooth: float | None = None
    bias_correction: bool = True
    repair: bool = True

    @classmethod
    def of(cls, step: Int8Static) -> "StaticSettings":
        return cls(**{setting.name: getattr(step, setting.name) for setting in fields(cls)})


def prepare(
    edit: GraphEdit,
    settings: StaticSettings,
    samples: Samples,
    shared: SharedArrays = UNSHARED,
    checked: CheckedTarget | None = None,
    features: list[CpuFeature] | None = None,
) -> tuple[Static, dict[str, object]]:
    """Rewrite the graph for integer kernels, before anything is measured; with details for the report.

    `checked` is the target that the job is made for, where rules say what that takes, `features` those of its CPU.
    """
    folded = fold_batchnorms(edit)
    replace_means_with_pools(edit)
    machine, target = resolve_target(settings.target, checked, features)
    weights = (
        four_bits(target) if settings.weight_bits == 4 else weight_range(settings.weight_range, target.exact)
    )
    static = Static(edit, weights, samples, settings.calibration, settings.percentile, target)
    static.shared = shared
    if target.tables:  # TensorRT takes integers behind Q/DQ nodes only, and fuses no SkipLayerNormalization
        static.embeddings = True
        unfuse_skip_layernorms(edit)
    details = {"calibration": settings.calibration, "target": machine, **weights.details()}
    return static, {**details, "batchnorms_folded": folded}
