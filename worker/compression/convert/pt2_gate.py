"""A `.pt2` looked at before torch loads it, because torch's loader runs what it finds.

torch 2.13's `torch.export.load` unpickles weights and constants (`weights_only=False`), falls back to the same for the
sample inputs, opens compiled libraries under `data/aotinductor/`, evaluates shape expressions (sympy's `sympify` is
`eval`), imports modules that a tree specification names, and resolves operators by `getattr` from `torch`. So
everything in the archive has to be of a kind that is known to be data.
"""

import ast
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from app.contract.errors import Refusal
from app.contract.strict_zip import MAX_RATIO
from worker.compression.convert.pickles import foreign_globals, is_pickle
from worker.compression.convert.zipped import BROKEN, EXPORT_ANEW, Zipped, opened, refuse_pickled

OPERATOR: Final = re.compile(
    r"torch\.ops\.(aten|prims|quantized_decomposed|torchvision)\.(_?[A-Za-z]\w*|__i?(and|or|xor|[lr]shift)__)(\.[A-Za-z]\w*)?"
    r"|torch\.ops\.higher_order\.(cond|while_loop|scan|associative_scan|map_impl"
    r"|wrap_with_set_grad_enabled|wrap_with_autocast)"
    r"|torch\.sym_\w+|torch\._sym_\w+|math\.[a-z]\w*"
    r"|_operator\.(add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|eq|ne|lt|le|gt|ge|and_|or_|not_|getitem)"
)
FILE_OPERATORS: Final = re.compile(r"torch\.ops\.aten\.(from_file|save)\b")
SHAPE_FUNCTIONS: Final = frozenset(
    """
    FloorDiv ModularIndexing Where PythonMod Mod CleanDiv CeilToInt FloorToInt CeilDiv LShift RShift PowByNatural
    FloatPow FloatTrueDiv IntTrueDiv IsNonOverlappingAndDenseIndicator TruncToFloat TruncToInt RoundToInt RoundDecimal
    ToFloat Identity Max Min Abs Pow Add Mul floor ceiling sqrt log exp Integer Rational
    Eq Ne Lt Le Gt Ge Equality Unequality LessThan GreaterThan StrictLessThan StrictGreaterThan And Or Not Piecewise
    """.split()  # noqa: SIM905
)
MAX_EXPRESSION: Final = 10_000
IMPORTS: Final = ("__enum__", "default_factory_module")
"""Keys at which torch imports the module that the file names."""


def check_pt2(path: Path, *, max_bytes: int) -> None:
    """Refuse a `.pt2` with anything in it that could run.

    Raises `Refusal`: `pickle_refused`, `invalid_model`, `unsafe_archive`.
    """
    with opened(path, max_bytes=max_bytes) as files:
        refuse_pickled(files)
        if not any(name.startswith("models/") for name in files.names):
            raise Refusal("invalid_model", f"The archive holds no program of torch.export. {EXPORT_ANEW}")
        for name in files.names:
            _check_member(files, name)


def _check_member(files: Zipped, name: str) -> None:
    if name.startswith("data/aotinductor/"):
        raise Refusal(
            "invalid_model", f"The archive holds compiled code ({name}), which is never loaded. {EXPORT_ANEW}"
        )
    if name.endswith(".json"):
        _check_json(name, files.read(name))
    elif name.startswith("data/sample_inputs/"):
        _check_sample_inputs(name, files.read(name))
    elif name.startswith(("data/weights/", "data/constants/")):
        _check_payload(name, files.read(name))


def _check_payload(name: str, content: bytes) -> None:
    """Weights are raw bytes. Raw bytes may look like anything, so only names that torch unpickles are refused."""
    if name.endswith(".pt") or Path(name).name.startswith(("custom_obj_", "opaque_obj_")):
        raise _pickled(name, foreign_globals(content) if is_pickle(content) else [])


def _check_sample_inputs(name: str, content: bytes) -> None:
    if not content:
        return
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as inner:
            if sum(info.file_size for info in inner.infolist()) > MAX_RATIO * len(content):
                raise Refusal("unsafe_archive", f"{name} unpacks to more than {MAX_RATIO} times its size.")
            pickles = [inner.read(n) for n in inner.namelist() if n.endswith(".pkl")]
    except BROKEN:
        pickles = [content]
    if foreign := [found for pickle in pickles for found in foreign_globals(pickle)]:
        raise _pickled(name, foreign)


def _check_json(name: str, content: bytes) -> None:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Refusal("invalid_model", f"{name} in the archive is no JSON: {error}") from error
    for key, value in _entries(document):
        if key == "use_pickle" and value:
            raise _pickled(name, [])
        if key == "path_name" and not re.fullmatch(r"(weight|tensor)_\d+", str(value)):
            raise _pickled(f"{name} ({value})", [])
        if key == "expr_str" and not is_shape_expression(value):
            raise _not_data(name, f"the shape expression {str(value)[:80]!r}")
        if key in ("target", "as_operator") and not _is_operator(value):
            raise _not_data(name, f"the operator {str(value)[:80]!r}")
        if key in IMPORTS or (isinstance(value, str) and any(word in value for word in IMPORTS)):
            raise _not_data(name, "the import of a Python module")


def is_shape_expression(text: object) -> bool:
    """Whether it is arithmetic on symbols and numbers with known functions, as `sympy.srepr` writes it."""
    source = str(text)
    try:
        return len(source) < MAX_EXPRESSION and _is_arithmetic(ast.parse(source, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _is_arithmetic(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="Symbol" | "Dummy" | "Float"), args=[ast.Constant(value=str(name))]):
            return re.fullmatch(r"[\w.+-]+", name) is not None and all(_is_flag(k) for k in node.keywords)
        case ast.Call(func=ast.Name(id=name), keywords=[]):
            return name in SHAPE_FUNCTIONS and all(map(_is_arithmetic, node.args))
        case ast.BinOp(left=left, right=right):
            return _is_arithmetic(left) and _is_arithmetic(right)
        case ast.UnaryOp(operand=operand):
            return _is_arithmetic(operand)
        case ast.BoolOp(values=values):
            return all(map(_is_arithmetic, values))
        case ast.Compare(left=left, comparators=others):
            return all(map(_is_arithmetic, [left, *others]))
        case ast.Name(id=name):
            return not name.startswith("_")
        case ast.Constant(value=value):
            return isinstance(value, (int, float))
        case _:
            return False


def _is_flag(keyword: ast.keyword) -> bool:
    return isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, int)


def _is_operator(target: object) -> bool:
    """None and an empty target stand for nothing; a parameter's name is a target in the signature."""
    name = str(target or "")
    looks_callable = name.startswith(("torch", "_operator", "math", "#"))
    return not looks_callable or (OPERATOR.fullmatch(name) is not None and not FILE_OPERATORS.match(name))


def _entries(document: Any) -> Iterator[tuple[str, Any]]:
    """All (key, value) pairs, however deep. The JSON parser has bounded the depth."""
    waiting = [document]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield from item.items()
            waiting.extend(item.values())
        elif isinstance(item, list):
            yield from (("", value) for value in item)
            waiting.extend(item)


def _pickled(name: str, foreign: list[str]) -> Refusal:
    calls = f", which calls {', '.join(foreign[:3])}" if foreign else ""
    return Refusal("pickle_refused", f"The archive holds a pickled object, {name}{calls}. {EXPORT_ANEW}")


def _not_data(name: str, what: str) -> Refusal:
    return Refusal(
        "invalid_model", f"{name} in the archive asks for {what}, which is not allowed. {EXPORT_ANEW}"
    )
