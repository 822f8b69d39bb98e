"""The two models that are looked at, and the data they are fed with."""

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import onnx_ir as ir

from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from winnow.contract.report import Report
from worker.compression.data.declared import class_names, completed
from worker.compression.data.formats.opening import open_table
from worker.compression.data.samples import Samples
from worker.compression.data.source import Source
from worker.compression.data.table import Table
from worker.compression.low_rank.graph_surgery import original_layer
from worker.compression.machine.threads import usable_threads
from worker.compression.materials import Materials
from worker.compression.measure.network import Network
from worker.compression.onnx_files import model_files
from worker.compression.result.page.marks import shortened
from worker.compression.result.page.subject import Subject

SECONDS: Final = 30.0
"""For all that is looked at; what is slower is looked at as far as that goes."""
MOST_OF_A_NAME: Final = 100
"""Characters of the name of a class: it may be a text."""


class Unseen(Exception):
    """Why something cannot be shown: a sentence for the page."""


@dataclass(frozen=True)
class Pair:
    """`before` is the upload in normal form, whose names the report's layers have; `end` is when looking ends."""

    subject: Subject
    materials: Materials
    end: float

    @staticmethod
    def of(subject: Subject, materials: Materials) -> "Pair":
        return Pair(subject, materials, time.monotonic() + SECONDS)

    @property
    def report(self) -> Report:
        return self.subject.report

    @property
    def before(self) -> ir.Model:
        return self.materials.upload.normal_form

    @cached_property
    def after(self) -> ir.Model:
        return model_files.load(self.subject.artifact)

    @cached_property
    def layers(self) -> list[str]:
        return [layer.name for layer in self.report.layers]

    @property
    def source(self) -> Source:
        """Of the evaluation, else of the calibration. Raises `Unseen`."""
        data = self.materials.data
        if (source := data.evaluation or data.calibration) is None:
            raise Unseen("There is no data to look at both models with.")
        return source

    @cached_property
    def table(self) -> Table:
        """The columns of the source. Raises `Unseen`."""
        limit = self.materials.options.max_unpacked_bytes
        return open_table(self.source.path, self.materials.folder(self.source), max_unpacked_bytes=limit)

    @cached_property
    def declaration(self) -> Declaration:
        """How they are read, with its defaults. Raises `Unseen`."""
        return completed(self.source.declaration, self.table)

    @cached_property
    def samples(self) -> Samples:
        """Of the source. Raises `Unseen`."""
        samples = self.materials.samples(self.source)
        assert samples is not None
        return samples

    @cached_property
    def classes(self) -> list[str]:
        """Names of the classes that the evaluation knows, by the numbers that its declaration gives them, as far as
        there is room for them; empty for none."""
        if self.materials.data.evaluation is None:
            return []
        names = class_names(self.declaration.targets, self.table) or []
        return [shortened(name, MOST_OF_A_NAME) for name in names]

    @cached_property
    def networks(self) -> tuple[Network, Network]:
        """Both on the CPU, whatever the target. Raises `Unseen`."""
        try:
            first = Network(self.materials.upload.path, usable_threads(), "the original model")
            second = Network(self.subject.artifact, first.threads, "the compressed model", first.batch_axes)
        except Refusal as refusal:
            raise Unseen(str(refusal.problem.detail)) from refusal
        return first, second

    def layer_of(self, part: str) -> str:
        """The original's layer that a node of the result is a part of."""
        return original_layer(part, self.layers)

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self.end
