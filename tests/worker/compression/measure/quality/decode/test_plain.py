"""Scores, masks, vectors and symbols: what becomes of outputs that are no boxes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from winnow.contract.decoding import Decode
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Task
from worker.compression.measure.quality.decode.decoder import decoder_for

Array = np.ndarray[Any, Any]
ADAPTER: TypeAdapter[Decode] = TypeAdapter(Decode)


def decoded(
    output: Array,
    task: Task,
    kind: str | None,
    rows: int,
    feed: Any = None,
    first: Array | None = None,
    **values: Any,
) -> Any:
    """`first`: the outputs of the first batch, by which what the settings leave open is decided."""
    settings = None if kind is None else ADAPTER.validate_python({"kind": kind, **values})
    decoder = decoder_for(task, settings, {"y": output if first is None else first}, "y")
    return decoder([output], feed or {}, rows)


def test_pairs_are_two_rows_one_behind_the_other() -> None:
    hidden = np.random.default_rng(0).normal(size=(6, 4, 8))
    mask = np.array([[1, 1, 0, 0]] * 5 + [[1, 1, 1, 1]])
    pairs = decoded(hidden, "embedding", "pooled", 3, {"attention_mask": mask})
    assert pairs.shape == (3, 2, 8)
    expected = hidden[1, :2].mean(axis=0)
    np.testing.assert_allclose(pairs[0, 1], expected / np.linalg.norm(expected))
    np.testing.assert_allclose(np.linalg.norm(pairs, axis=2), 1)
    single = decoded(hidden, "embedding", "pooled", 6, pooling="first", normalize=False)
    np.testing.assert_array_equal(single, hidden[:, 0])


def test_a_mask_of_another_shape_or_name_is_refused() -> None:
    hidden = np.zeros((2, 4, 8))
    with pytest.raises(Refusal, match="no input 'mask'"):
        decoded(hidden, "embedding", "pooled", 2, mask="mask")
    with pytest.raises(Refusal, match="the output"):
        decoded(hidden, "embedding", "pooled", 2, {"attention_mask": np.ones((2, 5))})


def test_probabilities_stay_and_logits_become_some_by_the_first_batch() -> None:
    shares = np.array([[0.2, 0.7], [0.9, 0.1]])
    np.testing.assert_array_equal(decoded(shares, "multilabel", "sigmoid", 2), shares)
    np.testing.assert_allclose(decoded(np.array([[0.0, 30.0]]), "multilabel", "sigmoid", 1), [[0.5, 1.0]])
    again = decoded(shares, "multilabel", "sigmoid", 2, first=np.array([[-3.0, 4.0]]))
    np.testing.assert_allclose(again, 1 / (1 + np.exp(-shares)))


def test_masks_of_two_classes_and_classes_in_front_or_behind() -> None:
    logits = np.random.default_rng(0).normal(size=(2, 1, 3, 3))
    np.testing.assert_array_equal(decoded(logits, "segmentation", "sigmoid", 2), logits[:, 0] >= 0)
    scores = np.random.default_rng(0).normal(size=(2, 4, 3, 5))
    np.testing.assert_array_equal(decoded(scores, "segmentation", "argmax", 2), np.moveaxis(scores, 1, -1))
    np.testing.assert_array_equal(decoded(scores, "segmentation", "argmax", 2, axis=-1), scores)
    answered = np.arange(18).reshape(2, 1, 3, 3) % 4
    np.testing.assert_array_equal(decoded(answered, "segmentation", "argmax", 2), answered[:, 0])
    with pytest.raises(Refusal, match="axis 0"):
        decoded(scores, "segmentation", "argmax", 2, axis=0)


def test_scores_of_anomalies_and_what_a_reconstruction_is_off_by() -> None:
    np.testing.assert_array_equal(decoded(np.array([[1.0], [3.0]]), "anomaly", None, 2), [1, 3])
    np.testing.assert_array_equal(decoded(np.array([[1.0, 5.0], [3.0, 2.0]]), "anomaly", None, 2), [5, 2])
    pictures = np.zeros((2, 1, 4, 4))
    np.testing.assert_allclose(decoded(pictures + 0.5, "anomaly", None, 2, {"x": pictures}), [0.25, 0.25])


symbols = st.lists(st.integers(1, 4), max_size=8)


@given(symbols, st.integers(0, 2**16))
def test_ctc_gives_back_what_was_spelled_with_blanks_and_repeats(word: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    path = [0]
    for symbol in word:
        path += [0] * int(rng.integers(0, 3)) or [0] * (path[-1] == symbol)
        path += [symbol] * int(rng.integers(1, 4))
    scores = np.eye(5)[path][None] + rng.random((1, len(path), 5)) * 0.5
    (result,) = decoded(scores, "sequence", "ctc", 1)
    assert list(result) == word
    turned = np.roll(scores, -1, axis=2)
    (last,) = decoded(turned, "sequence", "ctc", 1, blank=-1, alphabet=list("abcd-"))
    assert "".join(last) == "".join("abcd"[symbol - 1] for symbol in word)
