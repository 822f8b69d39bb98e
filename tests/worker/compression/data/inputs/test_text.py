"""Texts with their tokenizer become numbers of tokens."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models

from tests.support.refusals import refusal
from tests.support.tokenizer import archive, lines, tokenizer
from winnow.contract.dataset import DatasetFacts
from winnow.contract.declaration import Declaration, TextInput
from winnow.contract.model import TensorSpec
from worker.compression.data.inputs.padding import Width
from worker.compression.data.inputs.text import TextReader
from worker.compression.data.inputs.text_encoder import Encoder
from worker.compression.data.inspection.inspect import inspect_dataset
from worker.compression.data.open import open_samples
from worker.compression.data.samples import Samples
from worker.compression.data.source import Source

ROWS = [{"s": "a", "t": "b b b", "y": 0}, {"s": "a b a", "t": "b", "y": 1}, {"s": "x", "t": "a a", "y": 2}]


def spec(name: str, length: int | str = "L", batch: int | str = "N") -> TensorSpec:
    return TensorSpec(name=name, dtype="int64", shape=[batch, length])


def opened(
    folder: Path,
    how: dict[str, Any],
    inputs: list[TensorSpec] | None = None,
    rows: list[dict[str, Any]] = ROWS,
    **options: Any,
) -> Samples:
    path = archive(
        folder / "data.zip", {"d.jsonl": lines(rows), "tokenizer.json": options.pop("file", tokenizer())}
    )
    declared = {
        "inputs": {"input_ids": {"from": "text", "columns": ["s"], **how}},
        "targets": {"from": "column", "column": "y"},
        **options.pop("declaration", {}),
    }
    source = Source(path, Declaration.model_validate(declared), **options)
    return open_samples(source, inputs or [spec("input_ids"), spec("attention_mask")], folder / "scratch")


def test_tokens_are_the_tokenizers_padded_to_the_longest_of_a_batch(tmp_path: Path) -> None:
    (feed,) = opened(
        tmp_path, {}, [spec("input_ids"), spec("attention_mask"), spec("token_type_ids")]
    ).batches(3)
    assert feed["input_ids"].tolist() == [[2, 4, 3, 0, 0], [2, 4, 5, 4, 3], [2, 1, 3, 0, 0]]
    assert feed["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1] * 5, [1, 1, 1, 0, 0]]
    assert feed["token_type_ids"].tolist() == [[0] * 5] * 3
    assert feed["input_ids"].dtype == np.int64


@pytest.mark.parametrize(
    ("model", "unknown"),
    [
        (models.WordLevel({"a": 0, "?": 1}, "?"), 1),
        (models.WordPiece({"a": 0, "b": 1, "[UNK]": 2}, unk_token="[UNK]"), 2),
        (models.Unigram([("a", 0.0), ("<unk>", -1.0)], 1, False), 1),
        (models.Unigram([("a", 0.0)], None, False), None),
        (models.BPE({"a": 0, "b": 1}, []), None),
        (models.WordLevel({"a": 0}, "[UNK]"), None),
    ],
    ids=["words", "pieces", "unigrams", "unigrams without", "bytes", "not in the vocabulary"],
)
def test_the_unknown_token_is_the_tokenizers(model: Any, unknown: int | None) -> None:
    encoder = Encoder(
        Tokenizer(model), [], TextInput(source="text", columns=["s"]), None, None, 0, at_end=True
    )
    reader = TextReader(encoder, "input_ids", Width(), None)
    assert reader.unknown == unknown
    assert replace(reader, part="attention_mask").unknown is None


def test_padding_is_on_the_side_that_the_tokenizer_says(tmp_path: Path) -> None:
    (feed,) = opened(tmp_path, {}, file=tokenizer(left=True)).batches(3)
    assert feed["input_ids"].tolist()[0] == [0, 0, 2, 4, 3]
    assert feed["attention_mask"].tolist()[0] == [0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("how", "length", "width"),
    [
        ({"pad_to": "max_length", "max_length": 7}, "L", 7),
        ({"pad_to": 4}, "L", 8),
        ({}, 9, 9),
        ({"max_length": 4}, "L", 4),
        ({}, 4, 4),
    ],
)
def test_lengths_are_as_declared_or_as_the_model_fixes(
    how: dict[str, Any], length: int | str, width: int, tmp_path: Path
) -> None:
    inputs = [spec("input_ids", length), spec("attention_mask", length)]
    for feed in opened(tmp_path, how, inputs).batches(3):
        assert feed["input_ids"].shape == feed["attention_mask"].shape == (3, width)


def test_a_pair_together_is_one_sequence(tmp_path: Path) -> None:
    (feed,) = opened(tmp_path, {"columns": ["s", "t"]}, [spec("input_ids"), spec("token_type_ids")]).batches(
        3
    )
    assert feed["input_ids"].tolist()[0] == [2, 4, 3, 5, 5, 5, 3]
    assert feed["token_type_ids"].tolist()[0] == [0, 0, 0, 1, 1, 1, 1]


def test_a_pair_apart_is_two_rows_of_one_sample(tmp_path: Path) -> None:
    samples = opened(tmp_path, {"columns": ["s", "t"], "pair": "apart"})
    assert len(samples) == 3
    assert samples.rows_per_sample == 2
    sizes = [(len(feed["input_ids"]), count) for feed, count in samples.counted_batches(2)]
    assert sizes == [(4, 2), (2, 1)]
    (feed,) = samples.batches(8)
    assert feed["input_ids"].tolist()[2:4] == [[2, 4, 5, 4, 3], [2, 5, 3, 0, 0]]
    assert samples.labels is not None
    assert samples.labels.tolist() == [0, 1, 2]
    assert samples.shapes == {"input_ids": [1, 5], "attention_mask": [1, 5]}


def test_slices_and_draws_keep_pairs_and_labels_together(tmp_path: Path) -> None:
    samples = opened(tmp_path, {"columns": ["s", "t"], "pair": "apart"}, slice=(1, 3))
    assert samples.labels is not None
    assert samples.labels.tolist() == [1, 2]
    drawn = samples.draw(1, seed=0)
    (feed,) = drawn.batches(8)
    assert drawn.labels is not None
    (label,) = drawn.labels
    whole = opened(tmp_path, {"columns": ["s", "t"], "pair": "apart"})
    (every,) = whole.batches(8)
    width = feed["input_ids"].shape[1]
    assert feed["input_ids"].tolist() == every["input_ids"][2 * label : 2 * label + 2, :width].tolist()


def test_without_padding_both_of_a_pair_are_samples_fed_by_true_length(tmp_path: Path) -> None:
    samples = opened(tmp_path, {"columns": ["s", "t"], "pair": "apart", "pad_to": 16}).unpadded()
    assert len(samples) == 6
    assert samples.labels is None
    feeds = list(samples.batches(8))
    assert [feed["input_ids"].shape for feed in feeds] == [(3, 3), (1, 4), (2, 5)]
    assert all((feed["attention_mask"] == 1).all() for feed in feeds)


def test_a_fixed_batch_of_pairs_has_half_as_many_samples(tmp_path: Path) -> None:
    how = {"columns": ["s", "t"], "pair": "apart"}
    samples = opened(tmp_path, how, [spec("input_ids", batch=4)])
    assert [feed["input_ids"].shape for feed in samples.batches(32)] == [(4, 5)]
    problem = refusal(lambda: opened(tmp_path, how, [spec("input_ids", batch=3)]))
    assert problem is not None
    assert "open" in problem.detail


def test_a_text_too_long_is_refused_by_row_before_anything_is_read(tmp_path: Path) -> None:
    problem = refusal(lambda: opened(tmp_path, {"max_length": 4, "truncate": False}))
    assert problem is not None
    assert problem.code == "invalid_dataset"
    assert "row 1: 's' has 5 tokens, and 4 are taken" in problem.detail
    problem = refusal(lambda: opened(tmp_path, {"truncate": False}, [spec("input_ids", 4)]))
    assert problem is not None
    assert "row 1: 's' has 5 tokens, and 4 are taken" in problem.detail


@pytest.mark.parametrize(("pair", "tokens"), [("together", 7), ("apart", 5)])
def test_of_two_texts_what_is_one_sequence_counts(pair: str, tokens: int, tmp_path: Path) -> None:
    how = {"columns": ["s", "t"], "pair": pair, "max_length": tokens, "truncate": False}
    assert len(opened(tmp_path, how)) == 3
    problem = refusal(lambda: opened(tmp_path, how | {"max_length": tokens - 1}))
    assert problem is not None
    assert f"has {tokens} tokens" in problem.detail


def test_inspection_refuses_texts_that_are_too_long_or_leaves_them_out(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "data.zip",
        {"d.jsonl": lines([{"s": None}, *ROWS]), "tokenizer.json": tokenizer()},
    )

    def inspected(skip_bad: float) -> DatasetFacts:
        how = {"from": "text", "columns": ["s"], "max_length": 4, "truncate": False}
        declaration = Declaration.model_validate({"inputs": {"input_ids": how}, "skip_bad": skip_bad})
        return inspect_dataset(path, declaration, tmp_path / "scratch", max_unpacked_bytes=2**30)

    problem = refusal(lambda: inspected(0.25))
    assert problem is not None
    assert "2 of 4 rows" in problem.detail
    assert "row 2: 's' has 5 tokens, and 4 are taken" in problem.detail
    facts = inspected(0.5)
    assert (facts.samples, facts.skipped) == (2, 2)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[" * 100_000, b"\xff\xfe", b"null", b'{"model": {"type": "WordLevel"}}']
)
def test_a_tokenizer_that_is_none_is_refused(content: bytes, tmp_path: Path) -> None:
    problem = refusal(lambda: opened(tmp_path, {}, file=content))
    assert problem is not None
    assert problem.code == "invalid_dataset"
    assert "tokenizer.json" in problem.detail


def test_a_tokenizer_that_makes_its_library_panic_is_refused(tmp_path: Path) -> None:
    """Its template names a token that it does not have: the library raises what is no `Exception`."""
    content = json.loads(tokenizer())
    tokens = content["post_processor"]["special_tokens"]
    tokens["[CLX]"] = tokens.pop("[CLS]")
    problem = refusal(lambda: list(opened(tmp_path, {}, file=json.dumps(content).encode()).batches(3)))
    assert problem is not None
    assert problem.code == "invalid_dataset"


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"max_length": 2}, "no room"),
        ({"columns": ["y"]}, "'s', 't'"),
        ({"pad_to": "max_length"}, "max_length"),
    ],
)
def test_what_cannot_be_declared_is_named(how: dict[str, Any], says: str, tmp_path: Path) -> None:
    problem = refusal(lambda: opened(tmp_path, how))
    assert problem is not None
    assert problem.code == "invalid_declaration"
    assert says in problem.detail


def test_rows_without_a_text_are_skipped_as_far_as_declared(tmp_path: Path) -> None:
    rows = [*ROWS, {"s": None, "t": "a", "y": 3}]
    problem = refusal(lambda: opened(tmp_path, {}, rows=rows))
    assert problem is not None
    assert "row 3: 's' has no value" in problem.detail
    samples = opened(tmp_path, {}, rows=rows, declaration={"skip_bad": 0.25})
    assert samples.labels is not None
    assert samples.labels.tolist() == [0, 1, 2]


def test_tokens_of_another_vocabulary_are_refused_by_row(tmp_path: Path) -> None:
    samples = opened(tmp_path, {})
    path = tmp_path / "data.zip"
    declaration = Declaration.model_validate({"inputs": {"input_ids": {"from": "text", "columns": ["s"]}}})
    few = open_samples(
        Source(path, declaration), [spec("input_ids")], tmp_path / "scratch", entries={"input_ids": 5}
    )
    assert len(samples) == len(few)
    problem = refusal(lambda: list(few.batches(3)))
    assert problem is not None
    assert "row 1" in problem.detail
    assert "another vocabulary" in problem.detail


def test_inspection_tells_what_the_texts_become(tmp_path: Path) -> None:
    path = archive(tmp_path / "data.zip", {"d.jsonl": lines(ROWS), "tokenizer.json": tokenizer()})
    declaration = Declaration.model_validate(
        {
            "inputs": {"input_ids": {"from": "text", "columns": ["s"]}},
            "targets": {"from": "column", "column": "t"},
        }
    )
    facts = inspect_dataset(path, declaration, tmp_path / "scratch", max_unpacked_bytes=2**30)
    assert facts.samples == 3
    assert {name: (x.dtype, x.shape) for name, x in facts.inputs.items()} == {
        "input_ids": ("int64", [None]),
        "attention_mask": ("int64", [None]),
        "token_type_ids": ("int64", [None]),
    }
    assert facts.arrays["s"].dtype == "text"
    assert facts.classes == ["a a", "b", "b b b"]
    assert (facts.arrays["t"].dtype, facts.arrays["t"].max) == ("int64", 2)


def test_what_the_model_fixes_need_not_be_declared(tmp_path: Path) -> None:
    how = {"pad_to": "max_length"}
    path = archive(tmp_path / "data.zip", {"d.jsonl": lines(ROWS), "tokenizer.json": tokenizer()})
    declaration = Declaration.model_validate(
        {"inputs": {"input_ids": {"from": "text", "columns": ["s"], **how}}}
    )
    facts = inspect_dataset(path, declaration, tmp_path / "scratch", max_unpacked_bytes=2**30)
    assert facts.inputs["input_ids"].shape == [None]
    (feed,) = opened(tmp_path, how, [spec("input_ids", 6)]).batches(3)
    assert feed["input_ids"].shape == (3, 6)
