"""Programs that name what torch's loader would call, import, or write into Python source that it executes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.attacks.pt2_files import (
    CANARY,
    CONSTANTS,
    MODULE,
    PROGRAM,
    WEIGHTS,
    code,
    edited,
    honest,
    objects,
    packed,
    renamed,
)


def _nodes(document: Any) -> list[dict[str, Any]]:
    return document["graph_module"]["graph"]["nodes"]


def _calls(target: str, *arguments: str) -> bytes:
    """The first node calls this, with these strings."""

    def change(document: Any) -> None:
        node = _nodes(document)[0]
        node["target"] = target
        node["inputs"] = [{"name": "", "arg": {"as_string": text}, "kind": 1} for text in arguments]

    return edited(change)


def _replaced(old: str, new: str) -> bytes:
    """A name of the program, wherever it stands."""
    files = honest()
    for member in (PROGRAM, WEIGHTS, CONSTANTS):
        files[member] = json.dumps(renamed(json.loads(files[member]), old, new)).encode()
    return packed(files)


def _tree(node: Any, *, escaped: str = "") -> bytes:
    """What comes out of the model is this tree; a letter of the word `escaped` is written as JSON escapes it."""
    text = json.dumps([1, node])
    text = text.replace(escaped, escaped.replace("e", "\\u0065", 1)) if escaped else text

    def change(document: Any) -> None:
        document["graph_module"]["module_call_graph"][0]["signature"]["out_spec"] = text

    return edited(change)


LEAF = {"type": None, "context": None, "children_spec": []}
FACTORY = {"default_factory_module": MODULE, "default_factory_name": "s", "dict_context": ["a", "b"]}
ENUM = {"__enum__": True, "fqn": f"{MODULE}:s", "name": "x"}


def _node(type: str, context: Any) -> dict[str, Any]:
    """torch keeps a default factory as it is, all else as JSON in a string."""
    written = context if context == FACTORY else json.dumps(context)
    return {"type": type, "context": written, "children_spec": [LEAF, LEAF]}


def _escaped_enumeration() -> bytes:
    """The key stands escaped in the string inside the string."""
    context = json.dumps([ENUM, "b"]).replace("__enum__", "__\\u0065num__")
    return _tree({"type": "builtins.dict", "context": context, "children_spec": [LEAF, LEAF]})


def _everywhere(key: str, value: Any) -> bytes:
    """In the metadata of all nodes."""

    def change(document: Any) -> None:
        for entry in objects(document):
            if "metadata" in entry:
                entry["metadata"][key] = value

    return edited(change)


def _argument(argument: dict[str, Any], name: str = "x") -> bytes:
    def change(document: Any) -> None:
        _nodes(document)[0]["inputs"].append({"name": name, "arg": argument, "kind": 2})

    return edited(change)


def _in_condition(name: str) -> bytes:
    """The keyword of an argument of a node without schema, which torch writes into source."""

    def change(document: Any) -> None:
        node = next(node for node in _nodes(document) if node["target"].endswith("cond"))
        node["inputs"].append({"name": name, "arg": {"as_int": 1}, "kind": 2})

    return edited(change)


def _branch(name: str) -> bytes:
    def change(document: Any) -> None:
        for entry in objects(document):
            if set(entry) == {"name", "graph"}:
                entry["name"] = name

    return edited(change)


def _signature(**fields: Any) -> bytes:
    return edited(lambda d: d["graph_module"]["module_call_graph"][0]["signature"].update(fields))


def _twice_in_json(marker: Path) -> bytes:
    """A key with two values: parsers differ in which one they believe."""
    files = honest()
    evil = b'"guards_code": [' + json.dumps(code(marker)).encode() + b'], "graph_module"'
    files[PROGRAM] = files[PROGRAM].replace(b'"graph_module"', b'"graph_module": {}, ' + evil, 1)
    return packed(files)


def _opaque_input(marker: Path) -> bytes:
    def change(document: Any) -> None:
        spec = {"arg": {"name": "image", "class_fqn": f"{MODULE}.s"}, "custom_obj_name": code(marker)}
        document["graph_module"]["signature"]["input_specs"][0] = {"custom_obj": spec}

    return edited(change)


INJECTED: dict[str, Callable[[str], bytes]] = {
    "an input's name that is a default value": lambda code: _replaced("image", f"image={code}"),
    "an input's name that ends the function": lambda code: _replaced(
        "image", f"image): pass\n{code}\ndef g(x"
    ),
    "a value's name": lambda code: _replaced("relu", f"relu = {code}; relu"),
    "an annotation": lambda code: _replaced("image", f"image: {code}"),
    "a weight's name with a quote": lambda code: _replaced("fc.weight", f'fc.w"), {code}, ("'),
    "a constant's name": lambda code: _replaced("lifted_tensor_0", f"x'), {code}, ('"),
    "a keyword of a condition": lambda code: _in_condition(f"x={code}, y"),
    "a branch's name": lambda code: _branch(f"true_graph_0; {code}"),
    "the names of the arguments": lambda code: _signature(forward_arg_names=[f"x={code}", "scale"]),
    "a key of the results": lambda code: _tree(_node("builtins.dict", [f"'+{code}+'", "b"])),
    "a file of Python in the metadata": lambda code: _everywhere("stack_trace", code),
    "a stack of modules": lambda code: _everywhere("nn_module_stack", f"x,{code},torch.nn.Linear"),
    "a function that a node came from": lambda code: _everywhere("source_fn_stack", "x,torch.os.system"),
    "custom metadata": lambda code: _everywhere("custom", json.dumps(ENUM)),
    "where a node came from": lambda code: _everywhere("from_node", json.dumps([{"name": code, **ENUM}])),
    "guards": lambda code: edited(lambda document: document.update(guards_code=[code])),
    "a verifier": lambda code: edited(lambda document: document.update(verifiers=[f"{MODULE}:{code}"])),
}

ATTACKS: dict[str, Callable[[Path], bytes]] = {
    **{
        name: lambda marker, plant=plant: plant(code(marker))  # type: ignore[misc]
        for name, plant in INJECTED.items()
    },
    "a function of the system": lambda marker: _calls("torch.os.mknod", str(marker)),
    "a shell": lambda marker: _calls("torch.os.system", f"touch {marker}"),
    "a library": lambda marker: _calls("torch.ops.load_library", str(marker)),
    "a file as tensor": lambda marker: _calls("torch.ops.aten.from_file.default", str(marker), "1"),
    "a tensor as file": lambda marker: _calls("torch.ops.aten.save.default", str(marker)),
    "a method of an operator": lambda _: _calls("torch.ops.aten.conv2d.overloads"),
    "the globals of an operator": lambda _: _calls("torch.ops.aten.conv2d.default.__init__.__globals__"),
    "an importer": lambda _: _calls("math.__loader__.load_module", MODULE),
    "a caller of methods": lambda _: _calls("_operator.methodcaller", "touch"),
    "an extension": lambda _: _calls("#winnow_canary:x"),
    "an operator with a line break": lambda _: _calls("torch.sym_max\n.__globals__"),
    "an operator as argument": lambda _: _argument({"as_operator": "torch.os.system"}),
    "an object of a class": lambda _: _argument({"as_custom_obj": {"name": "x", "class_fqn": f"{MODULE}.s"}}),
    "an unknown kind of argument": lambda _: _argument({"as_magic": CANARY}),
    "two kinds of one argument": lambda _: _argument({"as_int": 1, "as_operator": "torch.os.system"}),
    "an object as input": _opaque_input,
    "a default factory": lambda _: _tree(_node("collections.defaultdict", FACTORY)),
    "a default factory, escaped": lambda _: _tree(
        _node("collections.defaultdict", FACTORY), escaped="default_factory_module"
    ),
    "an enumeration": lambda _: _tree(_node("builtins.tuple", ENUM)),
    "an enumeration, escaped": lambda _: _tree(_node("builtins.tuple", ENUM), escaped="__enum__"),
    "a key that is an enumeration, escaped twice": lambda _: _escaped_enumeration(),
    "a key that is an enumeration": lambda _: _tree(_node("builtins.dict", [ENUM, "b"])),
    "a class as node": lambda _: _tree(_node(f"{MODULE}.s", None)),
    "a key twice": _twice_in_json,
    "a version to come": lambda _: edited(lambda d: d["schema_version"].update(minor=99)),
    "a version before all checks": lambda _: edited(
        lambda d: d.update(schema_version={"major": 0, "minor": 0})
    ),
}
