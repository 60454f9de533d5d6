"""The accuracy table: outputs, then checks; what was not asked for is an empty cell."""

import csv
import dataclasses
from pathlib import Path

from pytest_ortperf.records.record import ConsistencyCheck, Record, RelativeError
from pytest_ortperf.reports.junit import properties
from pytest_ortperf.reports.tables.csv_tables import write_tables
from record_examples import make_accuracy, make_output, make_record, make_run

RELATIVE = RelativeError(
    golden="CPU fp64",
    baseline="fp16 on the CPU",
    rmse=0.02,
    baseline_rmse=0.01,
    limit=0.03,
    is_explained=True,
    note="pass-relative: ...",
)
CHECK = ConsistencyCheck(name="repeat", outcome="within", max_abs_error=1e-7, note="a second run differs")


def rows_of(record: Record, tmp_path: Path) -> list[dict[str, str]]:
    path = next(path for path in write_tables(make_run([record]), tmp_path) if "accuracy" in path.name)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_output_and_each_check_has_a_row(tmp_path: Path) -> None:
    output = dataclasses.replace(
        make_output(0.5, within_tolerance=False),
        cosine=0.9999,
        snr_db=float("inf"),
        worst_index=(0, 1),
        worst_output="1.5",
        worst_reference="1",
        relative=RELATIVE,
        message="percent mismatch 50 %",
    )
    record = make_record("bert", mode="validate", accuracy=make_accuracy(output), checks=(CHECK,))

    first, second = rows_of(record, tmp_path)

    wanted = {
        "output": "logits",
        "check": "reference",
        "verdict": "pass-relative",
        "shape": "1,2",
        "worst_index": "0,1",
        "worst_output": "1.5",
        "cosine_least": "",
        "golden": "CPU fp64",
        "rmse_to_golden": "0.02",
        "baseline_rmse_to_golden": "0.01",
        "message": "percent mismatch 50 %",
    }
    assert {key: first[key] for key in wanted} == wanted
    assert (second["check"], second["verdict"], second["output"], second["max_abs_error"], second["message"]) == (
        "repeat",
        "within",
        "",
        "1e-07",
        "a second run differs",
    )
    assert ("ortperf.accuracy_verdict", "pass-relative") in properties(record)


def test_a_case_without_a_comparison_has_no_row(tmp_path: Path) -> None:
    assert rows_of(make_record("bert"), tmp_path) == []
