"""What an archive says of its pictures is read whichever way it says it, and what it says wrong is named."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.pictures import encoded, noise, tar_of, zip_of
from winnow.contract.errors import Refusal
from worker.compression.data.formats.opening import open_table
from worker.compression.data.inspection.column_facts import column_facts
from worker.compression.data.table import Boxes, Files, Table, Texts

CAP = 1 << 30
KEYS = (
    "id",
    "file_name",
    "name",
    "image_id",
    "category_id",
    "bbox",
    "objects",
    "categories",
    "label",
    "mask",
)
PICTURE = encoded(noise(8, 10))
"""10 wide, 8 high."""


def table(folder: Path, files: dict[str, bytes], pack: Any = zip_of) -> Table:
    return open_table(pack(folder / "a", files), folder / "scratch", max_unpacked_bytes=CAP)


def refused(folder: Path, files: dict[str, bytes]) -> tuple[str, str]:
    with pytest.raises(Refusal) as caught:
        table(folder, files)
    return caught.value.problem.code, caught.value.problem.detail


def names(read: Table) -> list[str]:
    column = read.columns["file"]
    assert isinstance(column, Texts)
    return column.texts(range(len(column)))


def boxes(read: Table) -> list[list[list[float]]]:
    column = read.columns["boxes"]
    assert isinstance(column, Boxes)
    return [column.rows[row].tolist() for row in range(len(column))]


@pytest.mark.parametrize("pack", [zip_of, tar_of])
@pytest.mark.parametrize("wrapping", ["", "pets/", "a/pets/", "train/"])
def test_a_folder_for_each_class_is_read_in_the_order_of_torchvisions_image_folder(
    pack: Any, wrapping: str, tmp_path: Path
) -> None:
    files = ["dog/2.jpg", "dog/10.jpg", "cat/b/1.png", "cat/a 1.png", "cat two/1.bmp", "cat/.hidden.png"]
    read = table(tmp_path, {wrapping + name: PICTURE for name in files} | {"__MACOSX/x.png": b""}, pack)
    expected = ["cat/a 1.png", "cat/b/1.png", "cat two/1.bmp", "dog/10.jpg", "dog/2.jpg"]
    assert names(read) == [wrapping + name for name in expected]
    assert read.classes == ["cat", "cat two", "dog"]
    assert read.arrays["label"].tolist() == [0, 0, 1, 2, 2]
    assert read.source == "folder"


def test_splits_are_a_column_and_no_classes(tmp_path: Path) -> None:
    files = [f"data/{split}/{name}/1.png" for split in ("train", "val") for name in ("a", "b")]
    read = table(tmp_path, dict.fromkeys(files, PICTURE))
    assert read.classes == ["a", "b"]
    split = read.columns["split"]
    assert isinstance(split, Texts)
    assert split.texts(range(4)) == ["train", "train", "val", "val"]


def test_pictures_without_folders_have_no_labels(tmp_path: Path) -> None:
    read = table(tmp_path, {"b.png": PICTURE, "a.png": PICTURE, "readme.txt": b"1 2"})
    assert names(read) == ["a.png", "b.png"]
    assert set(read.columns) == {"image", "file"}
    assert read.source is None


def test_a_csv_names_pictures_their_classes_and_what_else_it_has(tmp_path: Path) -> None:
    csv = b"filename,label,age,weight,note\nb.png,dog,3,1.5,x\na.png,cat,4,,y\nsub/c.png,dog,5,2,z\n"
    files = {"labels.csv": csv, "pics/a.png": PICTURE, "pics/b.png": PICTURE, "pics/sub/c.png": PICTURE}
    read = table(tmp_path, files)
    assert names(read) == ["pics/b.png", "pics/a.png", "pics/sub/c.png"]
    assert (read.classes, read.arrays["label"].tolist()) == (["cat", "dog"], [1, 0, 1])
    assert read.arrays["age"].tolist() == [3, 4, 5]
    np.testing.assert_array_equal(read.arrays["weight"], [1.5, np.nan, 2])
    assert read.source == "column"


def test_metadata_jsonl_names_pictures_from_its_own_folder_and_masks(tmp_path: Path) -> None:
    lines = [{"file_name": "0.png", "mask": "m/0.png", "text": "a", "more": {"bbox": []}}]
    files = {f"{split}/{name}": PICTURE for split in ("train", "test") for name in ("0.png", "m/0.png")}
    content = json.dumps(lines[0]).encode()
    read = table(tmp_path, files | {"train/metadata.jsonl": content, "test/metadata.jsonl": content})
    assert names(read) == ["test/0.png", "train/0.png"]
    mask = read.columns["mask"]
    assert isinstance(mask, Files)
    assert [mask.place(row) for row in range(2)] == ["test/m/0.png", "train/m/0.png"]
    assert any("more" in note for note in read.notes)


def test_a_table_of_ids_finds_pictures_without_their_endings(tmp_path: Path) -> None:
    read = table(
        tmp_path, {"labels.csv": b"id,breed\nff,pug\naa,boxer\n", "t/aa.jpg": PICTURE, "t/ff.jpg": PICTURE}
    )
    assert names(read) == ["t/ff.jpg", "t/aa.jpg"]
    assert (read.classes, read.arrays["label"].tolist()) == (["boxer", "pug"], [1, 0])


def test_metadata_jsonl_has_objects_as_hugging_face_writes_them(tmp_path: Path) -> None:
    rows: list[Any] = [
        {"file_name": "a.png", "objects": {"bbox": [[1, 2, 3, 4.5], [0, 0, 10, 8]], "categories": [5, 0]}},
        {"file_name": "b.png", "objects": {"bbox": [], "categories": []}},
    ]
    bad = [{"bbox": [[0, 0, 1, 1]], "categories": []}, {"bbox": [[0, 0, 1]], "categories": [0]}, 3]
    bad += [{"bbox": [[0, 0, 1, 1]], "categories": [-1]}, {"bbox": [[0, 0, -1, 1]], "categories": [0]}]
    rows += [{"file_name": "a.png", "objects": objects} for objects in bad]
    files = {"metadata.jsonl": "\n".join(map(json.dumps, rows)).encode(), "a.png": PICTURE, "b.png": PICTURE}
    read = table(tmp_path, files)
    assert boxes(read) == [[[5, 1, 2, 4, 6.5], [0, 0, 0, 10, 8]], []]
    assert (read.source, read.skipped) == ("coco", 5)
    assert read.faults[0].startswith("metadata.jsonl row 2: ")


def test_the_column_of_pictures_may_be_called_anything(tmp_path: Path) -> None:
    csv = b"id,picture name,label\n7,b,x\n8,a.png,y\n"
    read = table(tmp_path, {"labels.csv": csv, "a.png": PICTURE, "b.png": PICTURE})
    assert names(read) == ["b.png", "a.png"]
    assert read.arrays["id"].tolist() == [7, 8]
    assert table(tmp_path, {"notes.csv": b"when,what\n1,2\n", "a.png": PICTURE}).source is None


def test_a_row_without_a_picture_is_a_fault_with_file_and_row(tmp_path: Path) -> None:
    read = table(tmp_path, {"labels.csv": b"file,label\nno.png,1\na.png,2\n", "a.png": PICTURE})
    assert (len(read.columns["image"]), read.skipped) == (1, 1)
    assert read.faults == ["labels.csv row 0: 'no.png' is not in the archive, or not once"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"file,label\na.png,1,2\n", "row 0: it has 3 columns"),
        (b"file,file\na.png,1\n", "twice"),
        (b"file,label\n\xff", "UTF-8"),
    ],
)
def test_a_csv_that_is_none_is_refused_with_its_row(content: bytes, says: str, tmp_path: Path) -> None:
    code, detail = refused(tmp_path, {"labels.csv": content, "a.png": PICTURE})
    assert code == "invalid_dataset"
    assert says in detail


def coco(**changes: Any) -> dict[str, Any]:
    return {
        "images": [
            {"id": 7, "file_name": "b.png", "width": 10, "height": 8},
            {"id": 9, "file_name": "a.png"},
            {"id": 11, "file_name": "c.png"},
        ],
        "annotations": [
            {"image_id": 7, "category_id": 90, "bbox": [1, 2, 3, 4.5], "segmentation": [[0] * 9]},
            {"image_id": 7, "category_id": 3, "bbox": [0, 0, 10, 8]},
            {"image_id": 9, "category_id": 3, "bbox": [5, 5, 1, 1], "iscrowd": 1},
        ],
        "categories": [{"id": 90, "name": "toothbrush"}, {"id": 3, "name": "car"}],
    } | changes


def of_coco(folder: Path, value: Any, name: str = "annotations/instances_val.json") -> Table:
    pictures = {f"val/{picture}.png": PICTURE for picture in "abcd"}
    return table(folder, pictures | {name: json.dumps(value).encode()})


def test_coco_has_classes_in_the_order_of_ids_and_boxes_by_their_corners(tmp_path: Path) -> None:
    read = of_coco(tmp_path, coco())
    assert names(read) == ["val/a.png", "val/b.png", "val/c.png"]
    assert read.classes == ["car", "toothbrush"]
    assert boxes(read) == [[], [[1, 1, 2, 4, 6.5], [0, 0, 0, 10, 8]], []]
    assert (read.source, read.skipped) == ("coco", 0)
    assert read.notes == ["1 pictures are in no COCO file and left out."]


def test_a_coco_file_in_each_split_names_the_pictures_beside_it(tmp_path: Path) -> None:
    """Roboflow's layout: the same names and ids in every split."""
    files = {f"{split}/a.png": PICTURE for split in ("train", "valid")}
    for split, category in (("train", 3), ("valid", 90)):
        annotations = [{"image_id": 0, "category_id": category, "bbox": [0, 0, 1, 1]}]
        value = coco(images=[{"id": 0, "file_name": "a.png"}], annotations=annotations)
        files[f"{split}/_annotations.coco.json"] = json.dumps(value).encode()
    read = table(tmp_path, files)
    assert names(read) == ["train/a.png", "valid/a.png"]
    assert boxes(read) == [[[0, 0, 0, 1, 1]], [[1, 0, 0, 1, 1]]]


def test_voc_files_beside_their_pictures_are_of_these(tmp_path: Path) -> None:
    files = {f"{split}/a.png": PICTURE for split in ("train", "valid")}
    files |= {
        f"{split}/a.xml": voc(voc_object(split, 1, 1, 2, 2), filename="a.png") for split in ("train", "valid")
    }
    read = table(tmp_path, files)
    assert (names(read), read.classes) == (["train/a.png", "valid/a.png"], ["train", "valid"])
    assert [row[0][0] for row in boxes(read)] == [0, 1]


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        ({"image_id": 8, "category_id": 3, "bbox": [0, 0, 1, 1]}, "image_id '8' is of no picture"),
        ({"image_id": 7, "category_id": 4, "bbox": [0, 0, 1, 1]}, "category_id '4'"),
        ({"image_id": 7, "category_id": 3, "bbox": [0, 0, 1]}, "four numbers"),
        ({"image_id": 7, "category_id": 3, "bbox": [0, 0, -1, 1]}, "right or lower side"),
        ({"image_id": 7, "category_id": 3, "bbox": [0, 0, None, 1]}, "bbox"),
        ({"image_id": 7, "category_id": 3, "bbox": [0, 0, float("nan"), 1]}, "numbers"),
        ({"image_id": 7, "category_id": 3}, "four numbers"),
        (5, "image_id"),
    ],
)
def test_a_coco_annotation_that_fits_nothing_is_named(annotation: Any, says: str, tmp_path: Path) -> None:
    read = of_coco(tmp_path, coco(annotations=[annotation]))
    assert read.skipped == 1
    assert "annotations/instances_val.json annotation 0" in read.faults[0]
    assert says in read.faults[0]


def test_a_coco_image_that_is_not_there_is_named(tmp_path: Path) -> None:
    read = of_coco(tmp_path, coco(images=[{"id": 1, "file_name": "no.png"}], annotations=[]))
    assert read.faults == [
        "annotations/instances_val.json image 0: its file_name 'no.png' is not in the archive, or not once"
    ]


@pytest.mark.parametrize("text", [b"{", b'{"images":' + b"[" * 100_000, b"\xff"])
def test_json_that_is_none_is_refused(text: bytes, tmp_path: Path) -> None:
    code, detail = refused(tmp_path, {"a.png": PICTURE, "instances.json": text})
    assert code == "invalid_dataset"
    assert "instances.json" in detail


@pytest.mark.parametrize("categories", [[{"id": 1}], [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}], [3]])
def test_categories_without_a_name_are_refused(categories: Any, tmp_path: Path) -> None:
    text = json.dumps(coco(categories=categories)).encode()
    assert "category" in refused(tmp_path, {"a.png": PICTURE, "instances.json": text})[1]


def test_json_of_another_kind_is_no_coco(tmp_path: Path) -> None:
    assert table(tmp_path, {"a.png": PICTURE, "settings.json": b'{"images": 3}'}).source is None


YOLO = {
    "data.yaml": b"names: {0: cat, 1: dog}\n",
    "images/train/a.png": PICTURE,
    "images/train/b.png": PICTURE,
    "labels/train/a.txt": b"1 0.5 0.5 0.2 0.5\n\n0 0 0 0.5 0 0.5 0.5\n",
}


def test_yolo_texts_are_boxes_in_pixels_and_a_picture_without_one_has_none(tmp_path: Path) -> None:
    read = table(tmp_path, YOLO)
    assert read.classes == ["cat", "dog"]
    assert boxes(read) == [[[1, 4, 2, 6, 6], [0, 0, 0, 5, 4]], []]
    assert read.source == "yolo"


@pytest.mark.parametrize(
    ("file", "content", "classes"),
    [
        ("data.yaml", b"names: [a, b]", ["a", "b"]),
        ("sub/classes.txt", b"a\nb c\n", ["a", "b c"]),
        ("obj.names", b"a\n\nb\n", ["a", "b"]),
        ("other.yaml", b"[1, 2]", None),
    ],
)
def test_yolo_has_its_names_from_these_files(
    file: str, content: bytes, classes: list[str] | None, tmp_path: Path
) -> None:
    assert table(tmp_path, {"a.png": PICTURE, "a.txt": b"0 0.5 0.5 1 1", file: content}).classes == classes


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"2 0.5 0.5 1 1", "class 2 has no name"),
        (b"-1 0.5 0.5 1 1", "class -1 has no name"),
        (b"0 0.5 0.5 1", "no line of class"),
        (b"0 5 5 100 100", "not in parts"),
        (b"0 0.5 0.5 nan 1", ""),
        (b"0 0.5 0.5 -1 1", "side"),
        (b"cat 0.5 0.5 1 1", "cat"),
    ],
)
def test_a_line_of_yolo_that_is_none_is_named(line: bytes, says: str, tmp_path: Path) -> None:
    read = table(tmp_path, YOLO | {"labels/train/b.txt": b"0 0.5 0.5 1 1\n" + line})
    assert (names(read), read.skipped) == (["images/train/a.png"], 1)
    assert read.faults[0].startswith("labels/train/b.txt line 2")
    assert says in read.faults[0]


@pytest.mark.parametrize(
    "text", [b"names: {0: a, 2: b}", b"names: [", b"!!python/object/apply:os.system ['x']"]
)
def test_yaml_that_is_none_or_would_run_is_refused(text: bytes, tmp_path: Path) -> None:
    assert refused(tmp_path, YOLO | {"data.yaml": text})[0] == "invalid_dataset"


def voc(*objects: str, filename: str = "1.jpg") -> bytes:
    return f"<annotation><filename>{filename}</filename>{''.join(objects)}</annotation>".encode()


def voc_object(name: str, *corners: object) -> str:
    inner = "".join(
        f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=False)
    )
    return f"<object><name>{name}</name><bndbox>{inner}</bndbox></object>"


def test_voc_counts_pixels_from_one_and_classes_by_name(tmp_path: Path) -> None:
    files = {
        "VOC/JPEGImages/1.jpg": PICTURE,
        "VOC/JPEGImages/2.jpg": PICTURE,
        "VOC/JPEGImages/3.jpg": PICTURE,
        "VOC/Annotations/1.xml": voc(voc_object("dog", 1, 1, 10, 8), voc_object("cat", 2, 3, 4, 5)),
        "VOC/Annotations/2.xml": voc(),
    }
    read = table(tmp_path, files)
    assert names(read) == ["VOC/JPEGImages/1.jpg", "VOC/JPEGImages/2.jpg"]
    assert (read.classes, read.source) == (["cat", "dog"], "voc")
    assert boxes(read) == [[[1, 0, 0, 10, 8], [0, 1, 2, 4, 5]], []]
    assert read.notes == ["1 pictures have no XML file and are left out."]


ENTITIES = b'<!DOCTYPE a [<!ENTITY x "lol">]><annotation>&x;</annotation>'
REMOTE = b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>'


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (ENTITIES, "document type"),
        (REMOTE, "document type"),
        (b"<annotation>&lol;</annotation>", "no valid XML"),
        (b"<a>" * 100, "too deep"),
        (b"", "no valid XML"),
        (b"<other/>", "'other'"),
        (voc(filename="no.jpg"), "'no.jpg' is not in the archive"),
        (voc(voc_object("dog", 1, 2, 3), filename="1.jpg"), "no bndbox"),
        (voc(voc_object("dog", 5, 2, 3, 4), filename="1.jpg"), "right or lower"),
        (voc(voc_object("dog", "x", 2, 3, 4), filename="1.jpg"), "dog"),
    ],
)
def test_xml_that_is_none_or_says_nothing_is_named(content: bytes, says: str, tmp_path: Path) -> None:
    read = table(tmp_path, {"1.jpg": PICTURE, "Annotations/x.xml": content})
    assert read.skipped == 1
    assert read.faults[0].startswith("Annotations/x.xml")
    assert says in read.faults[0]


@pytest.mark.parametrize(
    ("image", "mask"),
    [("images/a.jpg", "masks/a.png"), ("a.jpg", "masks/a.png"), ("s/img/a.png", "s/labels/a.png")],
)
def test_masks_are_the_pngs_of_the_same_names_beside(image: str, mask: str, tmp_path: Path) -> None:
    read = table(tmp_path, {image: PICTURE, mask: PICTURE, image.replace("a.", "b."): PICTURE})
    column = read.columns["mask"]
    assert isinstance(column, Files)
    assert (names(read), column.place(0), read.source) == ([image], mask, "masks")
    assert read.notes == ["1 pictures have no mask and are left out."]


def test_a_class_that_is_called_mask_is_no_folder_of_masks(tmp_path: Path) -> None:
    read = table(tmp_path, {f"{name}/1.png": PICTURE for name in ("mask", "no_mask")})
    assert (read.source, read.classes) == ("folder", ["mask", "no_mask"])


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=3)
    | st.just("a.png"),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from([*KEYS, "x"]), inner, max_size=4)
        | st.fixed_dictionaries(
            dict.fromkeys(("images", "annotations", "categories"), st.lists(inner, max_size=3))
        )
    ),
    max_leaves=20,
)
LINES = st.lists(
    st.sampled_from(["0", "1", "0.5", "nan", "-1", "1e400", "\n", "a", "names:", "[", "}", "- x", "&a"])
)


@settings(max_examples=100, deadline=None)
@given(
    value=JSON,
    words=LINES.map(lambda words: " ".join(words).encode()),
    junk=st.binary(max_size=60),
    name=st.sampled_from([
        "metadata.jsonl", "labels.csv", "instances.json", "a.xml", "a.txt", "data.yaml", "classes.txt", "masks/a.png"
    ]),
    kind=st.sampled_from(["json", "words", "junk"]),
)  # fmt: skip
def test_junk_is_a_table_or_refused_and_never_an_accident(
    value: Any, words: bytes, junk: bytes, name: str, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("junk")
    content = {"json": json.dumps(value).encode(), "words": words, "junk": junk}[kind]
    try:
        read = table(folder, {"a.png": PICTURE, "a.txt": b"0 0.5 0.5 1 1", name: content})
    except Refusal as refusal:
        refusal.problem.model_dump_json().encode()
        return
    facts = column_facts(read)
    assert all(fact.model_dump_json() for fact in facts.values())
    json.dumps([read.classes, read.faults, read.notes], ensure_ascii=False).encode()


@pytest.mark.parametrize("name", ["\0", "x" * 1001, "\ud800"])
def test_names_that_no_database_keeps_are_refused(name: str, tmp_path: Path) -> None:
    value = coco(categories=[{"id": 90, "name": name}, {"id": 3, "name": "car"}])
    assert (
        refused(tmp_path, {"b.png": PICTURE, "instances.json": json.dumps(value).encode()})[0]
        == "invalid_dataset"
    )
    row = json.dumps({"file_name": "b.png", name: 1}).encode()
    assert refused(tmp_path, {"b.png": PICTURE, "metadata.jsonl": row})[0] == "invalid_dataset"


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "a/../../b.png", "a\\b.png", "C:/a.png"])
def test_names_that_lead_out_of_the_archive_are_refused(name: str, tmp_path: Path) -> None:
    assert refused(tmp_path, {name: PICTURE})[0] == "unsafe_archive"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        archive.writestr("a.png", PICTURE)
        archive.writestr("a.png", PICTURE[:-1])
    with pytest.raises(Refusal) as caught:
        open_table(tmp_path / "a", tmp_path / "scratch", max_unpacked_bytes=CAP)
    assert caught.value.problem.code == "unsafe_archive"


def test_what_unpacks_to_more_than_allowed_is_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a", {"a.bmp": bytes(5_000_000)}, 8)
    with pytest.raises(Refusal) as caught:
        open_table(path, tmp_path / "scratch", max_unpacked_bytes=CAP)
    assert caught.value.problem.code == "unsafe_archive"
