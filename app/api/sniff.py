"""What the bytes are, found in the bytes; a name proves nothing.

    zip     .npz | .pt2 | TorchScript | pickled module | ONNX with external data, several of them | pictures, sounds or
            tables
    tar     ONNX with external data, several of them | pictures, sounds or tables
    other   an array, Parquet, a sound, CSV or JSON lines; ONNX, if its protobuf fields can be walked to the last byte

Nothing here loads anything: only signatures, an archive's list of names, and the outermost protobuf fields are read.
"""

import re
from typing import BinaryIO, Final, Literal, assert_never

from app.api.archive import tar_names, zip_names
from app.api.dataset_formats import binary_format, holds_data, text_format
from app.api.onnx_fields import check_onnx
from winnow.contract.dataset import DatasetFormat
from winnow.contract.errors import Refusal
from winnow.contract.model import ModelFormat
from winnow.contract.strict_tar import MAGIC, MAGIC_AT

Kind = (
    Literal["onnx", "onnx_archive", "onnx_package", "torch_export", "torchscript", "pickle"] | DatasetFormat
)

MAX_MODEL_MEMBERS: Final = 10_000
MAX_DATASET_MEMBERS: Final = 1_000_000

HEAD: Final = 1024
_USE_INSTEAD: Final = "Upload .onnx (torch.onnx.export) or .pt2 (torch.export.save), which carry no code."
_DATASETS: Final = (
    ".npz or .npy, CSV, JSON lines, Parquet, WAV or FLAC, "
    "or an archive (zip, tar) of pictures, sounds or tables"
)

_STRANGERS: Final[tuple[tuple[bytes, str, str], ...]] = (
    (rb"\x1f\x8b", "a gzip file", "unpack it first: .onnx files, plain tar and zip archives are read"),
    (rb"BZh|\xfd7zXZ\x00|\x28\xb5\x2f\xfd|7z\xbc\xaf\x27\x1c", "a compressed file", "unpack it first"),
    (rb"\x89HDF\r\n\x1a\n", "HDF5 (a Keras model, perhaps)", "export it to ONNX with tf2onnx"),
    (rb".{4}TFL3", "TensorFlow Lite", "export the original model to ONNX with tf2onnx"),
    (rb".{8}\{\s*\"", "safetensors, which has weights but no network", "export the network to ONNX"),
    (
        rb"\s*(?:<!doctype|<html|<\?xml|<)",
        "a web page, perhaps a download's error page",
        "fetch the file itself",
    ),
    (
        rb"version https://git-lfs",
        "a Git LFS pointer, not the file itself",
        "run `git lfs pull` and upload again",
    ),
    (rb"\s*[\{\[]\s*[\"\{\[\]\}]", "JSON text", "upload the file itself"),
    (rb"\x7fELF|MZ|#!", "a program", "upload a model"),
    (rb"%PDF|\x89PNG|\xff\xd8\xff|GIF8", "a document or an image", "upload a model, or an .npz of arrays"),
)


def sniffed(file: BinaryIO, max_members: int = MAX_MODEL_MEMBERS) -> Kind:
    """The kind of a complete file; `max_members` bounds archives.

    Raises `unknown_format`, `invalid_model`, `unsafe_archive`, `pickle_refused`.
    """
    head = file.read(HEAD)
    if head.startswith(b"PK"):
        return _zip(zip_names(file, max_members))
    if head[MAGIC_AT:].startswith(MAGIC):
        is_model = max_members == MAX_MODEL_MEMBERS
        return _archive(tar_names(file, max_members, ignore_case=is_model), "tar")
    if re.match(rb"\x80[\x02-\x05][\x8a\x8c}\](cX\x95]", head):
        return "pickle"
    if data := binary_format(file, head):
        return data
    if head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{") and text_format(file) == "jsonl":
        return "jsonl"
    for pattern, what, do in _STRANGERS:
        if re.match(pattern, head, re.DOTALL | re.IGNORECASE):
            raise unknown(f"The file looks like {what}. To use it here, {do}.")
    if text_format(file) == "csv":
        return "csv"
    check_onnx(file)
    return "onnx"


def model_format(file: BinaryIO, expected: str, allow_torchscript: bool) -> ModelFormat:
    """The format of a model, checked against the one that was asked for (`auto`: whatever it is)."""
    match sniffed(file):
        case "pickle":
            raise Refusal(
                "pickle_refused", f"The file is a pickled model, which may run code. {_USE_INSTEAD}"
            )
        case "npz" | "npy" | "zip" | "tar" | "parquet" | "csv" | "jsonl" | "wav" | "flac" as kind:
            raise unknown(
                f"The file is a dataset ({kind}), not a model. Upload it as one (POST /v1/datasets)."
            )
        case "torchscript" if not allow_torchscript:
            raise Refusal(
                "torchscript_disabled",
                "The file is TorchScript, which can touch the file system when it is loaded, so it is switched "
                "off here (WINNOW_ALLOW_TORCHSCRIPT). Upload .pt2 (torch.export.save) or .onnx instead.",
            )
        case "onnx" | "onnx_archive":
            found: ModelFormat = "onnx"
        case "onnx_package" | "torch_export" | "torchscript" as kind:
            found = kind
        case _ as kind:
            assert_never(kind)
    if expected not in ("auto", found):
        detail = f"format={expected} was asked for, but the bytes are {found}. Leave format out, or send that file."
        raise Refusal("unknown_format", detail, field="format")
    return found


def dataset_format(file: BinaryIO) -> DatasetFormat:
    """The format of a dataset. Raises `unknown_format` and `pickle_refused` for what is none."""
    match sniffed_or_unknown(file):
        case "npz" | "npy" | "zip" | "tar" | "parquet" | "csv" | "jsonl" | "wav" | "flac" as format:
            return format
        case "pickle":
            raise Refusal(
                "pickle_refused", "The file is a pickle. Save the arrays with numpy.savez(path, NAME=array)."
            )
        case _ as kind:
            raise unknown(f"The file looks like {kind}. A dataset is {_DATASETS}.")


def sniffed_or_unknown(file: BinaryIO) -> Kind | Literal["nothing known"]:
    """As `sniffed`, for a place where no model is expected: what is no model either is simply unknown."""
    try:
        return sniffed(file, MAX_DATASET_MEMBERS)
    except Refusal as refusal:
        if refusal.problem.code == "invalid_model":
            return "nothing known"
        raise


def _zip(names: list[str]) -> Kind:
    bare = {name.split("/", 1)[-1] for name in names} | set(names)
    if "archive_format" in bare or "serialized_exported_program.json" in bare:
        return "torch_export"
    if "constants.pkl" in bare and any(name.startswith("code/") for name in bare):
        return "torchscript"
    if any(name.endswith(".pkl") for name in bare):
        return "pickle"
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    if any(name.lower().endswith(".keras") or name == "model.weights.h5" for name in bare):
        raise unknown("The file looks like a Keras archive. Export it to ONNX with tf2onnx.")
    return _archive(names, "zip")


def _archive(names: list[str], kind: Literal["zip", "tar"]) -> Kind:
    models = [name for name in names if name.lower().endswith(".onnx") and not _is_litter(name)]
    if models:
        return "onnx_archive" if len(models) == 1 else "onnx_package"
    if holds_data(names):
        return kind
    listed = ", ".join(repr(name[:80]) for name in names[:5]) or "nothing"
    raise unknown(
        f"The {kind} archive has no .onnx file ({listed}); a model is one with its external data beside it, or several "
        f"that are a package. A dataset is {_DATASETS}."
    )


def _is_litter(name: str) -> bool:
    """Whether macOS added it to the archive."""
    return "__MACOSX" in name.split("/") or name.rpartition("/")[2].startswith("._")


def unknown(detail: str) -> Refusal:
    return Refusal("unknown_format", detail)
