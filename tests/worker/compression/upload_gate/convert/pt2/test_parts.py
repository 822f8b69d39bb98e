"""JSON once and in one way, trees of arguments, operators that compute, names that are identifiers."""

import json
import keyword
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.compression.upload_gate.convert.pt2.json_text import MAX_DEPTH, MAX_VALUES, parse_json
from worker.compression.upload_gate.convert.pt2.schema.names import plain_path, plain_word
from worker.compression.upload_gate.convert.pt2.schema.operators import known_operator
from worker.compression.upload_gate.convert.pt2.schema.tree_spec import canonical_tree

DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(DOCUMENTS, st.booleans())
def test_json_is_read_as_it_was_written(document: Any, ascii: bool) -> None:
    text = json.dumps(document, ensure_ascii=ascii).encode("utf-8", "surrogatepass")
    try:
        text.decode()
    except UnicodeDecodeError:
        return
    assert parse_json(text) == document


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"a": 1, "a": 2}', "'a' stands twice"),
        (b'{"a": 1, "\\u0061": 2}', "'a' stands twice"),
        (b'[{"x": {"b": 1, "c": 1, "b": 1}}]', "'b' stands twice"),
        (b"NaN", "NaN is no number"),
        (b"[-Infinity]", "-Infinity is no number"),
        (b"\xef\xbb\xbf{}", "."),
        ('{"a": 1}'.encode("utf-16"), "."),
        (b"\xff", "."),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "levels deep"),
        (b"[" * 10**6, "too deep"),
        (b"[" + b"[1,1]," * (MAX_VALUES // 2) + b"1]", "values"),
        (b'"[[[', "."),
        (b"1 2", "."),
        (b"9" * 10_000, "."),
    ],
)
def test_other_json_is_refused(text: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_json(text)


def test_brackets_in_texts_are_not_depth() -> None:
    assert parse_json(json.dumps(["[" * 500, '\\"[[' * 100]).encode()) == ["[" * 500, '\\"[[' * 100]


LEAF = {"type": None, "context": None, "children_spec": []}


def tree(type: str | None, context: Any, children: int = 2, **more: Any) -> str:
    node = {"type": type, "context": json.dumps(context), "children_spec": [LEAF] * children, **more}
    return json.dumps([1, node])


@pytest.mark.parametrize(
    ("type", "context", "written", "then"),
    [
        ("builtins.tuple", None, "builtins.tuple", None),
        ("builtins.list", None, "builtins.list", None),
        ("builtins.dict", ["a", "b"], "builtins.dict", ["a", "b"]),
        ("builtins.dict", [1, "b c'"], "builtins.dict", [1, "b_x20_c_x27_"]),
        ("collections.OrderedDict", ["a", "b"], "builtins.dict", ["a", "b"]),
        ("collections.namedtuple", "my.Type", "builtins.tuple", None),
        ("collections.deque", 5, "builtins.list", None),
    ],
)
def test_containers_are_written_as_the_plain_ones(type: str, context: Any, written: str, then: Any) -> None:
    assert canonical_tree(tree(type, context)) == tree(written, then)


@pytest.mark.parametrize(
    "text",
    [
        tree("collections.defaultdict", None),
        tree("builtins.tuple", {"__enum__": True, "fqn": "os:x", "name": "y"}),
        tree("builtins.dict", [{"__enum__": True}, "b"]),
        tree("builtins.dict", ["a", "a"]),
        tree("builtins.dict", ["a"]),
        tree("builtins.dict", {"a": 1, "b": 2}),
        tree("builtins.dict", [True, None]),
        tree("collections.namedtuple", None),
        tree("os.path", None),
        tree(None, None),
        tree("builtins.tuple", None, more=1),
        json.dumps([2, LEAF]),
        json.dumps(LEAF),
        "null",
        "",
        "[1, " + '{"type": "builtins.tuple", "context": "null", "children_spec": [' * 60 + "]}" * 60 + "]",
    ],
)
def test_other_trees_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        canonical_tree(text)


@pytest.mark.parametrize(
    ("target", "allowed"),
    [
        ("torch.ops.aten.conv2d.default", True),
        ("torch.ops.aten.add.Tensor", True),
        ("torch.ops.prims.convert_element_type.default", True),
        ("torch.ops.higher_order.cond", True),
        ("torch.ops.aten.__and__.Tensor", True),
        ("torch.ops.aten._softmax.default", True),
        ("torch.sym_max", True),
        ("_operator.floordiv", True),
        ("math.ceil", True),
        ("torch.ops.aten.from_file.default", False),
        ("torch.ops.aten.from_file.out", False),
        ("torch.ops.aten.save.default", False),
        ("torch.ops.aten.conv2d", False),
        ("torch.ops.aten.conv2d.overloads", False),
        ("torch.ops.aten.conv2d.default.decompose", False),
        ("torch.ops.aten.conv2d.__globals__", False),
        ("torch.ops.aten.__class__", False),
        ("torch.ops.aten.add.t", False),
        ("torch.ops.load_library", False),
        ("torch.ops.mine.op.default", False),
        ("torch.os.system", False),
        ("torch.load", False),
        ("_operator.methodcaller", False),
        ("_operator.__builtins__", False),
        ("math.__loader__.load_module", False),
        ("#namespace:anything", False),
        ("torch.sym_max\n", False),
        ("", False),
    ],
)
def test_only_operators_that_compute_are_allowed(target: str, allowed: bool) -> None:
    pytest.importorskip("torch")
    if allowed:
        assert known_operator(target) == target
    else:
        with pytest.raises(ValueError, match="not known here"):
            known_operator(target)


@settings(deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_words_become_parts_of_identifiers_and_stay_different(one: str, other: str) -> None:
    assert f"x{plain_word(one)}".isidentifier()
    assert f"x{plain_word(one)}".isascii()
    if one != other and "_x" not in one + other:
        assert plain_word(one) != plain_word(other)


def test_a_path_keeps_its_parts() -> None:
    assert plain_path("layers.0.conv_1.weight") == "layers.0.conv_1.weight"
    assert plain_path("a-b.c") == "a_x2d_b.c"
    assert not keyword.iskeyword(plain_path("layer"))
    with pytest.raises(ValueError, match="empty"):
        plain_path("a..b")
