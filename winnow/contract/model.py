"""A model as the API shows it, and the facts that inspection finds in it."""

from datetime import datetime
from typing import Final, Literal

from pydantic import Field

from winnow.contract.base import ResponseModel
from winnow.contract.errors import Problem
from winnow.contract.graph_values import ValueKinds
from winnow.contract.pinning import PINNED
from winnow.contract.stored_weights import ChannelGroup, EmbeddingWidth, Stored
from winnow.contract.target_rules.graph import CheckedGraph

ModelFormat = Literal["onnx", "onnx_package", "torch_export", "torchscript"]
"""`onnx` is also a tar or zip of one ONNX file with its external data, `onnx_package` one of several that share
weights."""

UploadState = Literal["inspecting", "ready", "rejected"]


class TensorSpec(ResponseModel):
    """An input or output. A dimension is a number, a symbolic name, or null where nothing is known."""

    name: str = Field(description="Name of the input or output in the graph.")
    dtype: str = Field(description="Type of its elements, as numpy names it.")
    shape: list[int | str | None] = Field(
        description="One entry for each dimension: its size, the name of a size that varies, or null where "
        "nothing "
        "is known."
    )
    batch_axis: int | None = Field(
        default=0,
        description="Which dimension counts the samples, from 0: 1 for recurrent networks that take the steps first. "
        "Null where none does.",
    )


HOLDS_OTHERS: Final = "it holds other blocks"
"""Why a block around others is pinned."""


class ResidualBlock(ResponseModel):
    """What lies between two readings of a stream that keeps its shape: layers to whose output their input is added."""

    name: str = Field(description="Name of the node that adds the two.")
    layers: list[str] = Field(description="Names of the layers in it, and of those that only it needs.")
    pinned: str | None = Field(description="Why it cannot be taken out, as a clause; null where it can.")
    attends: bool = Field(
        default=False,
        description="Whether attention is in it: a layer of a transformer begins with such a block.",
    )


class LookupTable(ResponseModel):
    """A matrix of which an input of the model says the rows: words, categories, and positions or segments where these
    are inputs."""

    name: str = Field(description="Name of the constant, which patterns may name.")
    rows: int = Field(description="How many rows it has.")
    ids: int = Field(
        description="How many ids it has: as many as rows, unless a vocabulary was pruned before."
    )
    inputs: list[str] = Field(description="Names of the inputs that are looked up in it.")
    pinned: str | None = Field(description="Why no row can be taken out, as a clause; null where rows can.")


class Layer(ResponseModel):
    """A node with a weight: `weight` is the weight's shape, `macs` at batch 1 (null where shapes are unknown).

    `table` is the name of what a Gather takes rows of: patterns may name either. Null for other layers.
    """

    name: str = Field(description="Name of the node.")
    op: str = Field(description="Its ONNX operator.")
    weight: list[int] | None = Field(description="Shape of its weight; null where it is not known.")
    macs: int | None = Field(
        description="Multiply-accumulates for one sample; null where shapes are not known."
    )
    table: str | None = Field(
        default=None,
        description="Name of the table that a Gather takes rows of, which patterns may name too; null for "
        "other "
        "layers.",
    )

    @property
    def names(self) -> tuple[str, ...]:
        """What patterns may call it by."""
        return (self.name,) if self.table is None or self.table == self.name else (self.name, self.table)


class PackagedGraph(ResponseModel):
    """One of the graphs of a package. In inputs and layers of the model its names begin with `name:`; here they are as
    its file has them."""

    name: str = Field(
        description="What patterns (`name:pattern`) and feeds call it: its file without the suffix."
    )
    file: str = Field(description="Name of its file in the archive.")
    opset: int = Field(description="Version of the ONNX operator set that it uses.")
    inputs: list[TensorSpec] = Field(description="What it takes, in order.")
    outputs: list[TensorSpec] = Field(description="What it answers, in order.")
    size_bytes: int = Field(
        description="Bytes of its file and of the external data that it reads, whoever else reads that too."
    )
    layers: int = Field(description="How many nodes with weights it has.")


GRAPHS: Final = "The graphs of a package; null for a model that is one graph."


class ModelFacts(ResponseModel):
    """What inspection learns. `macs` counts multiply-accumulates of one sample; null where shapes are unknown."""

    opset: int = Field(description="Version of the ONNX operator set that the model uses.")
    inputs: list[TensorSpec] = Field(description="What the model takes, in order.")
    outputs: list[TensorSpec] = Field(description="What the model answers, in order.")
    parameters: int = Field(description="Number of its weights.")
    macs: int | None = Field(
        description="Multiply-accumulates for one sample; null where shapes are not known."
    )
    quantized: bool = Field(description="Whether it holds quantized weights or activations.")
    operators: dict[str, int] = Field(description="How many nodes of each operator it has.")
    layers: list[Layer] = Field(
        description="Its nodes with weights, in the order of the graph: what patterns in a recipe can name."
    )
    values: list[str] | None = Field(
        default=None,
        description="Names of all that the graph takes and computes; null where there are too many to keep.",
    )
    value_kinds: ValueKinds | None = Field(
        default=None,
        description="Types, shapes and operators of these values; null where there is too much to keep, or the model "
        "was inspected before they were.",
    )
    channel_groups: list[ChannelGroup] | None = Field(
        default=None,
        description="Its channels that can be cut; null where the model is too large to follow them.",
    )
    embedding_widths: list[EmbeddingWidth] | None = Field(
        default=None,
        description="The widths of its residual streams; null where the model is too large to follow them.",
    )
    blocks: list[ResidualBlock] | None = Field(
        default=None,
        description="Its residual blocks, those that can be taken out first; null where it is too large to find them "
        "or was inspected before they were looked for.",
    )
    tables: list[LookupTable] | None = Field(
        default=None,
        description="The tables that its inputs are looked up in; null where it was inspected before they were looked "
        "for.",
    )
    stored: Stored | None = Field(
        default=None,
        description="What its file consists of; null where there is too much to keep.",
    )
    graphs: list[PackagedGraph] | None = Field(default=None, description=GRAPHS)
    graph: CheckedGraph | None = Field(
        default=None,
        description="Its nodes, as far as rules of targets look at them; null where there is too much to keep, or the "
        "model was inspected before they were looked at.",
    )


class Model(ResponseModel):
    """`GET /v1/models/{id}`. The facts are null until the model is ready. `size_bytes` is that of the model:
    of one in an archive, known once it is ready, without the packing and with external data.
    """

    id: str = Field(description="Of the model, made by the service.")
    name: str = Field(description="What it is called; only people read it.")
    state: UploadState = Field(
        description="`inspecting` until its file was checked, then `ready` or `rejected`."
    )
    problem: Problem | None = Field(description="Why it was rejected; null otherwise.")
    format: ModelFormat = Field(
        description="What the bytes are; `onnx` also stands for an archive of one ONNX file and its data, "
        "`onnx_package` for one of several graphs."
    )
    sha256: str = Field(
        description="Of the uploaded bytes, in hexadecimal; of a student of its file, of its parent's until it is made."
    )
    size_bytes: int = Field(
        description="Size of the model, its external data included, without the packing of an archive."
    )
    opset: int | None = Field(
        description="Version of the ONNX operator set that the model uses; null until it is ready."
    )
    inputs: list[TensorSpec] | None = Field(
        description="What the model takes, in order; null until it is ready."
    )
    outputs: list[TensorSpec] | None = Field(
        description="What the model answers, in order; null until it is ready."
    )
    parameters: int | None = Field(description="Number of its weights; null until it is ready.")
    macs: int | None = Field(
        description="Multiply-accumulates for one sample; null until it is ready, and where shapes are not "
        "known."
    )
    quantized: bool | None = Field(
        description="Whether it holds quantized weights or activations; null until it is ready."
    )
    operators: dict[str, int] | None = Field(
        description="How many nodes of each operator it has; null until it is ready."
    )
    layers: list[Layer] | None = Field(
        description="Its nodes with weights, which patterns in a recipe can name; null until it is ready."
    )
    graphs: list[PackagedGraph] | None = Field(
        default=None, description=f"{GRAPHS} Null until it is ready, too."
    )
    pinned: bool = Field(default=False, description=PINNED)
    parent: str | None = Field(
        default=None,
        description="Of a student made by the service, the id of the model that it was made from; null of an upload.",
    )
    created_at: datetime = Field(description="When it was uploaded.")
