"""The report: everything a before/after pair, units in the names, measured and never estimated."""

from typing import Any, Final, Literal

from pydantic import Field

from winnow.contract.arithmetic import Arithmetic
from winnow.contract.base import Interval, ResponseModel
from winnow.contract.evaluation import Task
from winnow.contract.portability import Portability, TargetReport
from winnow.contract.robustness import Robustness
from winnow.contract.search import SearchReport
from winnow.contract.split import DataSplit

Outcome = Literal["accepted", "unchecked", "requirements_not_met"]


class Pair(ResponseModel):
    """`ratio` is after / before; null where before is zero."""

    before: int | float = Field(description="Of the model as uploaded.")
    after: int | float = Field(description="Of the result.")
    ratio: float | None = Field(description="`after` divided by `before`; null where `before` is zero.")


class Percentiles(ResponseModel):
    p50: float = Field(description="The median, in milliseconds.")
    p90: float = Field(description="90 % of the runs took at most so many milliseconds.")
    p95: float = Field(description="95 % of the runs took at most so many milliseconds.")
    p99: float = Field(description="99 % of the runs took at most so many milliseconds.")
    mean: float = Field(description="The mean, in milliseconds.")


class Latency(ResponseModel):
    """Interleaved timing at one batch size and thread count.

    A round times the original, the result, and the original once more as a control; of each block of runs the lowest
    tenth counts. `speedup` is the median of original / result over the rounds in which both were almost as fast as
    they ever were, `speedup_interval` its 95 % bootstrap interval; both are null where the machine was too busy to
    tell, and `untold` says why. `*_samples_ms` are the raw times of single runs, `*_throughput` samples per second at
    p50: what was seen, also where it tells nothing.
    """

    batch_size: int = Field(description="Samples at once.")
    threads: int = Field(description="Threads of the runtime.")
    rounds: int = Field(description="How often both models were timed in turns.")
    provider: str = Field(
        description="What ran it: an execution provider of ONNX Runtime, `OpenVINO CPU` or "
        "`OpenVINO CPU, bfloat16`."
    )
    shapes: dict[str, list[int]] = Field(description="The shapes of the inputs, by name.")
    baseline_ms: Percentiles = Field(description="Times of single runs of the model as uploaded.")
    candidate_ms: Percentiles = Field(description="Times of single runs of the result.")
    baseline_samples_ms: list[float] | None = Field(
        description="Each timed run of the model as uploaded, in milliseconds; null unless asked for (`?raw=true`)."
    )
    candidate_samples_ms: list[float] | None = Field(
        description="Each timed run of the result, in milliseconds; null unless asked for (`?raw=true`)."
    )
    baseline_throughput: float = Field(
        description="Samples per second of the model as uploaded, from its median time."
    )
    candidate_throughput: float = Field(description="Samples per second of the result, from its median time.")
    speedup: float | None = Field(
        description="How many times as fast the result is: the median over undisturbed rounds; null where untold."
    )
    speedup_interval: Interval | None = Field(
        description="95 % interval of `speedup`, from resampling the sessions; null where untold."
    )
    sessions: int = Field(
        default=1,
        description="How often both models were loaded for it: two sessions of one file differ by some 2 %. With fewer "
        "than three the interval is that of the rounds alone.",
    )
    speedup_per_round: list[float] = Field(description="How many times as fast it was in each round.")
    control_per_round: list[float] = Field(
        description="The model as uploaded against itself in each round; 1 where nothing disturbed it."
    )
    others_share: float = Field(
        description="The share of the CPUs that other programs used meanwhile, and that the host took away."
    )
    untold: str | None = Field(description="Why no speed-up can be told, as a clause; null where it can.")


class ClassQuality(ResponseModel):
    """A metric for one class alone."""

    number: int = Field(description="Number of the class.")
    before: float = Field(description="Of the model as uploaded.")
    after: float = Field(description="Of the result.")


class Quality(ResponseModel):
    """A metric on the evaluation data. `drop` is absolute, in the metric's worse direction, with its interval.

    `agreement` compares with the original's own predictions: its `before` is 1, and it needs no labels.
    """

    metric: str = Field(description="The measure of quality.")
    output: str = Field(description="Name of the output that was judged, or of several, with commas.")
    samples: int = Field(description="Number of samples.")
    before: float = Field(description="Of the model as uploaded.")
    after: float = Field(description="Of the result.")
    before_interval: Interval = Field(description="95 % interval of `before`.")
    after_interval: Interval = Field(description="95 % interval of `after`.")
    drop: float = Field(
        description="How much worse the result is, in the metric's own unit; negative where it is better."
    )
    drop_interval: Interval = Field(
        description="95 % interval of `drop`, from resampling the samples in pairs."
    )
    held_out: bool = Field(description="Whether no sample was used for calibration or training.")
    task: Task | None = Field(
        default=None, description="The task that was judged; null in reports from before there were tasks."
    )
    per_class: list[ClassQuality] | None = Field(
        default=None, description="The metric for each class that occurs; null where it has none."
    )


class Parity(ResponseModel):
    """How far one output moved from the original's. `cosine` is null where the output is almost zero.

    All figures are null where the original has nothing to compare with: NaN in every sample, or infinities that both
    have. `max_error` is the largest float32, and `cosine` 0, where NaN or infinity came in: the output is broken.
    """

    output: str = Field(description="Name of the output.")
    samples: int = Field(description="Number of samples.")
    data: Literal["evaluation", "calibration", "random"] = Field(description="What the models were fed with.")
    cosine: float | None = Field(
        description="Mean cosine between the outputs of both models; null where they are almost zero."
    )
    snr_db: float | None = Field(
        description="Signal to noise of the result's output, in dB; null where there is no noise or nothing "
        "to "
        "compare."
    )
    max_error: float | None = Field(
        description="Largest difference of two numbers; null where there is nothing to compare."
    )
    mean_error: float | None = Field(
        description="Mean difference of two numbers; null where there is nothing to compare."
    )
    max_relative_error: float | None = Field(
        description="Largest difference relative to the original's largest number; null where that is zero."
    )
    top1_agreement: float | None = Field(
        description="Share of samples for which both models choose the same class; null for outputs that are "
        "no "
        "classes."
    )


class RequirementResult(ResponseModel):
    """Something that was asked, and whether it is met. `why` says in a sentence what is missing, `cause` where it
    likeliest comes from."""

    name: str = Field(description="What was required, as in the request.")
    asked: float = Field(description="The bound that was asked for.")
    measured: float | None = Field(description="What was measured; null where it could not be.")
    interval: Interval | None = Field(description="95 % interval of `measured`; null where it is exact.")
    met: bool = Field(description="Whether it is met on the worse bound of the interval.")
    why: str | None = Field(description="Why it is not met; null when it is.")
    cause: str | None = Field(
        default=None,
        description="The likeliest cause, from what was measured; null when it is met, and where nothing tells it.",
    )


class NextStep(ResponseModel):
    """A recipe worth trying. Made of the library without a request, `request` is `{"recipe": …}` alone."""

    why: str = Field(description="Why it is worth trying, in a sentence.")
    request: dict[str, Any] = Field(
        description="The body of `POST /v1/jobs` that tries it: the job's own request with another recipe."
    )


class StepReport(ResponseModel):
    """What a step did and cost. `changed` of `candidates` nodes; `details` is the technique's own account.

    `targets` are the step's own; where they are not met they are among the requirements of the whole report, but not in
    a search.
    """

    index: int = Field(description="Position of the step in the recipe, from 0.")
    kind: str = Field(description="Of the step.")
    seconds: float = Field(description="How long it took.")
    changed: int = Field(description="Number of nodes that it changed.")
    candidates: int = Field(description="Number of nodes that it could have changed.")
    size_bytes: int = Field(description="Size of the model behind it.")
    opset: int = Field(description="Version of the operator set behind it.")
    notes: list[str] = Field(description="What it has to say, for people.")
    targets: list[RequirementResult] = Field(description="Its own targets that are not met.")
    details: dict[str, Any] = Field(description="The technique's own account, for programs.")


class LayerReport(ResponseModel):
    """One layer before and after. `dtype` is that of the weight as stored."""

    name: str = Field(description="Name of the node in the model as uploaded.")
    op: str = Field(description="Its ONNX operator.")
    parameters: Pair = Field(description="Numbers of its weights; 0 after where it is gone.")
    macs: Pair | None = Field(
        description="Multiply-accumulates for one sample; null where shapes are not known."
    )
    size_bytes: Pair = Field(
        description="Bytes of its weights as numbers of their type, packed ones as packed."
    )
    before_dtype: str = Field(description="Type of its weight before.")
    after_dtype: str = Field(description="Type of its weight in the result.")


ADVICE: Final = {"use_result": "Use the result", "keep_original": "Keep the original"}
"""What a verdict recommends, for people."""


class Verdict(ResponseModel):
    """In plain words. `faster` and `smaller` are null when not measured or not to be told from the noise."""

    faster: bool | None = Field(
        description="Whether the result is faster; null where that cannot be told from the noise."
    )
    smaller: bool = Field(description="Whether its file is smaller.")
    worse_by: float | None = Field(
        description="How much worse the first metric is, at most; null where none was measured."
    )
    recommend: Literal["use_result", "keep_original"] = Field(
        description="What to do, by defaults, whatever was required."
    )
    because: str = Field(description="The reason of `recommend`, in a sentence.")
    summary: list[str] = Field(description="The result in a few sentences.")


class Environment(ResponseModel):
    cpu: str = Field(description="Model of the CPU.")
    cpu_flags: list[str] = Field(description="Instruction sets of the CPU that matter here.")
    cores: int = Field(description="Number of its cores.")
    memory_bytes: int = Field(description="Memory of the machine.")
    gpus: list[str] = Field(description="Models of the GPUs.")
    platform: str = Field(description="Operating system.")
    versions: dict[str, str] = Field(description="Of the libraries that made and measured the result.")
    intra_op_threads: int = Field(
        description="Threads within an operator that the runtime would take by itself."
    )


class Fidelity(ResponseModel):
    """Whether the result looks at the same parts of its input as the original: what each part adds to the original's
    answer, in both models, and how alike both rank the parts."""

    method: Literal["integrated_gradients", "occlusion"] = Field(
        description="How parts were weighed: by gradients where both models have them, else by leaving each part out."
    )
    input: str = Field(description="Name of the input whose parts were weighed.")
    output: str = Field(description="Name of the output whose largest number was explained.")
    parts: int = Field(description="How many: patches of a picture, single numbers, or runs of them.")
    samples: int = Field(description="Number of samples.")
    spearman: list[float | None] = Field(
        description="Rank correlation over the parts of each sample, from -1 to 1; null where one model ranks nothing."
    )
    mean: float | None = Field(description="Their mean; null where there is none.")


class Energy(ResponseModel):
    """What one inference takes, at the first benchmark entry on all threads that the worker has: all that the counter
    covers, idle parts included."""

    joules: Pair | None = Field(
        description="Joules for one run of the batch; null where no counter can be read."
    )
    source: Literal["rapl", "nvml"] | None = Field(
        description="The counter: the CPU's packages (RAPL), or the GPU (NVML); null where there is none."
    )
    why: str | None = Field(description="Why there is no number, in a sentence; null where there is.")


class GraphReport(ResponseModel):
    """One graph of a package before and after. Names are as its own file has them."""

    name: str = Field(description="What patterns call it.")
    file: str = Field(description="Name of its file in the artifact.")
    graph_sha256: str = Field(
        description="Of its file without its `winnow.*` metadata; the weights that it shares lie beside it."
    )
    size_bytes: Pair = Field(
        description="Sizes of its file and of the weights that it reads, shared ones too, which count "
        "for each graph here and once in `size_bytes` of the report."
    )
    latency: list[Latency] = Field(description="Its speed by itself; empty in trials of a search.")
    parity: list[Parity] = Field(description="How far each of its outputs moved.")


class GenerationReport(ResponseModel):
    """Answers of the package, token by token, greedily: the loop that the job describes, before and after."""

    samples: int = Field(description="Number of samples that were answered.")
    tokens: int = Field(description="Tokens of all answers of the original, ends among them.")
    token_agreement: float = Field(
        description="Share of these tokens that the result has at the same place of the same answer."
    )
    equal_answers: float = Field(description="Share of samples whose whole answers are equal.")
    perplexity: Pair | None = Field(
        description="Of the labels, each token behind the true ones before it; null where the data has no labels."
    )
    tokens_per_second: Pair | None = Field(
        description="Of the loop over one sample, what runs once before it included, on the first number of threads; "
        "null where the machine was too busy."
    )
    speedup: float | None = Field(description="Times as fast; null where the machine was too busy to tell.")
    speedup_interval: Interval | None = Field(description="95 % interval of `speedup`; null with it.")
    untold: str | None = Field(description="Why no speed-up is told, as a clause; null where it is.")


class PackageReport(ResponseModel):
    """A model of several graphs. What the report says besides is of all of them, each run once."""

    graphs: list[GraphReport] = Field(description="Each graph by itself.")
    shared_bytes: Pair = Field(
        description="Bytes of weights that stand in several graphs: those that the upload repeats, or reads more than "
        "once, and those that the artifact stores once for all that read them."
    )
    generation: GenerationReport | None = Field(
        default=None, description="Answers token by token; null where the job does not say how (`generate`)."
    )


class Report(ResponseModel):
    """`GET /v1/jobs/{id}/report`. `tidied_bytes` is what removing debug records alone saved,
    `compressed_bytes` what a download takes that asks for the coding zstd."""

    winnow: str = Field(description="Version of this service.")
    outcome: Outcome = Field(
        description="`accepted`: something was required and is met; `unchecked`: nothing was required."
    )
    verdict: Verdict = Field(description="In plain words.")
    requirements: list[RequirementResult] = Field(description="What was required, and whether it is met.")
    next_steps: list[NextStep] = Field(
        default_factory=list,
        max_length=3,
        description="What is worth trying: recipes where something that was required is not met, and another runtime "
        "that is installed where it was measured to be faster and the job asked for none.",
    )
    source_sha256: str = Field(description="Of the model as uploaded, in hexadecimal.")
    artifact_sha256: str = Field(description="Of the result, in hexadecimal.")
    graph_sha256: str = Field(
        description="Of the result without its `winnow.*` metadata: the same for the same model, recipe, data and "
        "seed, where nothing is chosen by time."
    )
    seed: int = Field(description="Of everything drawn at random.")
    opset: Pair = Field(description="Versions of the operator set.")
    size_bytes: Pair = Field(description="Sizes of the files.")
    compressed_bytes: Pair = Field(description="Sizes of the files as zstd, the coding of downloads.")
    tidied_bytes: int = Field(description="What removing debug records alone saved.")
    parameters: Pair = Field(description="Numbers of weights.")
    macs: Pair | None = Field(
        description="Multiply-accumulates for one sample; null where shapes are not known."
    )
    sparsity: Pair = Field(description="Shares of weights that are zero.")
    load_ms: Pair | None = Field(
        description="Times to load the models into the runtime, in milliseconds; null where the machine was too busy."
    )
    peak_rss_bytes: Pair | None = Field(
        description="Peaks of anonymous resident memory over that of an empty process; null in trials of a search."
    )
    latency: list[Latency] = Field(description="Speed, for each batch size and number of threads.")
    quality: list[Quality] = Field(description="The metrics, before and after.")
    parity: list[Parity] = Field(description="How far each output moved.")
    steps: list[StepReport] = Field(description="What each step did.")
    layers: list[LayerReport] = Field(description="What became of each layer.")
    split: DataSplit | None = Field(
        default=None,
        description="How the one dataset of the job was split, or the evaluation data of a search; null for others.",
    )
    search: SearchReport | None = Field(
        default=None, description="How the result was found; null where nothing was searched."
    )
    target: TargetReport | None = Field(
        default=None,
        description="What the target's rules say of both models; null where the target is measured itself.",
    )
    portability: list[Portability] = Field(
        default_factory=list,
        description="Which runtimes can load the result; empty in reports from before that was looked at.",
    )
    fidelity: Fidelity | None = Field(
        default=None,
        description="Whether both models look at the same parts of their input; null unless asked for (`explain`).",
    )
    package: PackageReport | None = Field(
        default=None, description="Its graphs each by itself; null for a model that is one graph."
    )
    energy: Energy | None = Field(
        default=None,
        description="What an inference takes; null in trials, and in reports from before it was measured.",
    )
    robustness: Robustness | None = Field(
        default=None,
        description="What an answer depends on besides its input; null in trials, and in reports from before it was "
        "measured.",
    )
    arithmetic: Arithmetic | None = Field(
        default=None,
        description="What both models are computed in by the runtime that measured them; null in trials, and in "
        "reports from before it was looked at.",
    )
    environment: Environment = Field(description="What it was measured on.")
    notes: list[str] = Field(description="What else there is to know, for people.")
