"""What can be compared: files, folders, run ids, the old script's tables, pytest-benchmark, git revisions."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pytest_ortperf.errors import ResultsFileError, SettingsError
from pytest_ortperf.records.record import ModelFact, Record
from pytest_ortperf.records.store import RecordsFile
from pytest_ortperf.reports.comparison.run_comparison import compare, failing
from pytest_ortperf.reports.comparison.sources.side_sources import of_provider, read_side, read_sides
from pytest_ortperf.reports.comparison.ways_out import OF_NO_MEASUREMENT
from pytest_ortperf.settings.option_table import OPTIONS
from record_examples import make_end, make_environment, make_header
from reports.comparison.sides import PRINT, fleet, side, timed


def write_run(folder: Path, run: str, records: list[Record], **labels: str) -> Path:
    folder.mkdir(exist_ok=True)
    header = make_header(run=run, labels=labels, environment=make_environment(fingerprint=PRINT))
    with RecordsFile.create(folder, run, header) as file:
        for record in records:
            file.append(record)
        file.end(make_end())
    return file.path


def test_files_folders_and_run_ids(tmp_path: Path) -> None:
    results = tmp_path / "result"
    first = write_run(results, "20260101-000000", fleet(3))
    write_run(results, "20260102-000000", fleet(4))
    by_file = read_side("result/records_20260101-000000.jsonl", results, tmp_path)
    assert (by_file.runs[0].name, len(by_file.last)) == ("20260101-000000", 3)
    folder = read_side(str(first.parent), results, tmp_path)
    assert [run.name for run in folder.runs] == ["20260101-000000", "20260102-000000"]
    assert (folder.notes, folder.passed_over) == ((), None)
    assert [run.name for run in read_side("20260101-000000", results, tmp_path).runs] == ["20260101-000000"]
    both = read_side("20260101-000000,20260102-000000", results, tmp_path)
    assert [run.name for run in both.runs] == ["20260101-000000", "20260102-000000"]
    with pytest.raises(ResultsFileError, match=r"20269999: is no file, no run in .*result and no git revision of "):
        read_side("20269999", results, tmp_path)


def made(folder: Path, run: str, *, ended: bool = True, digest: str = "d", **header: Any) -> None:
    folder.mkdir(exist_ok=True)
    facts = {"fingerprint": PRINT} | header.pop("environment", {})
    options = header.pop("options", {"mode": "both"})
    whole = make_header(run=run, environment=make_environment(**facts), collected=32, options=options, **header)
    model = ModelFact(path="m.onnx", byte=1, precision="fp32", sha256=digest)
    with RecordsFile.create(folder, run, whole) as file:
        for record in fleet(4):
            file.append(dataclasses.replace(record, model_fact=model))
        if ended:
            file.end(make_end())


def test_a_folder_is_its_newest_run_and_those_of_the_same_thing(tmp_path: Path) -> None:
    folder = tmp_path / "result"
    made(folder, "20260101-000000")
    made(folder, "20260102-000000", environment={"fingerprint": "another"})
    made(folder, "20260103-000000", environment={"onnxruntime_distribution": "onnxruntime 1.30.0"})
    made(folder, "20260104-000000", digest="e")
    made(folder, "20260105-000000", options={"threads": "1"})
    made(folder, "20260106-000000", ended=False)
    made(folder, "20260107-000000", options={"ep": ["cpu"], "mode": "both", "label": ["a=b"]})
    made(folder, "20260108-000000", options={"mode": "benchmark"})
    (folder / "records_20260109-000000.jsonl").touch()  # died before its first line
    found = read_side("result", folder, tmp_path)
    assert [run.name for run in found.runs] == ["20260101-000000", "20260107-000000", "20260108-000000"]
    assert found.notes == (
        (
            "result: 3 runs are used of 8; left out: 1 made with other options (--ortperf-threads), 1 made with other "
            "model files, 1 made with onnxruntime 1.30.0, 1 made on another machine, 1 that did not come to its end"
        ),
    )
    assert found.passed_over is None


def test_the_newest_run_that_did_not_end_fails_what_is_looked_at(tmp_path: Path) -> None:
    folder = tmp_path / "result"
    made(folder, "20260101-000000")
    made(folder, "20260102-000000", ended=False)
    found = read_side("result", folder, tmp_path)
    assert [run.name for run in found.runs] == ["20260101-000000"]
    assert found.notes == ("result: 1 run is used of 2; left out: 1 that did not come to its end",)
    (change,) = failing(compare(found, found), ("incomplete",))
    assert (change.case_id, change.text) == (
        "current",
        (
            "the newest run 20260102-000000 was left out: its records file has no end line, so it was killed or is "
            "still running; it holds 4 of 32 cases. Make the run again, or name the run to look at"
        ),
    )


def test_a_folder_without_a_complete_run_is_its_newest(tmp_path: Path) -> None:
    folder = tmp_path / "result"
    made(folder, "20260101-000000", ended=False)
    made(folder, "20260102-000000", ended=False)
    found = read_side("result", folder, tmp_path)
    assert [run.name for run in found.runs] == ["20260102-000000"]
    assert [each.kind for each in failing(compare(found, found), ("incomplete",))] == ["incomplete"] * 2


def test_the_options_that_change_no_value_are_those_of_the_table() -> None:
    scopes = {"report", "selection", "run", "case"}
    assert {option.name for option in OPTIONS if option.scope in scopes} - {"dim"} | {
        "trtexec",
        "workspace",
    } == OF_NO_MEASUREMENT


def test_patterns(tmp_path: Path) -> None:
    folder = tmp_path / "result"
    for day in range(1, 4):
        made(folder, f"2026010{day}-000000")
    made(tmp_path / "other", "20260201-000000")
    for pattern in ("result/records_2026010[12]*.jsonl", "2026010[12]*", f"{folder}/records_2026010[12]*.jsonl"):
        found = read_side(pattern, folder, tmp_path)
        assert [run.name for run in found.runs] == ["20260101-000000", "20260102-000000"]
        assert found.name == pattern
    found = read_side("[ro]*", tmp_path / "none", tmp_path)
    assert [run.name for run in found.runs] == [
        "20260201-000000",
        "20260101-000000",
        "20260102-000000",
        "20260103-000000",
    ]
    with pytest.raises(ResultsFileError, match=r"x\*: is no file, no run in "):
        read_side("x*", folder, tmp_path)


def test_several_names_are_one_side(tmp_path: Path) -> None:
    folder = tmp_path / "result"
    for day in range(1, 4):
        made(folder, f"2026010{day}-000000")
    found = read_sides(["20260101-000000", "result/records_20260103-000000.jsonl"], folder, tmp_path)
    assert [run.name for run in found.runs] == ["20260101-000000", "20260103-000000"]
    assert found.name == "20260101-000000,result/records_20260103-000000.jsonl"


def test_a_provider_alone(tmp_path: Path) -> None:
    script_run(tmp_path / "old", "10.00")
    old = read_side("old", tmp_path, tmp_path)
    assert list(of_provider(old, "trt").last) == ["resnet::benchmark[tensorrt]"]
    assert list(of_provider(old, "CUDAExecutionProvider").last) == ["resnet::benchmark[cuda]"]
    assert list(of_provider(old, "native").last) == []
    with pytest.raises(SettingsError, match=r"^--ep: unknown "):
        of_provider(old, "fast")


def test_run_ids_may_be_many(tmp_path: Path) -> None:
    runs = [f"202601{day:02}-000000" for day in range(1, 21)]
    for run in runs:
        write_run(tmp_path / "result", run, fleet(1))
    found = read_side(",".join(runs), tmp_path / "result", tmp_path)
    assert [run.name for run in found.runs] == runs
    with pytest.raises(ResultsFileError, match=r"a{300}: is no file, no run in "):
        read_side("a" * 300, tmp_path / "result", tmp_path)


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=n", "-c", "user.email=e@example.com", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_revision_is_all_runs_of_its_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "a")
    commit = git(tmp_path, "rev-parse", "HEAD")
    git(tmp_path, "tag", "v1")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "b")
    results = tmp_path / "result"
    write_run(results, "20260101-000000", fleet(3), commit=commit)
    write_run(results, "20260102-000000", fleet(3), commit="f" * 40)
    write_run(results, "20260103-000000", fleet(3), commit=commit)
    (results / "records_damaged.jsonl").write_text("{}\n")
    found = read_side("v1", results, tmp_path)
    assert found.name == f"v1 (commit {commit[:12]})"
    assert [run.name for run in found.runs] == ["20260101-000000", "20260103-000000"]
    head = git(tmp_path, "rev-parse", "HEAD")[:12]
    with pytest.raises(ResultsFileError, match=rf"HEAD: .*result holds no run of commit {head}\. Check it out, run "):
        read_side("HEAD", results, tmp_path)
    with pytest.raises(ResultsFileError, match="--output=x: is no file"):
        read_side("--output=x", results, tmp_path)


TARGETS = ("ORT-CUDAFp32", "ORT-TRTFp32", "TRTFp32", "ORT-CUDAFp16", "ORT-TRTFp16", "TRTFp16")
COLUMNS_2022 = [
    "Model",
    *(f"ORT-CPUFp32 \n{column}" for column in ("mean (ms)", "90th percentile (ms)")),
    *(
        f"{target} \n{column}"
        for target in TARGETS
        for column in ("mean (ms)", "90th percentile (ms)", "peak memory usage (MiB)")
    ),
]


def write_csv(path: Path, *rows: list[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(",".join(f'"{cell}"' for cell in row) + "\n" for row in rows), encoding="utf-8")


def script_run(folder: Path, cuda_ms: str, *, memory: str = "700", failure: str = "address 0x1") -> Path:
    """Write a result of the script as of 2022 to 2024."""
    latency = ["resnet", "20.00", "21.00", cuda_ms, "9.90", memory, *[""] * 15]
    write_csv(folder / "latency.csv", COLUMNS_2022, latency)
    status = ["Model", "ORT-CPUFp32", *TARGETS]
    write_csv(folder / "status.csv", status, ["resnet", "Pass", "Pass", "Fail", *[""] * 4])
    fail = ["model", "ep", "error type", "error message"]
    write_csv(folder / "fail.csv", fail, ["resnet", "ORT-TRTFp32", "runtime error", failure])
    session = ["Model", "ORT-CPUFp32 \n session creation time (s)", "ORT-CPUFp32 \n second session creation time (s)"]
    write_csv(folder / "session.csv", session, ["resnet", "1.5", "1.25"])
    specs = [["CPU", "Intel Xeon"], ["GPU", "NVIDIA T4"], ["TensorRT", "8.6"]]
    write_csv(folder / "specs.csv", [".", "Spec", "Version"], *([str(row), *spec] for row, spec in enumerate(specs)))
    return folder


def test_tables_of_the_script_from_2022_on(tmp_path: Path) -> None:
    script_run(tmp_path / "old", "10.00")
    found = read_side("old", tmp_path / "result", tmp_path)
    assert found.runs[0].fingerprint == "Intel Xeon, NVIDIA T4"
    assert {key: case.record.outcome for key, case in found.last.items()} == {
        "resnet::benchmark[cpu]": "passed",
        "resnet::benchmark[cuda]": "passed",
        "resnet::benchmark[tensorrt]": "failed",
    }
    cuda = found.last["resnet::benchmark[cuda]"]
    assert [one.mean_ns for one in cuda.observations["host"]] == [10e6]
    assert cuda.record.resources is not None
    assert cuda.record.resources.device_memory is not None
    assert cuda.record.resources.device_memory.run_peak_byte == 700 * 2**20
    session = found.last["resnet::benchmark[cpu]"].record.session
    assert session is not None
    assert (session.creation_ns, session.second_creation_ns) == (1_500_000_000, 1_250_000_000)
    failure = found.last["resnet::benchmark[tensorrt]"].record.failure
    assert failure is not None
    assert (failure.kind, failure.message) == ("runtime error", "address 0x1")


def test_single_tables_of_the_script(tmp_path: Path) -> None:
    folder = script_run(tmp_path / "old", "10.00")
    (folder / "latency.csv").rename(tmp_path / "mine.csv")
    latency = read_side("mine.csv", tmp_path, tmp_path)
    assert (latency.name, latency.runs[0].name, latency.runs[0].fingerprint) == ("mine.csv", "mine.csv", None)
    assert list(latency.last) == ["resnet::benchmark[cpu]", "resnet::benchmark[cuda]"]
    for name, cases in (("fail", ["tensorrt"]), ("status", ["cpu", "cuda", "tensorrt"]), ("session", ["cpu"])):
        found = read_side(f"old/{name}.csv", tmp_path, tmp_path)
        assert list(found.last) == [f"resnet::benchmark[{provider}]" for provider in cases]
    with pytest.raises(ResultsFileError) as caught:
        read_side("old/specs.csv", tmp_path, tmp_path)
    assert str(caught.value) == (
        f"{folder}/specs.csv: is no table of the ONNX Runtime script that can be compared (its columns: ., Spec, "
        f"Version). Give its latency, fail, status or session table; of a run of this plugin, give the "
        f"records_<run>.jsonl."
    )


def test_the_scripts_improvements_are_no_regressions_and_new_texts_no_failures(tmp_path: Path) -> None:
    # the script's own comparison lists rows whose previous mean is above the current one, and failures by their text
    base = read_side(str(script_run(tmp_path / "a", "10.00")), tmp_path, tmp_path)
    current = read_side(str(script_run(tmp_path / "b", "5.00", failure="address 0x2")), tmp_path, tmp_path)
    comparison = compare(base, current)
    assert failing(comparison, ("latency", "failures", "accuracy", "placement", "memory", "missing")) == []
    (pair,) = [pair for pair in comparison.pairs if pair.provider == "cuda"]
    assert pair.base_ns > pair.current_ns
    assert (pair.raw_ratio, pair.statistic, pair.decision.verdict) == (pytest.approx(0.5), "mean", "UNSURE")
    assert comparison.still_failing == ("resnet::benchmark[tensorrt]",)


def test_improvements_of_records_are_faster_and_fail_nothing() -> None:
    comparison = compare(side(fleet()), side(fleet(seed=1, **{f"m{number}": 0.7 for number in range(3)})))
    assert comparison.counts == {"FASTER": 3, "SAME": 17}
    assert failing(comparison, ("latency",)) == []


def test_tables_of_the_script_from_2021(tmp_path: Path) -> None:
    columns = [
        "Model",
        "CPU fp32 \nmean (ms)",
        "CUDA fp32 \nmean (ms)",
        "TRT EP fp16 \nmean (ms)",
        "Standalone TRT fp32 \nmean (ms)",
        "TRT v CUDA EP fp32 \ngain (mean) (%)",
        "NewEp fp32 \nmean (ms)",
    ]
    folder = tmp_path / "old"
    write_csv(folder / "benchmark_latency_20211001-101010.csv", columns, ["bert", "9", "8", "7", "6", "10 %", "5"])
    header = ["Model", "CPUExecutionProvider", "TensorrtExecutionProvider_fp16"]
    write_csv(folder / "benchmark_status_20211001-101010.csv", header, ["bert", "Pass", "Fail"])
    found = read_side("old", tmp_path, tmp_path)
    latencies = {
        key: observation.mean_ns / 1e6
        for key, case in found.last.items()
        for each in case.observations.values()
        for observation in each
    }
    assert latencies == {"bert::benchmark[cpu]": 9, "bert::benchmark[cuda]": 8, "bert::benchmark[trtexec]": 6}
    assert found.last["bert::benchmark[tensorrt-fp16]"].record.outcome == "failed"
    assert found.notes == ("old: unknown targets were left out: NewEp fp32",)


def test_the_script_can_be_compared_with_a_run_of_ours(tmp_path: Path) -> None:
    script_run(tmp_path / "old", "10.00")
    write_run(tmp_path / "result", "20260101-000000", [timed("resnet", 19.0)])
    comparison = compare(*(read_side(name, tmp_path, tmp_path) for name in ("old", "result")))
    (pair,) = comparison.pairs
    assert (pair.case_id, pair.statistic, pair.decision.verdict) == ("resnet::benchmark[cpu]", "mean", "UNSURE")
    assert pair.raw_ratio == pytest.approx(0.95, rel=0.01)


def pytest_benchmark(path: Path, *, commit: str = "c" * 40, node: str = "host", **medians: float) -> Path:
    benchmarks = [
        {
            "group": None,
            "name": name,
            "fullname": f"tests/test_it.py::{name}",
            "params": None,
            "extra_info": {},
            "stats": {
                "min": median * 0.99,
                "max": median * 1.1,
                "mean": median * 1.01,
                "stddev": median * 0.01,
                "rounds": 100,
                "median": median,
            },
        }
        for name, median in medians.items()
    ]
    cpu = {"brand_raw": "AMD EPYC", "count": 2}
    data = {
        "machine_info": {"node": node, "cpu": cpu},
        "commit_info": {"id": commit},
        "benchmarks": benchmarks,
        "version": "5.1.0",
    }
    path.write_text(json.dumps(data))
    return path


def test_pytest_benchmark(tmp_path: Path) -> None:
    medians = {f"test_{number}": 0.01 * (1 + number) for number in range(10)}
    slow = medians | {"test_3": 0.08}
    pytest_benchmark(tmp_path / "a.json", **medians)
    pytest_benchmark(tmp_path / "b.json", **slow)
    one = compare(*(read_side(name, tmp_path, tmp_path) for name in ("a.json", "b.json")))
    assert {pair.case_id: pair.decision.reasons for pair in one.pairs if pair.decision.verdict != "SAME"} == {
        "tests/test_it.py::test_3": (
            "base: nobody looked at the machine meanwhile (pytest-benchmark)",
            "current: nobody looked at the machine meanwhile (pytest-benchmark)",
        )
    }
    for number in range(3):
        pytest_benchmark(
            tmp_path / f"a{number}.json", **{name: it * (1 + number / 500) for name, it in medians.items()}
        )
        pytest_benchmark(tmp_path / f"b{number}.json", **{name: it * (1 + number / 500) for name, it in slow.items()})
    three = compare(
        *(read_side(",".join(f"{name}{number}.json" for number in range(3)), tmp_path, tmp_path) for name in "ab")
    )
    found = {pair.case_id: pair.decision.verdict for pair in three.pairs if pair.decision.verdict != "SAME"}
    assert found == {"tests/test_it.py::test_3": "SLOWER"}
    pytest_benchmark(tmp_path / "c.json", node="another", **medians)
    other = compare(*(read_side(name, tmp_path, tmp_path) for name in ("a.json", "c.json")))
    assert set(other.counts) == {"UNSURE"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"benchmarks": [{"name": "a"}], "machine_info": {}}', "a.json: is not what pytest-benchmark writes ("),
        ("{", "a.json: cannot be read as JSON: "),
        ("[]", "a.json: line 1 is no header of a run"),
    ],
)
def test_json_of_somebody_else_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ResultsFileError) as caught:
        read_side("a.json", tmp_path, tmp_path)
    assert message in str(caught.value)


def test_a_folder_whose_tables_tell_of_no_case_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "latency.csv").write_text("Model,ORT-CUDAFp32\nresnet50,1.5\n", encoding="utf-8")
    with pytest.raises(ResultsFileError) as caught:
        read_side(str(tmp_path), tmp_path, tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: its tables tell of no case that can be compared (columns of latency: model, ORT-CUDAFp32). The "
        "ONNX Runtime script's latency table has columns such as 'ORT-CUDAFp32 mean (ms)'."
    )
