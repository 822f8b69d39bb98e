"""For ids that the data has nothing changes, others are taken for the fallback, and heads keep their places."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tests.support.lookup_nets import IDS, PLACES, WIDTH, Head, bert, language_model
from tests.support.small_nets import model, ops, run, samples
from tests.support.tokenizer import VOCABULARY, archive, lines, tokenizer
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from winnow.contract.recipe import Recipe, VocabularyPruning
from worker.compression.apply import apply, check
from worker.compression.data.open import open_samples
from worker.compression.data.source import Source
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.graph.tables.places import counts_places
from worker.compression.progress import Silent
from worker.compression.steps.context import Context, StepResult
from worker.compression.vocabulary_pruning.vocabulary_pruning import vocabulary_pruning

SEEN = np.array([[3, 9, 9, 41], [5, 3, 59, 7]])
HAS = np.unique(SEEN)
LOWEST = np.finfo(np.float32).min
ROUNDING = 1e-6
"""Of logits: a product of another width may add in another order."""


def asked(**settings: Any) -> VocabularyPruning:
    step: VocabularyPruning = TypeAdapter(VocabularyPruning).validate_python(
        {"kind": "vocabulary_pruning", **settings}
    )
    return step


def done(net: ir.Model, folder: Path, data: dict[str, Any] | None = None, **settings: Any) -> StepResult:
    (scratch := folder / "step").mkdir(exist_ok=True)
    rows = samples(folder / "data", net, **({"ids": SEEN} if data is None else data))
    return vocabulary_pruning(net, asked(**settings), Context(scratch, 0, Silent(), seen=lambda _: [rows]))


def bert_data(ids: Any = SEEN) -> dict[str, Any]:
    n, length = ids.shape
    return {
        "input_ids": ids,
        "position_ids": np.tile(np.arange(length), (n, 1)),
        "kind_ids": np.tile([0] * (length - 2) + [1, 1], (n, 1)),
    }


def rows_of(net: ir.Model, name: str = "words") -> int:
    stored = net.graph.initializers[name].const_value
    assert stored is not None
    return int(stored.shape[0])


# --- tables


@settings(max_examples=40, deadline=None)
@given(
    seen=st.lists(st.integers(0, IDS - 1), min_size=2, max_size=12).filter(
        lambda ids: not counts_places(np.array([ids]))
    ),
    asked_for=st.lists(st.integers(-IDS, IDS - 1), min_size=1, max_size=20),
    fallback=st.integers(0, IDS - 1),
    keep=st.lists(st.one_of(st.integers(0, IDS - 1), st.just((20, 23))), max_size=2),
)
def test_ids_that_occur_answer_bit_by_bit_the_same_and_others_what_the_fallback_answers(
    tmp_path_factory: pytest.TempPathFactory,
    seen: list[int],
    asked_for: list[int],
    fallback: int,
    keep: list[Any],
) -> None:
    net, row = language_model("none"), np.array([seen])
    before = net.clone()
    result = done(net, tmp_path_factory.mktemp("law"), {"ids": row}, fallback_id=fallback, keep=keep)
    stays = {*seen, fallback, *(id_ for id_ in keep if isinstance(id_, int))}
    stays |= {20, 21, 22} if (20, 23) in keep else set()
    if not result.changed:
        return
    assert rows_of(result.model) == len(stays)
    ids = np.array([asked_for])
    taken_for = np.array([[i if i % IDS in stays else fallback for i in asked_for]])
    assert np.array_equal(run(normalise(result.model), {"ids": ids}), run(before, {"ids": taken_for}))


def test_the_report_says_what_went_and_a_remapping_of_four_bytes_an_id_stands_in_front(
    tmp_path: Path,
) -> None:
    result = done(language_model("none"), tmp_path, keep=[0, [10, 12]], fallback_id=1)
    (row,) = result.details["tables"]
    assert (row["table"], row["inputs"], row["rows"]) == ("words", ["ids"], [IDS, 10])
    assert (row["seen"], row["fallback_id"], row["reason"]) == (6, 1, None)
    assert (result.changed, result.candidates) == (1, 1)
    places = result.model.graph.initializers["words_places"].const_value
    assert places is not None
    assert (places.dtype, places.nbytes) == (ir.DataType.INT32, 4 * IDS)


def test_without_a_fallback_id_the_row_nearest_to_the_mean_of_what_goes_stands_in(tmp_path: Path) -> None:
    net = language_model("none")
    words = net.graph.initializers["words"].const_value.numpy()  # type: ignore[union-attr]
    result = done(net, tmp_path)
    gone = np.setdiff1d(np.arange(IDS), HAS)
    costs = [((words[gone] - words[j]) ** 2).sum() for j in HAS]
    assert result.details["tables"][0]["fallback_id"] == HAS[int(np.argmin(costs))]


def of_texts(net: ir.Model, folder: Path, **settings: Any) -> StepResult:
    """By sentences that have none of the unknown token: [CLS] a b [SEP]."""
    content = {"d.jsonl": lines([{"s": "a b a"}, {"s": "a"}]), "tokenizer.json": tokenizer()}
    path = archive(folder / "data.zip", content)
    declared = Declaration.model_validate({"inputs": {"input_ids": {"from": "text", "columns": ["s"]}}})
    texts = open_samples(Source(path, declared, map={"ids": "input_ids"}), inputs_of(net), folder / "scratch")
    (scratch := folder / "step").mkdir()
    return vocabulary_pruning(net, asked(**settings), Context(scratch, 0, Silent(), seen=lambda _: [texts]))


def test_what_texts_lack_is_taken_for_the_unknown_token_of_their_tokenizer(tmp_path: Path) -> None:
    net = language_model("none")
    before = net.clone()
    result = of_texts(net, tmp_path)
    (row,) = result.details["tables"]
    unknown = VOCABULARY["[UNK]"]
    assert (row["fallback_id"], row["fallback_is"]) == (unknown, "unknown token")
    assert (row["seen"], row["rows"]) == (5, [IDS, 6])
    assert not result.notes
    ids, taken_for = np.array([[4, 40, 59]]), np.array([[4, unknown, unknown]])
    assert np.array_equal(run(normalise(result.model), {"ids": ids}), run(before, {"ids": taken_for}))


def test_a_fallback_id_goes_before_the_unknown_token(tmp_path: Path) -> None:
    (row,) = of_texts(language_model("none"), tmp_path, fallback_id=7).details["tables"]
    assert (row["fallback_id"], row["fallback_is"]) == (7, "fallback_id")


def test_the_unknown_token_is_not_looked_for_where_ids_are_shifted_in_front_of_the_table(
    tmp_path: Path,
) -> None:
    net = model(
        f"""(int64[N,L] ids) => (float[N,L,{WIDTH}] y) {{
            two = Constant <value_int=2> ()
            rows = Add (ids, two)
            y = Gather (words, rows)
        }}""",
        {"words": np.random.default_rng(0).normal(size=(IDS, WIDTH)).astype(np.float32)},
    )
    result = of_texts(net, tmp_path)
    assert result.details["tables"][0]["fallback_is"] == "nearest row"
    assert "name it in fallback_id" in result.notes[0]


def test_positions_and_segments_are_not_taken_for_words(tmp_path: Path) -> None:
    net = bert()
    before = net.clone()
    result = done(net, tmp_path, bert_data(), fallback_id=40)
    reasons = {row["table"]: row["reason"] for row in result.details["tables"]}
    assert reasons["words"] is None
    assert "counts places or segments" in reasons["places"]
    assert "counts places or segments" in reasons["kinds"]
    assert (rows_of(result.model), rows_of(result.model, "places")) == (len(HAS) + 1, PLACES)
    feeds = bert_data(np.tile(HAS, (2, 2)))
    assert np.array_equal(run(normalise(result.model), feeds), run(before, feeds))


@pytest.mark.parametrize("shuffled", [False, True])
def test_positions_of_single_steps_are_not_taken_for_words(tmp_path: Path, shuffled: bool) -> None:
    """As a decoder with a cache takes them, one sequence behind the other or in any order."""
    net = bert()
    before = net.clone()
    order = np.random.default_rng(0).permutation(8) if shuffled else np.arange(8)
    ids = np.array([3, 9, 9, 41, 5, 3, 59, 7])
    columns = {"input_ids": ids, "position_ids": np.tile(np.arange(4), 2), "kind_ids": np.zeros(8, np.int64)}
    data = {name: numbers[order, None] for name, numbers in columns.items()}
    result = done(net, tmp_path, data)
    assert {row["table"]: row["rows"] for row in result.details["tables"]} == {
        "words": [IDS, len(HAS)],
        "places": [PLACES, PLACES],
        "kinds": [2, 2],
    }
    later = {**data, "position_ids": data["position_ids"] + 5}
    assert np.array_equal(run(normalise(result.model), later), run(before, later))


@pytest.mark.parametrize(
    "before",
    [
        "ids = Cast <to=6> (input_ids)",
        "a = Constant <value_ints=[1]> ()\n b = Unsqueeze (input_ids, a)\n ids = Squeeze (b, a)",
        f"low = Constant <value_int=0> ()\n top = Constant <value_int={IDS - 1}> ()\n"
        " ids = Clip (input_ids, low, top)",
        "same = Constant <value_ints=[0, 0]> ()\n ids = Reshape (input_ids, same)",
    ],
    ids=["Cast", "Unsqueeze", "Clip", "Reshape"],
)
def test_ids_are_followed_through_what_passes_them_on(tmp_path: Path, before: str) -> None:
    net = bert(before_lookup=before)
    untouched = net.clone()
    result = done(net, tmp_path, bert_data(), fallback_id=3)
    assert result.details["tables"][0]["inputs"] == ["input_ids"]
    assert rows_of(result.model) == len(HAS)
    feeds = bert_data(SEEN[:, ::-1].copy())
    assert np.array_equal(run(normalise(result.model), feeds), run(untouched, feeds))


def test_ids_that_are_shifted_before_they_are_looked_up_keep_the_rows_that_they_reach(tmp_path: Path) -> None:
    net = bert(before_lookup="two = Constant <value_int=2> ()\n ids = Add (input_ids, two)")
    ids = np.array([[3, 9, 9, 41], [5, 3, 50, 7]])
    before = net.clone()
    result = done(net, tmp_path, bert_data(ids))
    assert rows_of(result.model) == len(np.unique(ids))
    assert np.array_equal(run(normalise(result.model), bert_data(ids)), run(before, bert_data(ids)))


def test_tables_of_several_inputs_each_lose_what_their_own_data_lacks(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    net = model(
        """(int64[N,L] a, int64[N,L] b) => (float[N,L,8] y) {
            u = Gather (first, a)
            v = Gather (second, b)
            y = Add (u, v)
        }""",
        {
            "first": rng.normal(size=(50, 8)).astype(np.float32),
            "second": rng.normal(size=(90, 8)).astype(np.float32),
        },
    )
    data = {"a": np.array([[4, 30, 7]]), "b": np.array([[80, 2, 11]])}
    before = net.clone()
    result = done(net, tmp_path, data, keep=[1], fallback_id=7)
    assert [row["rows"] for row in result.details["tables"]] == [[50, 4], [90, 5]]
    assert np.array_equal(run(normalise(result.model), data), run(before, data))


def test_a_table_whose_rows_take_no_more_than_their_remapping_stays(tmp_path: Path) -> None:
    keep = [[0, 57]]  # two rows of 24 numbers go, and sixty ids are remapped
    result = done(language_model("none"), tmp_path, keep=keep, fallback_id=0)
    assert result.changed == 0
    assert "take no more than a remapping of 60 ids" in result.notes[0]
    assert "Gather" in ops(result.model)


def test_an_artifact_can_be_pruned_again_by_its_old_ids(tmp_path: Path) -> None:
    net = language_model("none")
    before = net.clone()
    once = normalise(done(net, tmp_path, fallback_id=3).model)
    again = done(once, tmp_path, {"ids": np.array([[3, 59]])}, keep=[9], fallback_id=59)
    net = normalise(again.model)
    assert again.details["tables"][0]["rows"] == [len(HAS), 3]
    assert ops(net).count("Gather") == 2
    ids, taken_for = np.array([[3, 9, 59, 5, 0]]), np.array([[3, 9, 59, 59, 3]])
    assert np.array_equal(run(net, {"ids": ids}), run(before, {"ids": taken_for}))


@pytest.mark.parametrize("exclude", [[], ["second"]])
def test_tables_that_share_a_remapping_are_remapped_each_by_its_own(
    tmp_path: Path, exclude: list[str]
) -> None:
    rng = np.random.default_rng(0)
    net = model(
        """(int64[N,L] ids) => (float[N,L,8] y) {
            rows = Gather (map, ids)
            u = Gather (first, rows)
            v = Gather (second, rows)
            y = Add (u, v)
        }""",
        {name: rng.normal(size=(IDS, 8)).astype(np.float32) for name in ("first", "second")}
        | {"map": rng.permutation(IDS)},
    )
    before = net.clone()
    result = done(net, tmp_path, exclude=exclude)
    assert result.changed == 2 - len(exclude)
    assert np.array_equal(run(normalise(result.model), {"ids": SEEN}), run(before, {"ids": SEEN}))


def test_of_a_table_that_the_data_never_looks_up_one_row_stays(tmp_path: Path) -> None:
    result = done(language_model("none"), tmp_path, {"ids": np.zeros((2, 0), np.int64)})
    assert result.details["tables"][0]["rows"] == [IDS, 1]
    assert run(normalise(result.model), {"ids": SEEN}).shape == (*SEEN.shape, WIDTH)


def test_what_is_left_can_be_trained_and_cut_further(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    net = model(
        """(int64[N,L] ids) => (float[N,4] y) {
            w = Gather (words, ids)
            m = ReduceMean <axes=[1], keepdims=0> (w)
            [hidden] h = MatMul (m, first)
            r = Relu (h)
            [last] y = MatMul (r, second)
        }""",
        {
            "words": rng.normal(size=(IDS, WIDTH)).astype(np.float32),
            "first": rng.normal(size=(WIDTH, 32)).astype(np.float32),
            "second": rng.normal(size=(32, 4)).astype(np.float32),
        },
    )
    rows = samples(tmp_path / "data", net, ids=np.tile(SEEN, (8, 1)), labels=np.arange(16) % 4)
    whole = net.clone()
    steps = [
        {"kind": "vocabulary_pruning"},
        {"kind": "channel_pruning", "amount": 0.5, "criterion": "l2", "repair": False},
        {"kind": "distillation", "steps": 2, "batch_size": 8, "validation": 0, "learning_rate": 0.01},
        {"kind": "int8_dynamic"},
    ]
    for number, step in enumerate(Recipe.model_validate({"steps": steps}).steps):
        (scratch := tmp_path / str(number)).mkdir()
        context = Context(
            scratch,
            0,
            Silent(),
            rows,
            curves=scratch / "curves",
            training=lambda _: rows,
            seen=lambda _: [rows],
            model=lambda _: whole.clone(),
        )
        result = apply(net, step, context)
        assert result.changed, step.kind
        net = normalise(result.model)
    assert run(net, {"ids": SEEN}).shape == (2, 4)


# --- heads


@pytest.mark.parametrize("head", ["tied", "gemm", "copy", "own"])
def test_a_head_shrinks_and_its_logits_go_back_to_their_places(tmp_path: Path, head: Head) -> None:
    net = language_model(head)
    before = net.clone()
    result = done(net, tmp_path, fallback_id=3)
    assert result.details["tables"][0]["heads"] == (["head"])
    after = normalise(result.model)
    assert max(v.const_value.size for v in after.graph.initializers.values() if v.const_value) < IDS * WIDTH
    logits, expected = run(after, {"ids": SEEN}), run(before, {"ids": SEEN})
    assert logits.shape == expected.shape
    gone = np.setdiff1d(np.arange(IDS), HAS)
    assert (logits[..., gone] == LOWEST).all()
    assert np.abs(logits[..., HAS] - expected[..., HAS]).max() <= ROUNDING * np.abs(expected).max()


@pytest.mark.parametrize("head", ["tied", "copy", "own"])
def test_short_logits_are_those_of_the_ids_in_the_report(tmp_path: Path, head: Head) -> None:
    net = language_model(head, behind="logits = Softmax <axis=-1> (scores)")
    whole = language_model(head)
    result = done(net, tmp_path, head="short", fallback_id=3)
    ids = result.details["tables"][0]["logits"]
    assert ids == list(HAS)
    after = normalise(result.model)
    assert after.graph.outputs[0].shape[-1] == len(HAS)  # type: ignore[index]
    probabilities, scores = run(after, {"ids": SEEN}), run(whole, {"ids": SEEN})[..., ids]
    expected = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    assert np.abs(probabilities - expected).max() <= 1e-6


def test_short_logits_are_refused_where_something_else_reads_all_of_them() -> None:
    net = language_model("tied", behind="logits = Softmax <axis=1> (scores)")
    with pytest.raises(Refusal, match=r"Softmax .* reads all of them"):
        check(net, [asked(head="short")], lambda _: net)


def test_a_classifier_with_as_many_classes_as_there_are_ids_stays(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    net = model(
        f"""(int64[N,L] ids) => (float[N,{IDS}] classes) {{
            w = Gather (words, ids)
            m = ReduceMean <axes=[1], keepdims=0> (w)
            [head] classes = MatMul (m, own)
        }}""",
        {
            "words": rng.normal(size=(IDS, WIDTH)).astype(np.float32),
            "own": rng.normal(size=(WIDTH, IDS)).astype(np.float32),
        },
    )
    before = net.clone()
    result = done(net, tmp_path)
    assert result.details["tables"][0]["heads"] == []
    assert np.array_equal(run(normalise(result.model), {"ids": SEEN}), run(before, {"ids": SEEN}))


def test_a_table_that_something_else_reads_as_a_whole_stays(tmp_path: Path) -> None:
    net = model(
        f"""(int64[N,L] ids, float[N,{IDS}] share) => (float[N,L,{WIDTH}] y) {{
            w = Gather (words, ids)
            [mix] m = MatMul (share, words)
            one = Constant <value_ints=[1]> ()
            u = Unsqueeze (m, one)
            y = Add (w, u)
        }}""",
        {"words": np.random.default_rng(0).normal(size=(IDS, WIDTH)).astype(np.float32)},
    )
    with pytest.raises(Refusal, match=r"words: MatMul 'mix' reads all of it"):
        check(net, [asked()], lambda _: net)


@pytest.mark.parametrize("alike", [False, True])
def test_a_head_that_may_be_of_either_of_two_tables_stays(tmp_path: Path, alike: bool) -> None:
    rng = np.random.default_rng(0)
    shapes = {"first": (IDS, WIDTH), "second": (IDS, WIDTH), "own": (WIDTH, IDS)}
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    if alike:
        weights |= {"second": weights["first"].copy(), "own": weights["first"].T.copy()}
    net = model(
        f"""(int64[N,L] a, int64[N,L] b) => (float[N,L,{IDS}] logits) {{
            u = Gather (first, a)
            v = Gather (second, b)
            x = Add (u, v)
            logits = MatMul (x, own)
        }}""",
        weights,
    )
    before, data = net.clone(), {"a": SEEN, "b": np.arange(8).reshape(2, 4)[:, ::-1].copy()}
    result = done(net, tmp_path, data)
    assert [row["heads"] for row in result.details["tables"]] == [[], []]
    assert np.array_equal(run(normalise(result.model), data), run(before, data))


def test_a_tied_head_that_adds_computed_numbers_pins_its_table() -> None:
    net = model(
        f"""(int64[N] ids, float[N,{IDS}] more) => (float[N,{IDS}] logits) {{
            w = Gather (words, ids)
            [head] logits = Gemm <transB=1> (w, words, more)
        }}""",
        {"words": np.random.default_rng(0).normal(size=(IDS, WIDTH)).astype(np.float32)},
    )
    with pytest.raises(Refusal, match="words: Gemm 'head' adds computed numbers to its logits"):
        check(net, [asked()], lambda _: net)


# --- refusals


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        ({"fallback_id": IDS}, "invalid_request", rf"id {IDS}, and table 'words' .* 0 to {IDS - 1}"),
        ({"keep": [[3, IDS + 1]]}, "invalid_request", rf"keep has the id {IDS}"),
        ({"exclude": ["words"]}, "nothing_to_compress", r"words: excluded by pattern"),
        ({"exclude": ["word"]}, "nothing_to_compress", r"words: excluded by pattern"),
    ],
)
def test_what_the_graph_rules_out_is_refused_before_any_work(settings: Any, code: str, said: str) -> None:
    net = language_model("none")
    with pytest.raises(Refusal, match=said) as refused:
        check(net, [asked(**settings)], lambda _: net)
    assert refused.value.problem.code == code


def test_a_model_without_a_table_that_an_input_is_looked_up_in_is_refused() -> None:
    net = model("(float[N,4] x) => (float[N,4] y) { y = Relu (x) }")
    with pytest.raises(Refusal, match="no table that an input is looked up in"):
        check(net, [asked()], lambda _: net)


def test_without_data_nothing_is_pruned(tmp_path: Path) -> None:
    net = language_model("none")
    with pytest.raises(Refusal, match="calibration or training data") as refused:
        vocabulary_pruning(net, asked(), Context(tmp_path, 0, Silent()))
    assert refused.value.problem.code == "missing_data"


def test_a_range_without_ids_is_no_range() -> None:
    with pytest.raises(ValidationError, match="holds no id"):
        asked(keep=[[5, 5]])
