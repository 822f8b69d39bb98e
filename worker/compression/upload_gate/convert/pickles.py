"""Pickles, read without loading them. A pickle is a program: what it may call is decided here, not by it.

Every `.pt2` and TorchScript file holds small pickles of tensors. What is refused is a pickle that names anything else.
"""

import pickletools
import re
from typing import Final

TENSOR_GLOBALS: Final = frozenset(
    {
        ("collections", "OrderedDict"),
        ("torch", "Tensor"),
        ("torch", "Size"),
        ("torch", "device"),
        ("torch._tensor", "_rebuild_from_type_v2"),
        ("torch._utils", "_rebuild_tensor"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch._utils", "_rebuild_parameter"),
        ("torch.nn.parameter", "Parameter"),
        ("torch.serialization", "_get_layout"),
        ("torch.storage", "UntypedStorage"),
    }
)
DTYPE: Final = re.compile(r"b?float\d+|u?int\d+|bool")
PROTOCOL_2: Final = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
INDIRECT: Final = frozenset({"STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4"})
"""Opcodes that name what they call in ways that torch.save never writes."""


def is_pickle(content: bytes) -> bool:
    return content.startswith(PROTOCOL_2)


def foreign_globals(content: bytes) -> list[str]:
    """What a pickle calls besides the makers of tensors, as `module.name`; a note where it cannot be read."""
    names: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name in INDIRECT:
                names.append(f"an indirect name ({opcode.name})")
            elif opcode.name == "GLOBAL" and not _makes_tensors(*str(argument).split(" ", 1)):
                names.append(str(argument).replace(" ", "."))
    except (ValueError, IndexError, UnicodeDecodeError, OverflowError) as error:
        names.append(f"something unreadable ({error})")
    return list(dict.fromkeys(names))


def _makes_tensors(module: str, name: str = "") -> bool:
    is_type = module == "torch" and (name.endswith("Storage") or bool(DTYPE.fullmatch(name)))
    return is_type or (module, name) in TENSOR_GLOBALS
