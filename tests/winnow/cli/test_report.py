import io
from typing import Any

import pytest
from rich.console import Console

from tests.support.arithmetic import arithmetic
from tests.support.asked import report
from tests.support.qdq_nets import quantized_conv
from tests.support.robust import robustness
from winnow.cli.report import report_tables
from winnow.contract.portability import Portability, TargetReport
from winnow.contract.report import Pair, Report
from winnow.contract.target_rules.check import check_graph
from winnow.contract.target_rules.load import rules_of
from winnow.contract.target_rules.onnx_file import graph_of_bytes


def shown(told: Report, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False, emoji=False)
    console.print(report_tables(told))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    "line",
    [
        ("size", "4.0 MiB", "1.0 MiB", "0.25×"),
        ("latency p50 (batch 1, 1 thread)", "0.500 ms", "0.250 ms", "2.00× [1.95, 2.05] as fast"),
        ("latency p95 (batch 8, 1 thread)", "1.00 ms", "0.500 ms"),
        ("throughput (batch 1, 1 thread)", "2,000 /s", "4,000 /s"),
        ("load time", "20.0 ms", "12.0 ms", "0.60×"),
        ("peak memory", "30.0 MiB", "15.0 MiB", "0.50×"),
        (
            "top1 (600 samples)",
            "99.00 % [98.00, 99.70]",
            "98.50 % [97.50, 99.30]",
            "worse by 0.50 % [0.00, 1.00]",
        ),
        ("logits (600 of evaluation)", "0.99912", "27.5 dB", "99.00%"),
        ("min_speedup", "1.5", "2.04 [1.98, 2.11]", "yes"),
        ("max_metric_drop", "0.001", "0.005 [0, 0.01]", "NO"),
        ("1 int8_static", "7 of 8", "1.0 MiB", "3.2 s"),
        ("Twice as fast, a quarter of the size.",),
        ("Not met, max_metric_drop: top1 may be worse by 0.01.",),
        ("Note, int8_static: gemm [/head] stays float32",),
    ],
)
def test_every_fact_stands_in_one_line(line: tuple[str, ...]) -> None:
    assert any(all(part in row for part in line) for row in shown(report()).splitlines()), shown(report())


def test_what_loads_the_result_is_one_line() -> None:
    entries = [
        Portability(runtime="onnxruntime-no-contrib", loads=False, why="x", operators=["com.microsoft.Gelu"]),
        Portability(runtime="openvino-cpu", loads=None, why="OpenVINO is not installed.", operators=[]),
    ]
    line = "Loads elsewhere: onnxruntime-no-contrib no (com.microsoft.Gelu); openvino-cpu not tried."
    assert line in shown(report(portability=entries))
    assert "Loads elsewhere" not in shown(report()), "of before that was looked at"


def test_each_fact_of_robustness_is_a_line() -> None:
    text = shown(report(robustness=robustness()))
    for line in ("Neighbours: An answer depends <b>.", "Unseen data: No quality was judged."):
        assert line in text
    assert "Neighbours" not in shown(report()), "of before it was measured"


def test_what_really_runs_is_a_line() -> None:
    line = "Arithmetic: ONNX Runtime computes all in integers."
    assert line in shown(report(arithmetic=arithmetic("ONNX Runtime computes all in integers.")))
    assert "Arithmetic" not in shown(report()), "of before it was looked at"


def trained(**details: Any) -> Report:
    step = report().steps[0].model_copy(update={"kind": "finetune", "details": details})
    return report(steps=[step])


def epochs(count: int) -> list[dict[str, Any]]:
    return [
        {"epoch": n, "loss": 1 / n, "validation_loss": 2 / n, "metric": 0.5 + n / 1000}
        for n in range(1, count + 1)
    ]


@pytest.mark.parametrize(
    "line",
    [
        ("Training of 1 finetune",),
        ("Trained, 1 finetune: learning rate 0.002", "best after epoch 2", "914 samples/s", "took 1:15"),
        ("epoch", "loss", "validation loss", "metric"),
        ("1", "1", "2", "0.501"),
        ("2 (best)", "0.5", "1", "0.502"),
    ],
)
def test_a_training_is_a_table_of_its_epochs(line: tuple[str, ...]) -> None:
    text = shown(
        trained(learning_rate=0.002, epochs=epochs(3), seconds=75.2, best_epoch=2, samples_per_second=913.7)
    )
    assert any(all(part in row for part in line) for row in text.splitlines()), text


def test_of_many_epochs_the_first_the_best_and_the_last_are_shown() -> None:
    text = shown(trained(epochs=epochs(500), best_epoch=77))
    rows = [row.split()[0] for row in text.splitlines() if row.strip()[:1].isdigit()]
    assert rows[-12:] == ["1", "77", *(str(n) for n in range(491, 501))]


@pytest.mark.parametrize(
    "details",
    [
        {"epochs": []},
        {"epochs": [{}]},
        {"epochs": None, "learning_rate": "found"},
        {"epochs": [{"epoch": 1, "loss": None, "metric": "?"}, "odd"], "best_epoch": None, "seconds": None},
    ],
)
def test_what_a_training_does_not_tell_is_a_dash(details: dict[str, Any]) -> None:
    assert "Training of 1 finetune" in shown(trained(**details))


def test_a_narrow_terminal_loses_nothing() -> None:
    letters = "".join(shown(report(), width=60).split())
    assert "2.00×" in letters
    assert "99.00%" in letters


def test_what_was_not_measured_is_left_out() -> None:
    bare = report(latency=[], quality=[], parity=[], requirements=[], macs=None)
    text = shown(bare)
    assert "latency" not in text
    assert "Requirements" not in text
    assert "multiply-accumulates" not in text


def test_what_is_not_met_is_said_with_its_likeliest_cause() -> None:
    entry = report().requirements[1].model_copy(update={"cause": "Int8_static calibrated on 8 samples only."})
    text = " ".join(shown(report(requirements=[entry])).split())
    assert f"{entry.why} Likeliest cause: {entry.cause}" in text


def test_what_is_worth_trying_stands_as_the_options_that_try_it() -> None:
    steps = [{"kind": "int8_static", "exclude": "auto"}, {"kind": "float16", "exclude": ["*/a b/*"]}]
    tries = {"why": "It keeps more.", "request": {"model": "mdl_1", "recipe": {"steps": steps}}}
    text = " ".join(shown(report(next_steps=[tries])).split())
    assert "Worth trying: --step 'int8_static exclude=auto' --step" in text
    assert "It keeps more." in text


def test_bytes_that_are_required_are_whole_numbers() -> None:
    entry = (
        report()
        .requirements[0]
        .model_copy(
            update={
                "name": "max_size_bytes",
                "asked": 1_000_000.0,
                "measured": 1_000_001.0,
                "interval": None,
                "met": False,
            }
        )
    )
    row = next(line for line in shown(report(requirements=[entry])).splitlines() if "max_size_bytes" in line)
    assert row.split()[1:] == ["1,000,000", "1,000,001", "NO"]


def test_a_speed_that_could_not_be_told_is_no_number() -> None:
    untold = {"speedup": None, "speedup_interval": None, "untold": "other programs used 80% of the CPUs"}
    text = shown(report(latency=[report().latency[0].model_copy(update=untold)], load_ms=None))
    (row,) = (line for line in text.splitlines() if "latency" in line)
    assert row.split()[-4:] == ["-", "-", "not", "told"]
    assert "throughput" not in text
    assert "load time" not in text


def test_an_output_that_cannot_be_compared_has_dashes() -> None:
    nothing = dict.fromkeys(
        ("cosine", "snr_db", "max_error", "mean_error", "max_relative_error", "top1_agreement")
    )
    parity = report().parity[0].model_copy(update=nothing)
    row = next(line for line in shown(report(parity=[parity])).splitlines() if parity.output in line)
    assert row.split()[-4:] == ["-"] * 4


def test_a_model_that_grew_says_so() -> None:
    assert "1.07×" in shown(report(size_bytes=Pair(before=100, after=107, ratio=1.07)))


def test_escape_sequences_in_names_do_not_reach_the_terminal() -> None:
    parity = report().parity[0].model_copy(update={"output": "\x1b[31mred[bold]"})
    assert "?[31mred[bold]" in shown(report(parity=[parity]))


def test_what_a_target_of_rules_does_not_take_is_told_with_its_source() -> None:
    graph = graph_of_bytes(quantized_conv().SerializeToString())
    check = check_graph(graph, rules_of("tensorrt"))
    target = TargetReport(target="tensorrt", timed_on="onnxruntime-cpu", before=check, after=check)
    told = shown(report(target=target), width=1000)
    assert "On tensorrt, quantize: Activations are quantized to int8" in told
    assert "onnxOpImporters.cpp" in told
