"""Import what takes long in less time."""

import gc
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

ON_USE: Final = ("sympy", "onnx_ir._symbolic_shapes")
"""What onnx_ir imports to compute with the names of sizes, which nothing here does: a fifth of what a job imports, by
time."""


def import_on_use() -> None:
    """Have these modules read when something of them is used, no longer when they are named."""
    for name in ON_USE:
        sys.modules.setdefault(name, _OnUse(name))


class _OnUse(ModuleType):
    """Becomes what the module of its name is. (`importlib.util.LazyLoader` is read by the second `import`.)"""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        vars(self).update(vars(importlib.import_module(self.__name__)))
        return getattr(sys.modules[self.__name__], name)


@contextmanager
def uncollected() -> Iterator[None]:
    """Collect no garbage meanwhile: next to none of what is made stays unused, and looking for it takes a sixth of the
    time. What was made is not looked at later either (`gc.freeze`)."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
