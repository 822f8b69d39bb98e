"""How the columns of a dataset become a model's inputs and its labels.

A column is an array of an `.npz`, a column of a table (CSV, JSONL, Parquet), or what an archive holds one of for each
sample: `image` or `audio`, `label`, `boxes`, `mask`, `file`. Numbers become an input by

    x = (transpose(numbers) * scale - mean) / std

where `mean` and `std` go along the channel axis, and `layout` moves the last axis to the front.
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from winnow.contract.base import RequestModel, Whole64

MAX_INPUTS: Final = 1000
MAX_CHANNELS: Final = 10_000
MAX_COLUMNS: Final = 10_000
MAX_SIDE: Final = 16_384
"""Pixels: what a picture may be made as, along one side."""
Positive = Annotated[float, Field(gt=0)]
Augmentation = Literal["horizontal_flip", "padded_crop"]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
Size = Side | tuple[Side, Side]
"""Of a picture in pixels: one number for a square, or height and width."""
Filter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
Preset = Literal["imagenet", "imagenet_inception", "clip", "yolo"]
Name = Annotated[str, Field(min_length=1, max_length=1000)]


class Declared(RequestModel):
    """Part of a declaration; `from` is on the wire what is `source` here, a keyword of Python."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)


class Scaled(Declared):
    """Numbers, and what is computed of them; integers become float32 when anything is."""

    scale: float | None = Field(
        default=None, description="Factor for every number, before mean and std; null for none."
    )
    mean: list[float] | None = Field(
        default=None,
        max_length=MAX_CHANNELS,
        description="Subtracted after scaling, one number for each channel, or one for all; null for none.",
    )
    std: list[Positive] | None = Field(
        default=None,
        max_length=MAX_CHANNELS,
        description="Divided by at the end, one number for each channel, or one for all; null for none.",
    )


class ArrayInput(Scaled):
    """An array, or a column of numbers, as it is. All but `array` is optional."""

    array: Name = Field(description="The array or column of numbers that the input is made of.")
    layout: Literal["NHWC->NCHW"] | None = Field(
        default=None,
        description="How the last axis, the channels, goes to the front; null to leave the axes as they are.",
    )
    add_axis: int | None = Field(
        default=None,
        ge=-32,
        le=32,
        description="Insert an axis of length 1 here (counted with the batch axis), after layout.",
    )
    lengths: Name | None = Field(
        default=None,
        description="An array of whole numbers: of each row how long it is in truth along its first axis, where the "
        "rows were padded before they were saved; null for none.",
    )
    pad_to: Literal["longest"] | Annotated[int, Field(ge=1, le=2**20)] | None = Field(
        default=None,
        description="Rows of different length are padded with zeros: to the longest of a batch, or to this length; "
        "null to run together only rows of one shape.",
    )


class Resize(Declared):
    """`shorter` and `longer` keep the proportions and make that side `size`; `exact` makes height and width."""

    mode: Literal["shorter", "longer", "exact"] = Field(
        default="shorter", description="Which side becomes `size`, or `exact` for both."
    )
    size: Size = Field(description="In pixels: one number, or with `exact` height and width.")
    filter: Filter = Field(default="bilinear", description="How pixels are resampled, by Pillow's names.")

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if self.mode != "exact" and not isinstance(self.size, int):
            raise ValueError(
                f"mode {self.mode!r} takes one number for size; height and width go with 'exact'"
            )
        return self


class Letterbox(Declared):
    """The picture as large as it fits, its proportions kept, the rest filled."""

    size: Size = Field(description="In pixels: one number for a square, or height and width.")
    fill: Annotated[int, Field(ge=0, le=255)] = Field(
        default=114, description="The number of what is filled."
    )
    place: Literal["center", "corner"] = Field(
        default="center", description="Where the picture lies in it: in the middle, or at the upper left."
    )
    filter: Filter = Field(default="bilinear", description="How pixels are resampled, by Pillow's names.")


class ImageInput(Scaled):
    """Pictures, decoded: turned as their EXIF says, in `color`, resized, cropped or letterboxed, then as numbers.

    What a `preset` sets is overridden by what is said beside it. 16 bits a channel are scaled to 8.
    """

    source: Literal["image"] = Field(alias="from", description="Pictures.")
    column: Name | None = Field(default=None, description="The column of pictures; null for the only one.")
    preset: Preset | None = Field(
        default=None, description="Resizing, crop, scale, mean and std by their usual name; null for none."
    )
    resize: Resize | None = Field(default=None, description="Before the crop; null for none.")
    crop: Size | None = Field(
        default=None, description="From the middle, zeros where the picture is smaller; null for none."
    )
    letterbox: Letterbox | Size | None = Field(
        default=None, description="In place of resize and crop; null for none."
    )
    color: Literal["RGB", "BGR", "grey"] = Field(default="RGB", description="Channels, in this order.")
    layout: Literal["NHWC->NCHW"] | None = Field(
        default="NHWC->NCHW", description="Channels in front; null to leave them behind the pixels."
    )

    @model_validator(mode="after")
    def _one_geometry(self) -> Self:
        if self.letterbox is not None and (self.resize is not None or self.crop is not None):
            raise ValueError("letterbox takes the place of resize and crop; leave these out, or letterbox")
        return self


class TextInput(Declared):
    """Texts, by the dataset's `tokenizer.json` (Hugging Face tokenizers): numbers of tokens, int64 [length].

    Declared for one input, it also offers the tokenizer's other parts, `attention_mask` and `token_type_ids`, where
    the model has inputs of these names. `apart`: two texts are two sequences, one behind the other in a batch, whose
    outputs are compared with each other.
    """

    source: Literal["text"] = Field(alias="from", description="Texts.")
    columns: list[Name] = Field(
        min_length=1, max_length=2, description="One column of texts, or two for pairs."
    )
    pair: Literal["together", "apart"] = Field(
        default="together", description="Two texts as one sequence, or as two."
    )
    part: Literal["input_ids", "attention_mask", "token_type_ids"] | None = Field(
        default=None,
        description="What of the tokenizer's answer; null for what the input's name says, else input_ids.",
    )
    max_length: Annotated[int, Field(ge=1, le=2**20)] | None = Field(
        default=None, description="Tokens at most; null for the tokenizer's own limit, or the model's size."
    )
    truncate: bool = Field(default=True, description="Whether longer texts are cut; false refuses them.")
    pad_to: Literal["longest", "max_length"] | Annotated[int, Field(ge=1, le=2**20)] = Field(
        default="longest",
        description="To the longest of a batch, to max_length, or to the next multiple of this number.",
    )


class TableInput(Scaled):
    """Columns side by side as one vector, float32 [columns]; categories by their place in the list."""

    source: Literal["table"] = Field(alias="from", description="Columns of a table.")
    columns: list[Name] = Field(min_length=1, max_length=MAX_COLUMNS, description="In this order.")
    categories: dict[str, Annotated[list[str], Field(min_length=1, max_length=100_000)]] = Field(
        default_factory=dict,
        max_length=MAX_COLUMNS,
        description="For columns of words: their values; the place of a value from 0 is its number.",
    )


class AudioInput(Scaled):
    """Sound (WAV, FLAC), mono, as float32 from -1 to 1 [length]; with `hop` windows, each a sample."""

    source: Literal["audio"] = Field(alias="from", description="Sound.")
    column: Name | None = Field(default=None, description="The column of sounds; null for the only one.")
    rate: Annotated[int, Field(ge=1000, le=384_000)] = Field(
        description="Samples a second; others are resampled."
    )
    length: Annotated[int, Field(ge=1, le=2**28)] = Field(
        description="Samples of each: what is longer is cut, what is shorter padded with zeros."
    )
    hop: Annotated[int, Field(ge=1, le=2**28)] | None = Field(
        default=None,
        description="Cut each sound into windows, one every so many samples; null: its beginning alone.",
    )
    add_axis: int | None = Field(
        default=None,
        ge=-32,
        le=32,
        description="Insert an axis of length 1 here (counted with the batch axis).",
    )


def _kind(value: Any) -> str:
    """`array` where nothing is said."""
    kind = (
        value.get("from", value.get("source")) if isinstance(value, dict) else getattr(value, "source", None)
    )
    return kind if isinstance(kind, str) else "array"


InputDeclaration = Annotated[
    Annotated[ArrayInput, Tag("array")]
    | Annotated[ImageInput, Tag("image")]
    | Annotated[TextInput, Tag("text")]
    | Annotated[TableInput, Tag("table")]
    | Annotated[AudioInput, Tag("audio")],
    Discriminator(
        _kind,
        custom_error_type="unknown_source",
        custom_error_message="'from' should be image, text, table or audio; without it, name an array",
    ),
]


class ArrayTarget(Declared):
    """Labels that are an array, or a column as it is: numbers, or texts that a model of sequences spells."""

    array: Name = Field(description="The array or column that holds the labels, one row for each sample.")


class ColumnTarget(Declared):
    """Labels in a column; words become class numbers by their place in `classes`."""

    source: Literal["column"] = Field(alias="from", description="A column.")
    column: Name = Field(description="Its name.")
    classes: list[str] | None = Field(
        default=None,
        max_length=100_000,
        description="The words in the order of the classes; null for sorted ones.",
    )


class AnnotationTarget(Declared):
    """Labels that an archive holds beside its pictures.

    `folder`: the class is the picture's folder, numbered in the order of names. `coco`, `yolo`, `voc`: boxes.
    `masks`: a PNG of class numbers for each picture.
    """

    source: Literal["folder", "coco", "yolo", "voc", "masks"] = Field(
        alias="from", description="Where they are."
    )
    classes: list[str] | None = Field(
        default=None,
        max_length=100_000,
        description="Names of the classes in the order of the model's; null for the order of the data.",
    )
    ignore: Annotated[int, Field(ge=0, le=255)] | None = Field(
        default=255, description="Of masks: the number of pixels that do not count; null for none."
    )


def _target_kind(value: Any) -> str:
    kind = _kind(value)
    return kind if kind in ("array", "column") else "annotations"


TargetDeclaration = Annotated[
    Annotated[ArrayTarget, Tag("array")]
    | Annotated[ColumnTarget, Tag("column")]
    | Annotated[AnnotationTarget, Tag("annotations")],
    Discriminator(_target_kind),
]


class Declaration(Declared):
    """How the columns are to be read. Without one, every array is an input by its own name, `labels` the target."""

    inputs: dict[str, InputDeclaration] = Field(
        description="The inputs by the dataset's own names, which a job can map to a model's; empty for every array "
        "by its own name.",
        default_factory=dict,
        max_length=MAX_INPUTS,
    )
    constants: dict[str, Whole64 | float | bool] = Field(
        default_factory=dict,
        max_length=MAX_INPUTS,
        description="Inputs that are the same number for every sample.",
    )
    state: dict[str, Name] = Field(
        default_factory=dict,
        max_length=MAX_INPUTS,
        description="From an output of the model to the input that it is carried to with the next window of one sound "
        "or the next row of one group; zeros at the beginning.",
    )
    targets: TargetDeclaration | None = Field(
        default=None, description="The labels; null for the array `labels`, where there is one."
    )
    group: Name | None = Field(
        default=None,
        description="A column: samples with one value in it are kept together where the data is split; null for none.",
    )
    skip_bad: float = Field(
        default=0,
        ge=0,
        le=0.5,
        description="The share of samples that may be left out because they cannot be read; 0 refuses the dataset.",
    )
    augment: list[Augmentation] = Field(
        default_factory=list,
        max_length=10,
        description="Kept for training steps; measuring and calibrating never augment.",
    )
