"""How quality is measured: the task, its metrics, and how outputs become predictions (`decode`)."""

from typing import Annotated, Final, Literal, Self, get_args

from pydantic import Field, model_validator

from winnow.contract.base import RequestModel
from winnow.contract.decoding import Decode

Task = Literal[
    "classification",
    "multilabel",
    "regression",
    "embedding",
    "segmentation",
    "detection",
    "language",
    "sequence",
    "anomaly",
]
Metric = Literal[
    "top1",
    "top5",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "roc_auc",
    "average_precision",
    "ece",
    "mae",
    "mse",
    "rmse",
    "r2",
    "pearson",
    "spearman",
    "recall_at_1",
    "recall_at_5",
    "recall_at_10",
    "mean_iou",
    "pixel_accuracy",
    "map",
    "map50",
    "perplexity",
    "token_accuracy",
    "exact_match",
    "cer",
    "wer",
    "anomaly_auc",
    "agreement",
]
ERRORS: Final[frozenset[str]] = frozenset({"mae", "mse", "rmse", "ece", "perplexity", "cer", "wer"})
"""Metrics of which less is better."""
AGREEMENT: Final = "agreement"

TASK_METRICS: Final[dict[Task, tuple[Metric, ...]]] = {
    "classification": (
        "top1",
        "top5",
        "balanced_accuracy",
        "precision",
        "recall",
        "f1",
        "roc_auc",
        "average_precision",
        "ece",
        "agreement",
    ),
    "multilabel": ("average_precision", "precision", "recall", "f1", "roc_auc", "agreement"),
    "regression": ("r2", "mae", "mse", "rmse", "pearson", "spearman", "agreement"),
    "embedding": ("spearman", "recall_at_1", "recall_at_5", "recall_at_10", "agreement"),
    "segmentation": ("mean_iou", "pixel_accuracy", "agreement"),
    "detection": ("map", "map50", "agreement"),
    "language": ("perplexity", "token_accuracy", "agreement"),
    "sequence": ("cer", "wer", "exact_match", "agreement"),
    "anomaly": ("anomaly_auc", "agreement"),
}
"""What each task can be measured by. The first is what is measured with labels where no metric is named."""

TASK_DECODES: Final[dict[Task, tuple[str, ...]]] = {
    "classification": ("classes",),
    "multilabel": ("sigmoid",),
    "regression": (),
    "embedding": ("pooled",),
    "segmentation": ("argmax", "sigmoid"),
    "detection": (
        "boxes",
        "yolox",
        "yolov5",
        "yolov8",
        "ssd",
        "retinaface",
        "scrfd",
        "centernet",
        "detr",
    ),
    "language": ("argmax",),
    "sequence": ("ctc", "argmax"),
    "anomaly": ("sigmoid",),
}
"""Kinds of `decode` that make what a task judges."""


class Evaluation(RequestModel):
    """How quality is measured. A `metric` alone says its usual task: `top1` is one of classification, `mse` of
    regression. `auto` is taken from the model's outputs and the labels, and the report says what was taken."""

    task: Task | Literal["auto"] | None = Field(
        default=None, description="What the model is for; null for what the metric says."
    )
    metric: Metric | None = Field(
        default=None,
        description="The measure of quality that decides; null for the usual one of the task, and without labels for "
        "`agreement` with the original.",
    )
    also: list[Metric] = Field(
        default_factory=list,
        max_length=len(get_args(Metric)),
        description="Further metrics, measured in the same pass.",
    )
    output: str | None = Field(
        default=None,
        description="Name of the model's output to judge; null for its first, or those that `decode` takes.",
    )
    decode: Annotated[Decode, Field(discriminator="kind")] | None = Field(
        default=None, description="How outputs become predictions; null for the usual way of the task."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.task is None and self.metric is None:
            raise ValueError("name a task or a metric, for example {'task': 'auto'}")
        if (task := self.named_task) is None:
            return self
        for metric in self.metrics:
            if metric not in TASK_METRICS[task]:
                raise ValueError(
                    f"the task {task} is measured by {', '.join(TASK_METRICS[task])}, not by {metric}"
                )
        if self.decode is not None and self.decode.kind not in TASK_DECODES[task]:
            takes = ", ".join(TASK_DECODES[task]) or "no decode: outputs are taken as they are"
            raise ValueError(f"the task {task} takes {takes}, not {self.decode.kind}")
        return self

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Those that are named, the one that decides first, each once."""
        named = [self.metric] if self.metric is not None else []
        return tuple(dict.fromkeys([*named, *self.also]))

    @property
    def named_task(self) -> Task | None:
        """The task that is named, or that the metric or the decode belongs to; None where it is to be proposed."""
        if self.task is not None:
            return None if self.task == "auto" else self.task
        if self.decode is not None:
            return next(task for task, kinds in TASK_DECODES.items() if self.decode.kind in kinds)
        return None if self.metric == AGREEMENT else _usual_task(self.metric)

    @property
    def needs_labels(self) -> bool:
        return any(metric != AGREEMENT for metric in self.metrics)


def _usual_task(metric: Metric | None) -> Task:
    return next(task for task, metrics in TASK_METRICS.items() if metric in metrics)
