"""The experiment with `ortperf ab`: its decisions made anew from what was recorded, and its scripts on little data."""

import json
import math
import re
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
DATA = BENCHMARKS / "data" / "ab_runs.json"
PAGE = ROOT / "docs" / "benchmarks" / "ab-under-load.md"
RUNS, SAME_MODELS, PERCENTS = 20, 17, (1, 2, 3, 5, 6, 10)

needs_data = pytest.mark.skipif(not DATA.exists(), reason="the experiment was not run yet")


@pytest.fixture(scope="module", autouse=True)
def scripts_importable() -> Iterator[None]:
    """Let the scripts' modules be imported as they import each other."""
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


# what was recorded


@pytest.fixture(scope="module")
def recorded() -> Any:
    from ab_data import read_experiment

    return read_experiment(DATA)


@pytest.fixture(scope="module")
def decided(recorded: Any) -> Any:
    from ab_outcomes import outcomes

    return outcomes(recorded)


@needs_data
def test_each_run_has_all_models_and_a_slowdown_of_each_size(recorded: Any) -> None:
    assert len(recorded.runs) == RUNS
    for run in recorded.runs:
        models = [case.model for case in run.cases]
        percents = [recorded.planted[model].percent for model in models if model in recorded.planted]
        assert sorted(percents) == list(PERCENTS)
        assert len(models) - len(percents) == SAME_MODELS


@needs_data
def test_nothing_that_is_the_same_is_called_slower_or_faster(decided: Any) -> None:
    from ab_outcomes import counts

    same = counts([it for it in decided if it.slowdown is None])
    assert same.total() == RUNS * SAME_MODELS
    assert (same["SLOWER"], same["FASTER"]) == (0, 0)


@needs_data
def test_interval_of_the_geometric_mean_holds_that_nothing_changed(recorded: Any) -> None:
    from ab_outcomes import pairs_of

    from pytest_ortperf.reports.comparison.paired import by_case, judge
    from pytest_ortperf.reports.comparison.paired_closing import overall_of

    inside, widths = 0, []
    for run in recorded.runs:
        cases = [it for it in by_case(pairs_of(run)) if it.case_id.partition("::")[0] not in recorded.planted]
        overall = overall_of([each.evidence for each in judge(cases)])
        assert overall is not None
        assert overall.cases == SAME_MODELS
        inside += overall.low <= 1 <= overall.high
        widths.append((overall.high - overall.low) / 2)
    # of a 95 % interval, 19 of 20 may be expected
    assert inside == RUNS
    assert statistics.median(widths) < 0.007


@needs_data
def test_exit_status_of_each_run_is_what_is_decided_now(recorded: Any) -> None:
    from ab_outcomes import outcomes

    for run in recorded.runs:
        slower = any(it.verdict == "SLOWER" for it in outcomes(replace(recorded, runs=(run,))))
        assert run.status == int(slower)


@needs_data
def test_page_states_what_is_decided_now(recorded: Any, decided: Any) -> None:
    from ab_replay import sections, targets

    page = PAGE.read_text(encoding="utf-8")
    assert [part for part in sections(recorded, decided) if part not in page] == []
    assert [target.line() for target in targets(decided) if target.line() not in page] == []


@needs_data
def test_file_is_small_and_has_no_paths() -> None:
    text = DATA.read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    assert not re.findall(r'["=]/.*', text)


# the scripts


def pair(model: str, number: int, log_ratio: float, *, stage: str = "screen", base_ns: float = 5e6) -> dict[str, Any]:
    """Return a pair as a pairs file has it, of eight turns."""
    sides = {
        side: {"median_ns": level, "mean_ns": level * 1.01, "turns_ns": [level * (1 + turn / 1e3) for turn in range(8)]}
        for side, level in (("base", base_ns), ("current", base_ns * math.exp(log_ratio)))
    }
    return {
        "round": number,
        "stage": stage,
        "case_id": f"{model}::benchmark[cpu]",
        "timing": "host",
        "log_ratio": log_ratio,
        **sides,
    }


def screened(model: str, log_ratio: float, **given: Any) -> list[dict[str, Any]]:
    return [pair(model, number, log_ratio + number / 1e4, **given) for number in range(3)]


def confirmed(model: str, log_ratio: float) -> list[dict[str, Any]]:
    return [pair(model, number, log_ratio + number / 1e4, stage="confirm") for number in range(10)]


def slowdown(carrier: str, percent: int) -> dict[str, Any]:
    return {"carrier": carrier, "percent": percent, "true_percent": percent + 0.1, "error_percent": 0.1}


def experiment(folder: Path, pairs: Sequence[Mapping[str, Any]], planted: Mapping[str, Any], **head: Any) -> Any:
    """Write an experiment of one run, and read it."""
    from ab_data import packed_cases, read_experiment, write_experiment

    path = folder / "runs.json"
    everything = {"recorded": "today", "command": ["ortperf", "ab"], "floors": {}, "planted": planted, **head}
    run = {"seed": 1, "status": 1, "seconds": 2.0, "busy_share": 0.5, "cases": packed_cases(pairs)}
    write_experiment(path, everything, [run])
    return read_experiment(path)


@pytest.fixture
def made(tmp_path: Path) -> Any:
    pairs = [
        *screened("same", 0.0),
        *screened("b_plus_10", 0.1),
        *confirmed("b_plus_10", 0.1),
        *screened("c_plus_5", 0.002),
    ]
    return experiment(tmp_path, pairs, {"b_plus_10": slowdown("b", 10), "c_plus_5": slowdown("c", 5)})


def test_experiment_comes_back_from_its_file(made: Any) -> None:
    (run,) = made.runs
    assert [(case.model, len(case.pairs)) for case in run.cases] == [("same", 3), ("b_plus_10", 13), ("c_plus_5", 3)]
    case = run.cases[1]
    assert (case.case_id, case.timing) == ("b_plus_10::benchmark[cpu]", "host")
    assert [one.stage for one in case.pairs] == ["screen"] * 3 + ["confirm"] * 10
    assert case.pairs[1].log_ratio == 0.1001
    assert (case.pairs[0].base_ns, case.pairs[0].current_ns) == (5_000_000, 5_525_900)
    assert case.current.mean_ns == 5_581_100
    assert case.base.turns_ns[:2] == (5_000_000, 5_005_000)


def test_decisions_are_the_products(made: Any) -> None:
    from ab_outcomes import outcomes

    found = outcomes(made)
    assert [(it.case.model, it.verdict) for it in found] == [
        ("same", "SAME"),
        ("b_plus_10", "SLOWER"),
        ("c_plus_5", "SAME"),
    ]
    assert [it.delta for it in found] == pytest.approx([0.03] * 3)
    assert [it.over_delta for it in found] == pytest.approx([0, 10.1 / 3, 5.1 / 3])


def test_floor_of_a_case_makes_its_delta(tmp_path: Path) -> None:
    from ab_outcomes import outcomes

    with_floor = experiment(tmp_path, screened("a", 0.0), {}, floors={"a::benchmark[cpu]": 0.1})
    (found,) = outcomes(with_floor)
    # twice that of one pair, over the root of the ten that decide
    assert found.delta == pytest.approx(math.expm1(0.2 / math.sqrt(10)))


def test_report_counts_what_is_found_and_what_is_false(made: Any) -> None:
    from ab_outcomes import outcomes
    from ab_replay import others_table, power_table, targets

    found = outcomes(made)
    assert [row.split("|")[1:6] for row in power_table(found).splitlines()[2:]] == [
        [" 5 %     ", "   5.10 to 5.10 ", "      1 ", "     1 ", "     0% "],
        [" 10 %    ", " 10.10 to 10.10 ", "      1 ", "     1 ", "   100% "],
    ]
    assert [target.line() for target in targets(found)] == [
        "- kept: no SLOWER and no FASTER of models that are the same: 0 of 1",
        "- kept: a delta of at most 3 % on two thirds of the models: 1 of 1",
        "- kept: 95% of slowdowns 2 and more times delta: 100% of 1",
        "- MISSED: 80% of slowdowns 1.5 to 2 times delta: 0% of 1",
    ]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in others_table(found).splitlines()]
    assert rows[0] == ["", "the same", "5 %", "10 %"]
    assert rows[2:] == [
        ["pytest-ortperf", "0%", "0%", "100%"],
        ["pytest-benchmark, mean:5%", "0%", "0%", "100%"],
        ["asv, factor 1.1", "0%", "0%", "100%"],
        ["removed script, as meant", "0%", "100%", "100%"],
        ["removed script, as written", "0%", "0%", "0%"],
    ]


def test_page_says_how_and_what(made: Any) -> None:
    from ab_outcomes import outcomes
    from ab_replay import page, sections

    found = outcomes(made)
    text = page(replace(made, command=("ortperf", "ab", "--ortperf-threads=1", "--pair-time=1")), found)
    assert "\n$ python benchmarks/ab_experiment.py planted --results=runs -- --pair-time=1\n" in text
    assert all(part in text for part in sections(made, found)[1:])
    assert text.endswith("- MISSED: 80% of slowdowns 1.5 to 2 times delta: 0% of 1\n")


def test_false_alarm_misses_the_target(tmp_path: Path) -> None:
    from ab_outcomes import outcomes
    from ab_replay import targets

    wrong = experiment(tmp_path, [*screened("same", -0.2), *confirmed("same", -0.2)], {})
    assert targets(outcomes(wrong))[0].line() == (
        "- MISSED: no SLOWER and no FASTER of models that are the same: 1 of 1"
    )


@pytest.mark.parametrize(
    ("one", "two", "p"),
    [
        # all apart: 2 / C(14, 7)
        (range(7), range(7, 14), 2 / 3432),
        # 4 and 4, one of 16 pairs the other way round: 2 * 2 / C(8, 4)
        ((1, 2, 3, 5), (4, 6, 7, 8), 4 / 70),
        # ties count as what makes it largest
        ((1, 1, 1), (1, 1, 1), 1.0),
        # more than 20: by the normal distribution; U is 0 of 625, the standard deviation 51.54
        (range(25), range(25, 50), math.erfc(312.5 / math.sqrt(625 * 51 / 12) / math.sqrt(2))),
    ],
)
def test_mann_whitney_p(one: Sequence[int], two: Sequence[int], p: float) -> None:
    from other_rules import mann_whitney_p

    assert mann_whitney_p(one, two) == pytest.approx(p)
    assert mann_whitney_p(two, one) == pytest.approx(p)


def test_asv_needs_samples_that_differ_and_a_factor() -> None:
    from ab_data import Side
    from other_rules import asv_different, asv_slower

    def side(level: float, step: float) -> Side:
        return Side(mean_ns=level, turns_ns=tuple(level + step * turn for turn in range(8)))

    assert asv_slower(side(100, 1), side(120, 1))
    assert not asv_slower(side(100, 1), side(109, 1))
    assert not asv_slower(side(100, 20), side(120, 20))
    assert not asv_slower(side(120, 1), side(100, 1))
    with pytest.raises(ValueError, match="5 and 5 samples are too few"):
        asv_different(range(5), range(5, 10))


AB = """
import json, pathlib, sys
results = pathlib.Path(next(part for part in sys.argv if part.startswith("--results=")).partition("=")[2])
results.mkdir()
lines = [{"schema": 1}, *({"pair": pair} for pair in json.loads(sys.argv[1])), {"end": 1}]
(results / "pairs_x.jsonl").write_text("".join(json.dumps(line) + "\\n" for line in lines))
with open("../calls.txt", "a") as calls:
    calls.write(" ".join(part for part in sys.argv[2:] if "seed" in part or part.startswith("--more")) + "\\n")
"""


def test_experiment_runs_what_is_not_done_and_collects_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ab_experiment
    from ab_data import read_experiment

    planted = tmp_path / "planted"
    (planted / "m").mkdir(parents=True)
    calibration = {"carrier": "m", "planted": [{**slowdown("m", 5), "within": True}]}
    (planted / "m" / "calibration.json").write_text(json.dumps(calibration))
    for side in ("base", "current"):
        (planted / f"{side}.json").write_text(json.dumps({"models": [{"name": "same"}, {"name": "m_plus_5"}]}))
    pairs = json.dumps([*screened("same", 0.0), *screened("m_plus_5", 0.05)])
    monkeypatch.setattr(ab_experiment, "_AB", (sys.executable, "-c", AB, pairs))
    plan = ab_experiment.Plan(planted, tmp_path / "results", ("--more=1",), None)
    for number in (0, 0, 1):
        ab_experiment.run_one(plan, number)
    assert (plan.results / "calls.txt").read_text() == "--seed=20261128 --more=1\n--seed=20261129 --more=1\n"
    assert ab_experiment.collect(plan, tmp_path / "data.json") == 2
    read = read_experiment(tmp_path / "data.json")
    assert [run.seed for run in read.runs] == [20261128, 20261129]
    assert Counter(case.model for run in read.runs for case in run.cases) == {"same": 2, "m_plus_5": 2}
    assert (read.planted["m_plus_5"].carrier, read.command) == ("m", ("ortperf", "ab", "--more=1"))
    assert "load average" in read.recorded


def test_planted_model_has_the_floor_of_its_carrier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ab_experiment

    (tmp_path / "m").mkdir()
    planted = [{**slowdown("m", 5), "within": True}]
    (tmp_path / "m" / "calibration.json").write_text(json.dumps({"carrier": "m", "planted": planted}))
    (tmp_path / "base.json").write_text(json.dumps({"models": [{"name": "m"}, {"name": "m_plus_5"}]}))
    (tmp_path / "current.json").write_text(json.dumps({"models": []}))
    case = {"case_id": "m::benchmark[cpu]", "timing": "host", "pairs": 10, "log_floor": 0.01}
    code = f"import json, sys; open('floor_x.json', 'w').write(json.dumps({{'cases': [{case}]}})); print(sys.argv)"
    monkeypatch.setattr(ab_experiment, "_AB", (sys.executable, "-c", code))
    plan = ab_experiment.Plan(tmp_path, tmp_path / "results", ("--more=1",), None)
    path = ab_experiment.measure_floor(plan)
    assert json.loads((path.parent / "models.json").read_text()) == {"models": [{"name": "m"}]}
    assert ab_experiment.floors_of(path) == {"m::benchmark[cpu]": 0.01, "m_plus_5::benchmark[cpu]": 0.01}
    monkeypatch.setattr(ab_experiment, "_AB", ("not", "called", "again"))
    assert ab_experiment.measure_floor(plan) == path


def test_what_follows_two_dashes_is_for_ortperf_ab() -> None:
    from ab_experiment import parse

    given, options = parse(["planted", "--repeat=3", "--results=x", "--", "--pair-time=1", "-k", "a or b"])
    assert (given.repeat, given.results, options) == (3, Path("x"), ("--pair-time=1", "-k", "a or b"))
    assert parse(["planted", "--results=x"])[1] == ()


def test_failed_run_is_told_and_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ab_experiment

    planted = tmp_path / "planted"
    planted.mkdir()
    for side in ("base", "current"):
        (planted / f"{side}.json").write_text(json.dumps({"models": [{"name": "same"}]}))
    monkeypatch.setattr(ab_experiment, "_AB", (sys.executable, "-c", "import sys; print('why'); sys.exit(2)"))
    plan = ab_experiment.Plan(planted, tmp_path / "results", (), None)
    for _ in range(2):
        with pytest.raises(SystemExit, match="run 0 ended with 2:\nwhy"):
            ab_experiment.run_one(plan, 0)


@pytest.mark.parametrize("script", ["ab_experiment", "ab_replay", "planted_models"])
def test_help_names_the_common_options(script: str) -> None:
    command = [sys.executable, BENCHMARKS / f"{script}.py", "--help"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "--repeat" in ended.stdout
    assert "--output" in ended.stdout
