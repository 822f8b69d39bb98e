"""The members of a `.pt2`, as torch.export.save of torch 2.10 to 2.13 writes them. Any other is refused by name."""

import re
from typing import Final

from winnow.contract.errors import Refusal
from worker.compression.upload_gate.convert.zipped import EXPORT_ANEW, Zipped

PROGRAM: Final = "models/model.json"
CONFIGS: Final = {
    "weights": "data/weights/model_weights_config.json",
    "constants": "data/constants/model_constants_config.json",
}
SAMPLES: Final = "data/sample_inputs/model.pt"
"""A pickle. It is never read, and an empty one is written."""
MARKS: Final = {"archive_format": b"pt2", "archive_version": b"0", "byteorder": b"little"}
NEEDED: Final = (PROGRAM, *CONFIGS.values(), *MARKS)

PAYLOAD: Final = re.compile(r"data/(weights/weight|constants/tensor)_[0-9]{1,6}")
IGNORED: Final = re.compile(
    r"\.data/version|\.data/serialization_id|extra/.+|" + re.escape(SAMPLES), re.DOTALL
)
PICKLED: Final = re.compile(r"data/(weights|constants)/(.+\.pt|(custom|opaque)_obj_.+)|.+\.pkl", re.DOTALL)


def check_members(files: Zipped) -> None:
    """Refuse members that are not known, those that are missing, and other versions of the archive.

    Raises `Refusal` `invalid_model`, `pickle_refused`.
    """
    if not any(name.startswith("models/") for name in files.names):
        raise invalid("The archive holds no program of torch.export.")
    for name in files.names:
        _check_name(name)
    if missing := [name for name in NEEDED if name not in files.names]:
        raise invalid(f"The archive has no {missing[0]}.")
    for name, expected in MARKS.items():
        if (content := files.read(name, limit=100)) != expected:
            raise invalid(f"{name} in the archive says {content!r}; {expected!r} can be read.")


def payload(kind: str, path_name: str) -> str:
    """The member with the bytes of a weight or constant."""
    return f"data/{kind}/{path_name}"


def pickled(what: str) -> Refusal:
    return Refusal("pickle_refused", f"The archive holds a pickled object, {what[:200]}. {EXPORT_ANEW}")


def invalid(what: str) -> Refusal:
    return Refusal("invalid_model", f"{what} {EXPORT_ANEW}")


def _check_name(name: str) -> None:
    if name in NEEDED or PAYLOAD.fullmatch(name) or IGNORED.fullmatch(name):
        return
    if PICKLED.fullmatch(name):
        raise pickled(name)
    if name.startswith("data/aotinductor/"):
        raise invalid(f"The archive holds compiled code ({name[:100]}), which is never loaded.")
    if re.fullmatch(r"models/[^/]+\.json", name):
        raise invalid(f"The archive holds the program {name[:100]}; one, named model, can be read.")
    raise invalid(f"{name[:100]!r} is no member that torch 2.10 to 2.13 write into a .pt2.")
