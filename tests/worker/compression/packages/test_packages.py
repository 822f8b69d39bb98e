"""Several graphs are one for as long as they are worked on, and come apart as they were."""

import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from tests.support import packages as nets
from tests.support.ort import largest_difference, run
from winnow.contract.errors import Refusal
from winnow.contract.graph_hash import graph_sha256
from winnow.contract.recipe import Recipe
from worker.compression.data.source import Data
from worker.compression.onnx_files.model_files import load
from worker.compression.packages.layout import Package
from worker.compression.packages.prefix import with_prefix, without_prefix
from worker.compression.packages.split import split
from worker.compression.packages.write import write_package
from worker.compression.pipeline import compress
from worker.compression.upload.inspection import OpenedModel, inspect_model, open_file

CAP = 2**30


def opened(path: Path, scratch: Path) -> OpenedModel:
    return open_file(path, scratch, max_unpacked_bytes=CAP)


def refused(path: Path, scratch: Path) -> tuple[str, str]:
    with pytest.raises(Refusal) as caught:
        opened(path, scratch)
    return caught.value.problem.code, caught.value.problem.detail


def package_of(path: Path, scratch: Path) -> tuple[Path, Package]:
    found = opened(path, scratch)
    assert found.package is not None
    return found.path, found.package


def feeds(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal((2, 3, nets.WIDTH)).astype(np.float32) for name in ("x", "past")}


def test_graphs_become_one_whose_names_tell_the_graph(tmp_path: Path) -> None:
    path, package = package_of(nets.zipped(tmp_path / "p.zip", nets.pair()), tmp_path / "s")
    whole = onnx.load(str(path))
    assert [graph.name for graph in package.graphs] == ["decoder", "encoder"]
    assert [value.name for value in whole.graph.input] == ["decoder:x", "decoder:past", "encoder:x"]
    assert {value.name for value in whole.graph.output} == {"decoder:y", "decoder:m", "encoder:h"}
    assert {node.name for node in whole.graph.node} >= {"decoder:project", "encoder:project", "decoder:head"}
    sizes = [dim.dim_param for dim in whole.graph.input[0].type.tensor_type.shape.dim[:2]]
    assert sizes == ["batch", "_decoder__length"]
    assert without_prefix(sizes[1], "decoder:") == "length"


def test_a_weight_that_graphs_share_is_one_and_equal_bits_decide(tmp_path: Path) -> None:
    path, package = package_of(nets.zipped(tmp_path / "p.zip", nets.pair()), tmp_path / "s")
    weights = [tensor.name for tensor in onnx.load(str(path)).graph.initializer]
    assert weights == ["decoder:tied", "decoder:w"]
    assert package.shared_bytes == nets.SHARED.nbytes
    other = nets.SHARED.copy()
    other[0, 0] = np.nextafter(other[0, 0], 1)
    apart = {"encoder.onnx": nets.encoder(other), "decoder.onnx": nets.decoder()}
    path, package = package_of(nets.zipped(tmp_path / "q.zip", apart), tmp_path / "s")
    assert len(onnx.load(str(path)).graph.initializer) == 3
    assert package.shared_bytes == 0


def test_they_come_apart_with_their_own_names_and_compute_the_same_to_the_bit(tmp_path: Path) -> None:
    path, package = package_of(nets.zipped(tmp_path / "p.zip", nets.pair()), tmp_path / "s")
    whole = onnx.load(str(path))
    for graph in package.graphs:
        part, original = split(whole, graph), nets.pair()[graph.path.name]
        onnx.checker.check_model(part)
        for ends in ("input", "output"):
            assert [*getattr(part.graph, ends)] == [*getattr(original.graph, ends)]
        assert part.metadata_props == original.metadata_props
        for before, after in zip(run(original, feeds()), run(part, feeds()), strict=True):
            np.testing.assert_array_equal(before, after)


def test_a_written_package_has_shared_weights_once_and_opens_again(tmp_path: Path) -> None:
    source = nets.zipped(tmp_path / "p.zip", nets.pair(), "onnx/", config__json=b'{"model_type": "t5"}')
    path, package = package_of(source, tmp_path / "s")
    written = write_package(path, package, tmp_path / "out", tmp_path / "out.zip")
    files = nets.unpacked(tmp_path / "out.zip", tmp_path / "there")
    assert sorted(files) == ["config.json", "decoder.onnx", "encoder.onnx", "shared.weights"]
    assert files["config.json"].read_bytes() == b'{"model_type": "t5"}'
    assert files["shared.weights"].read_bytes() == nets.SHARED.tobytes()
    assert written.shared_bytes == nets.SHARED.nbytes
    for graph in written.graphs:
        assert graph.sha256 == graph_sha256(files[graph.path.name])
        for before, after in zip(
            run(nets.pair()[graph.path.name], feeds()), run(files[graph.path.name], feeds()), strict=True
        ):
            np.testing.assert_array_equal(before, after)
    _, again = package_of(tmp_path / "out.zip", tmp_path / "s")
    assert again.folder == "onnx"
    size = sum(file.stat().st_size for name, file in files.items() if name != "config.json")
    assert (again.uploaded_bytes, again.shared_bytes) == (size, nets.SHARED.nbytes)


def test_the_archive_of_a_package_tells_nothing_of_when_it_was_made(tmp_path: Path) -> None:
    for name in ("a", "b"):
        path, package = package_of(nets.zipped(tmp_path / "p.zip", nets.pair()), tmp_path / name)
        write_package(path, package, tmp_path / f"{name}-out", tmp_path / f"{name}.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert graph_sha256(tmp_path / "a.zip") == graph_sha256(tmp_path / "b.zip")


def test_external_weights_that_two_graphs_name_are_read_once(tmp_path: Path) -> None:
    files = nets.external(nets.pair(), tmp_path)
    archive = tmp_path / "p.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in files:
            packed.write(file, file.name)
    path, package = package_of(archive, tmp_path / "s")
    assert package.uploaded_bytes == sum(file.stat().st_size for file in files)
    (tensor,) = (t for t in onnx.load(str(path)).graph.initializer if t.name == "decoder:tied")
    np.testing.assert_array_equal(numpy_helper.to_array(tensor), nets.SHARED)


def test_a_graph_whose_shared_weights_do_not_hold_is_refused_by_name(tmp_path: Path) -> None:
    decoder, encoder, data = nets.external(dict(sorted(nets.pair().items())), tmp_path)
    for kept, bytes_, says in (
        ([decoder, encoder], b"", "'weights.bin', which is not in the archive"),
        ([decoder, encoder, data], nets.SHARED.tobytes()[:-4], "the file has 4092"),
    ):
        with zipfile.ZipFile(tmp_path / "p.zip", "w") as packed:
            for file in kept:
                packed.writestr(file.name, bytes_ if file == data else file.read_bytes())
        code, detail = refused(tmp_path / "p.zip", tmp_path / "s")
        assert code == "unsafe_external_data"
        assert detail.startswith("In decoder.onnx: ")
        assert says in detail


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("a/encoder.onnx", "b/decoder.onnx"), "'a', 'b'"),
        (("encoder.onnx", "onnx/decoder.onnx"), "'.', 'onnx'"),
        (("encoder.onnx", "the decoder.onnx"), "'the decoder.onnx'"),
        (("encoder.onnx", "de:coder.onnx"), "'de:coder.onnx'"),
        (tuple(f"g{number}.onnx" for number in range(17)), "17 graphs; 16"),
    ],
)
def test_what_is_no_package_is_refused_by_name(names: tuple[str, ...], says: str, tmp_path: Path) -> None:
    models = {name: nets.encoder() for name in names}
    code, detail = refused(nets.zipped(tmp_path / "p.zip", models), tmp_path / "s")
    assert code == "invalid_model"
    assert says in detail


@pytest.mark.parametrize(
    "names",
    [
        ("encoder.onnx", "../decoder.onnx"),
        ("encoder.onnx", "/decoder.onnx"),
        ("encoder.onnx", "Encoder.onnx"),
    ],
)
def test_names_that_lead_elsewhere_or_stand_twice_are_refused(names: tuple[str, ...], tmp_path: Path) -> None:
    models = {name: nets.encoder() for name in names}
    assert refused(nets.zipped(tmp_path / "p.zip", models), tmp_path / "s")[0] == "unsafe_archive"
    assert not (tmp_path / "decoder.onnx").exists()


def test_an_archive_that_unpacks_to_more_than_allowed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.onnx", nets.encoder().SerializeToString())
        archive.writestr("b.onnx", bytes(2**24))
    assert refused(path, tmp_path / "s")[0] == "unsafe_archive"


def test_a_graph_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    models = {**nets.pair(), "extra.onnx": onnx.ModelProto()}
    code, detail = refused(nets.zipped(tmp_path / "p.zip", models), tmp_path / "s")
    assert (code, detail.startswith("In extra.onnx: ")) == ("invalid_model", True)
    wrong = nets.pair()
    wrong["decoder.onnx"].graph.node[0].op_type = "Invented"
    code, detail = refused(nets.zipped(tmp_path / "p.zip", wrong), tmp_path / "s")
    assert (code, detail.startswith("In decoder.onnx: ")) == ("custom_operator", True)


def test_graphs_of_different_opsets_become_one_of_the_higher(tmp_path: Path) -> None:
    models = {"encoder.onnx": nets.encoder(opset=13), "decoder.onnx": nets.decoder()}
    path, package = package_of(nets.zipped(tmp_path / "p.zip", models), tmp_path / "s")
    assert load(path).opset_imports[""] == 17
    (encoder,) = (graph for graph in package.graphs if graph.name == "encoder")
    part = split(onnx.load(str(path)), encoder)
    np.testing.assert_array_equal(run(part, feeds())[0], run(models["encoder.onnx"], feeds())[0])
    assert [(entry.key, entry.value) for entry in part.metadata_props] == [("task", "encode")]


def test_inspection_tells_of_each_graph_and_of_all(tmp_path: Path) -> None:
    path = nets.zipped(tmp_path / "p.zip", nets.pair())
    scratch = tmp_path / "s"
    scratch.mkdir()
    inspected = inspect_model(
        path, "onnx_package", [], scratch, allow_torchscript=False, max_unpacked_bytes=CAP
    )
    facts = inspected.facts
    assert facts.parameters == nets.SHARED.size + nets.HEAD.size
    assert [layer.name for layer in facts.layers] == ["decoder:project", "decoder:head", "encoder:project"]
    assert facts.graphs is not None
    decoder, encoder = facts.graphs
    assert (decoder.name, decoder.file, decoder.layers) == ("decoder", "decoder.onnx", 2)
    assert [(spec.name, spec.shape) for spec in encoder.inputs] == [("x", ["batch", "length", nets.WIDTH])]
    assert inspected.unpacked_bytes == decoder.size_bytes + encoder.size_bytes


@given(st.text("abz_09 +-()N", min_size=1, max_size=12), st.sampled_from(["decoder:", "a.b-c:", "N:"]))
def test_sizes_get_their_names_back(size: str, prefix: str) -> None:
    made = nets.encoder()
    made.graph.input[0].type.tensor_type.shape.dim[1].dim_param = size
    with_prefix(made, prefix)
    assert without_prefix(made.graph.input[0].type.tensor_type.shape.dim[1].dim_param, prefix) == size


def test_sizes_of_graphs_with_like_names_stay_apart_whatever_alphabet_they_are_of(tmp_path: Path) -> None:
    models = {name: nets.encoder() for name in ("a-b.onnx", "a.b.onnx", "a_b.onnx")}
    for each in models.values():
        each.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "长度"
        each.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "长度"
    path, package = package_of(nets.zipped(tmp_path / "p.zip", models), tmp_path / "s")
    whole = onnx.load(str(path))
    sizes = {value.type.tensor_type.shape.dim[1].dim_param for value in whole.graph.input}
    assert len(sizes) == 3
    for graph in package.graphs:
        assert split(whole, graph).graph.input[0].type.tensor_type.shape.dim[1].dim_param == "长度"


def test_strings_of_a_graph_are_as_welcome_as_in_a_model_alone(tmp_path: Path) -> None:
    labels = helper.make_tensor("labels", onnx.TensorProto.STRING, [20], [b"an apple"] * 20)
    models = nets.pair()
    for each in models.values():
        each.graph.initializer.append(labels)
        each.graph.node.append(helper.make_node("Identity", ["labels"], ["names"]))
        each.graph.output.append(helper.make_tensor_value_info("names", onnx.TensorProto.STRING, [20]))
    path, package = package_of(nets.zipped(tmp_path / "p.zip", models), tmp_path / "s")
    for graph in package.graphs:
        assert run(split(onnx.load(str(path)), graph), feeds())[-1].tolist() == ["an apple"] * 20


def test_weights_that_lie_over_each_other_in_a_file_make_nothing_larger_than_allowed(tmp_path: Path) -> None:
    decoder, encoder, data = nets.external(dict(sorted(nets.pair().items())), tmp_path)
    many = onnx.load(str(encoder), load_external_data=False)
    (weight,) = many.graph.initializer
    for number in range(100):
        again = many.graph.initializer.add()
        again.CopyFrom(weight)
        again.name = f"w{number}"
        many.graph.node.add(op_type="Identity", input=[again.name], output=[f"o{number}"])
        many.graph.output.append(helper.make_tensor_value_info(f"o{number}", 1, nets.SHARED.shape))
    encoder.write_bytes(many.SerializeToString())
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as packed:
        for file in (decoder, encoder, data):
            packed.write(file, file.name)
    allowed = sum(file.stat().st_size for file in (decoder, encoder, data))
    with pytest.raises(Refusal) as caught:
        open_file(tmp_path / "p.zip", tmp_path / "s", max_unpacked_bytes=allowed)
    assert caught.value.problem.code == "model_too_complex"
    assert "encoder.onnx" in caught.value.problem.detail


def test_what_an_earlier_job_wrote_into_a_graph_does_not_come_back(tmp_path: Path) -> None:
    models = nets.pair()
    helper.set_model_props(models["encoder.onnx"], {"winnow.version": "0", "task": "encode"})
    path, package = package_of(nets.zipped(tmp_path / "p.zip", models), tmp_path / "s")
    (encoder,) = (graph for graph in package.graphs if graph.name == "encoder")
    part = split(onnx.load(str(path)), encoder)
    assert [(entry.key, entry.value) for entry in part.metadata_props] == [("task", "encode")]


def test_weights_in_branches_are_one_with_those_of_other_graphs_and_stored_once(tmp_path: Path) -> None:
    models = {**nets.pair(), "merged.onnx": nets.choosing()}
    path, package = package_of(nets.zipped(tmp_path / "p.zip", models), tmp_path / "s")
    assert package.shared_bytes == 3 * nets.SHARED.nbytes
    whole = onnx.load(str(path))
    assert sorted(tensor.name for tensor in whole.graph.initializer) == ["decoder:tied", "decoder:w"]
    write_package(path, package, tmp_path / "out", tmp_path / "out.zip")
    files = nets.unpacked(tmp_path / "out.zip", tmp_path / "there")
    assert files["shared.weights"].stat().st_size == nets.SHARED.nbytes
    for flag in (True, False):
        fed = {**feeds(), "flag": np.array([flag])}
        (before,), (after,) = run(models["merged.onnx"], fed), run(files["merged.onnx"], fed)
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("step", [{"kind": "int8_dynamic"}, {"kind": "weight_only", "bits": 8}])
def test_weights_in_branches_are_quantized_as_the_one_that_they_are(
    step: dict[str, object], tmp_path: Path
) -> None:
    models = {**nets.pair(), "merged.onnx": nets.choosing()}
    source = nets.zipped(tmp_path / "p.zip", models)
    report = compress(source, Recipe.model_validate({"steps": [step]}), Data(), tmp_path / "out")
    files = nets.unpacked(tmp_path / "out" / "artifact.onnx", tmp_path / "there")
    assert report.package is not None
    assert report.package.shared_bytes.before == 3 * nets.SHARED.nbytes
    assert report.steps[0].changed == report.steps[0].candidates
    assert nets.SHARED.size <= files["shared.weights"].stat().st_size < 1.5 * nets.SHARED.size
    for flag in (True, False):
        fed = {**feeds(), "flag": np.array([flag])}
        assert largest_difference(run(models["merged.onnx"], fed), run(files["merged.onnx"], fed)) < 0.1


def test_a_weight_of_many_graphs_is_written_once_and_one_of_a_single_graph_stays_in_it(
    tmp_path: Path,
) -> None:
    models = {f"g{number}.onnx": nets.encoder() for number in range(3)} | {
        "own.onnx": nets.encoder(2 * nets.SHARED)
    }
    path, package = package_of(nets.zipped(tmp_path / "p.zip", models), tmp_path / "s")
    written = write_package(path, package, tmp_path / "out", tmp_path / "out.zip")
    assert written.shared_bytes == nets.SHARED.nbytes
    own = onnx.load(str(tmp_path / "out" / "own.onnx"), load_external_data=False).graph.initializer[0]
    assert (own.raw_data, len(own.external_data)) == ((2 * nets.SHARED).tobytes(), 0)
    for name, model in models.items():
        np.testing.assert_array_equal(run(tmp_path / "out" / name, feeds())[0], run(model, feeds())[0])
