"""Inspect an upload: through the gate, to ONNX, into normal form, into ONNX Runtime; return what it is."""

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Final, assert_never

import onnx

from winnow.contract.errors import Refusal
from winnow.contract.model import ModelFacts, ModelFormat, TensorSpec
from worker.compression.graph.facts.facts import facts
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.graph.normal_form.tidy import tidy
from worker.compression.graph.stored import with_stored
from worker.compression.ir.garbage import no_garbage_collection
from worker.compression.ir.protobuf_walk import messages
from worker.compression.onnx_files import model_files
from worker.compression.onnx_files.signature import check_types, has_empty_batch, open_dimensions
from worker.compression.onnx_files.single_file import without_raw_data
from worker.compression.onnx_files.sizes import bytes_of
from worker.compression.packages.facts import graphs_of
from worker.compression.packages.layout import Package
from worker.compression.runtime.session import open_cpu_session
from worker.compression.upload.package import naming, open_package
from worker.compression.upload_gate import check
from worker.compression.upload_gate.archive import is_archive, models_of, unpack
from worker.compression.upload_gate.convert import torch_export, torchscript
from worker.compression.upload_gate.functions import expanded_size
from worker.compression.weight_storage.drop_defaults import names_in

MAX_LAYERS: Final = 20_000
MAX_OPTIMIZED_NODES: Final = 10_000
"""24,000 nodes were seen to take ONNX Runtime's optimizers 34 s, 1 s without them."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inspected:
    """`converted` is the ONNX made from a `.pt2` or TorchScript, None for an upload that is ONNX already.

    `unpacked_bytes` is the size of a model that came in an archive, external data included; None for others.
    """

    facts: ModelFacts
    converted: Path | None
    unpacked_bytes: int | None


@no_garbage_collection()
def inspect_model(
    path: Path,
    format: ModelFormat,
    declared: list[TensorSpec],
    scratch: Path,
    *,
    allow_torchscript: bool,
    max_unpacked_bytes: int,
) -> Inspected:
    """Inspect an upload and return its facts once it has passed every check. `scratch` is a folder of this inspection's
    own.

    Raises `Refusal` with the reason; never anything else for what a file contains, short of `MemoryError`.
    """
    converted = scratch / "converted.onnx"
    package: Package | None = None
    match format:
        case "onnx" | "onnx_package":
            opened = open_file(path, scratch, max_unpacked_bytes=max_unpacked_bytes)
            runnable, package = opened.path, opened.package
        case "torch_export":
            torch_export.convert(path, converted, max_bytes=max_unpacked_bytes)
            runnable = converted
        case "torchscript":
            torchscript.convert(
                path, converted, declared, allowed=allow_torchscript, max_bytes=max_unpacked_bytes
            )
            runnable = converted
        case _:
            assert_never(format)
    if package is not None:
        _check_graphs_run(package)
    model_facts = _facts(runnable)
    _check_layers(model_facts)
    check_runs(runnable)
    if package is not None:
        layers = [layer.name for layer in model_facts.layers]
        described = graphs_of(package, model_facts.inputs, model_facts.outputs, layers)
        model_facts = model_facts.model_copy(update={"graphs": described})
        return Inspected(model_facts, None, package.uploaded_bytes)
    is_onnx = runnable != converted
    unpacked = bytes_of(runnable) if is_onnx and runnable != path else None
    return Inspected(model_facts, None if is_onnx else converted, unpacked)


def _check_graphs_run(package: Package) -> None:
    for graph in package.graphs:
        with naming(graph):
            check_runs(graph.path)


def open_model(path: Path, scratch: Path, *, max_unpacked_bytes: int) -> Path:
    """Check an upload and return its plain `.onnx`: itself, or what an archive holds. Raises as `open_file`."""
    return open_file(path, scratch, max_unpacked_bytes=max_unpacked_bytes).path


@dataclass(frozen=True)
class OpenedModel:
    """`path` is a plain `.onnx`; of a `package` all of its graphs as one."""

    path: Path
    package: Package | None = None

    @property
    def size_bytes(self) -> int:
        """What it takes with its external data; of a package as it came."""
        return bytes_of(self.path) if self.package is None else self.package.uploaded_bytes


def open_file(path: Path, scratch: Path, *, max_unpacked_bytes: int) -> OpenedModel:
    """Check an upload; a tar or zip is unpacked into `scratch`, and its graphs, where there are several, made one.

    Raises `Refusal`: see `gate.check_onnx` and `archive.unpack`; `unsupported_type`; of a package what `open_package`
    raises.
    """
    if not is_archive(path):
        check.check_onnx(path)
        return OpenedModel(_workable(path, scratch))
    scratch.mkdir(parents=True, exist_ok=True)
    own = Path(mkdtemp(prefix="unpacked-", dir=scratch))
    files = unpack(path, own / "model", max_bytes=max_unpacked_bytes)
    models = models_of(files)
    if len(models) > 1:
        whole = open_package(files, own / "model", own / "whole", max_bytes=max_unpacked_bytes)
        return OpenedModel(*whole)
    check.check_onnx(models[0], external=models[0].parent)
    return OpenedModel(_workable(models[0], models[0].parent))


def _workable(path: Path, folder: Path) -> Path:
    """Return the model itself; or a copy in `folder` where it declares a batch of 0, for which nothing could be run.

    Raises `Refusal` `unsupported_type` where inputs or outputs are not made of numbers.
    """
    bare = without_raw_data(path)
    check_types(bare)
    if not has_empty_batch(bare):
        return path
    model = onnx.load(str(path), load_external_data=False)
    open_dimensions(model)
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / f"open-batch-{path.name}"
    copy.write_bytes(model.SerializeToString())
    return copy


def _facts(path: Path) -> ModelFacts:
    try:
        model = model_files.load(path)
        tidy(model)
        model = normalise(model)
        return with_stored(facts(model), model, names_in(without_raw_data(path)))
    except (Refusal, MemoryError):
        raise
    except Exception as error:
        log.info("normalising failed", exc_info=True)
        raise Refusal("invalid_model", f"The graph is not valid: {_sentence(error, path)}") from error


def _check_layers(model_facts: ModelFacts) -> None:
    """Bound the layer table: it goes with every response that shows the model, and every job walks it."""
    if len(model_facts.layers) > MAX_LAYERS:
        raise Refusal(
            "model_too_complex",
            f"The model has {len(model_facts.layers)} layers with weights; {MAX_LAYERS} are the most. Export it with "
            "loops instead of unrolled steps.",
        )


def check_runs(path: Path) -> None:
    """Check that ONNX Runtime can make a session of the model as uploaded: the baseline of all comparisons.

    Without its folding of constants, which computes for as long as the file wants it to, and of large graphs without
    what takes time quadratic in the number of nodes. Raises `Refusal` `model_does_not_run`.
    """
    model = without_raw_data(path)
    _check_names(model)
    optimize = expanded_size(model).nodes <= MAX_OPTIMIZED_NODES
    try:
        open_cpu_session(path, optimize=optimize, without_optimizers=["ConstantFolding"])
    except MemoryError:
        raise
    except Exception as error:
        raise Refusal("model_does_not_run", f"ONNX Runtime refuses it: {_sentence(error, path)}") from error


def _check_names(model: onnx.ModelProto) -> None:
    """Refuse nodes of one name in a graph, as ONNX Runtime does."""
    for graph in (model.graph, *messages(model.graph, onnx.GraphProto)):
        names = Counter(node.name for node in graph.node if node.name)
        if (twice := next((name for name, count in names.items() if count > 1), None)) is not None:
            raise Refusal(
                "model_does_not_run",
                f"{names[twice]} nodes are called {twice!r}, and ONNX Runtime refuses two nodes of one name. Give each "
                "its own, or none: `for node in model.graph.node: node.name = ''`.",
                layer=twice,
            )


def _sentence(error: BaseException, path: Path) -> str:
    """Return the innermost reason in one line, without paths of this machine."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split()) or type(error).__name__
    return text.replace(str(path), "the model").replace(str(path.parent), "")[:500]
