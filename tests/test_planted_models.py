"""Planted slowdowns: the outputs stay, the work stays, and the scripts that make and choose them."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import onnx
import onnxruntime
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def scripts_importable() -> Iterator[None]:
    """Let the scripts' modules be imported as they import each other."""
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


# int64 inputs, an opset whose Slice has attributes, several outputs of other types, quantised
@pytest.mark.parametrize("name", ["tiny_bert", "squeezenet", "multi_io", "int8_qdq_cnn"])
@pytest.mark.parametrize(("kind", "nodes", "size"), [("chain", 3, 7), ("maxima", 2, 5)])
def test_planted_model_gives_the_same_outputs_and_keeps_its_work(
    name: str, kind: str, nodes: int, size: int, tmp_path: Path
) -> None:
    from carriers import load_carrier, same_outputs
    from planting import Work, checked, plant, planted_nodes

    carrier = load_carrier(name)
    planted = checked(plant(carrier.model, carrier.output, Work(kind, nodes, size)))
    assert same_outputs(carrier, planted)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(planted.SerializeToString(), options, providers=["CPUExecutionProvider"])
    kept = onnx.load(tmp_path / "optimised.onnx", load_external_data=False)
    assert planted_nodes(planted) >= nodes
    assert planted_nodes(kept) == planted_nodes(planted)


def test_another_model_is_told_from_the_carrier() -> None:
    from carriers import load_carrier, same_outputs

    carrier = load_carrier("multi_io")
    other = onnx.ModelProto()
    other.CopyFrom(carrier.model)
    for node in other.graph.node:
        if carrier.output in node.output:
            node.output[list(node.output).index(carrier.output)] = "plain"
    other.graph.node.append(onnx.helper.make_node("Neg", ["plain"], [carrier.output]))
    assert not same_outputs(carrier, other)


@pytest.mark.parametrize("bad", [("chain", 0, 1), ("maxima", 2, 3)])
def test_work_that_cannot_be_made_is_refused(bad: tuple[str, int, int]) -> None:
    from carriers import load_carrier
    from planting import Work, plant

    carrier = load_carrier("multi_io")
    with pytest.raises(ValueError, match="at least"):
        plant(carrier.model, carrier.output, Work(*bad))
    with pytest.raises(ValueError, match="no node makes the output 'x'"):
        plant(carrier.model, "x", Work("chain", 1, 1))


@pytest.mark.parametrize("target_ns", [800, 3000, 12_000, 90_000, 900_000])
def test_first_guess_takes_about_the_time_asked_for(target_ns: int) -> None:
    from work_costs import Costs

    work = Costs().work(target_ns)
    assert work is not None
    assert Costs().of(work) == pytest.approx(target_ns, rel=0.1)


def test_time_shorter_than_a_node_cannot_be_planted() -> None:
    from work_costs import Costs

    assert Costs().work(100) is None


def test_costs_are_corrected_by_what_work_came_to() -> None:
    from planted_models import chosen
    from planting import Work
    from work_costs import Costs

    first = Costs()
    chains = [(Work("chain", 2, 3000), 2.2), (Work("chain", 3, 8000), 1.95)]
    maxima = [Work("maxima", 1, 2), Work("maxima", 1, 6), Work("maxima", 4, 8), Work("maxima", 3, 9)]
    real = Costs(maxima_node=800, maxima_input=200)
    came_to = [(work, factor * first.of(work)) for work, factor in chains] + [(work, real.of(work)) for work in maxima]
    costs = first.corrected(came_to)
    assert costs.element / first.element == pytest.approx(2, rel=0.02)
    assert costs.of(Work("maxima", 2, 6)) == pytest.approx(2000, rel=0.02)
    assert first.corrected([]) == first
    assert [each.percent for each in chosen(1e6, costs, {})] == [1, 2, 3, 5, 6, 10]
    assert chosen(1e3, costs, {}) == []


def test_what_is_not_known_corrects_nothing() -> None:
    from planted_models import Planted, came_to
    from planting import Work

    work = Work("chain", 1, 1)
    assert came_to([Planted(5, work, 4.0, 0.2), Planted(10, work, 20.0, 8.0)], 1e6) == [(work, 40_000)]


def test_undisturbed_calls_are_the_fastest_twentieth() -> None:
    from planted_timing import quantile

    assert quantile(range(1000, 1101)) == 1005
    assert quantile([7]) == 7
    assert quantile([1, 2]) == pytest.approx(1.05)


def test_maxima_known_to_take_something_else_are_not_chosen_again() -> None:
    from planting import Work
    from work_costs import Costs

    first = Costs().work(1060)
    assert first == Work("maxima", 2, 4)
    known = {first: 2000.0, Work("maxima", 1, 6): 1061.0}
    assert Costs().work(1060, known) == Work("maxima", 1, 6)


def test_slowdown_is_used_if_it_came_out_within_what_is_allowed() -> None:
    from planted_models import Planted
    from planting import Work

    def planted(percent: int, true: float, error: float = 0.1) -> Planted:
        return Planted(percent, Work("chain", 1, 1), true, error)

    assert [planted(1, true).is_close for true in (0.6, 0.8, 1.2, 1.4)] == [False, True, True, False]
    assert [planted(10, true).is_close for true in (8.9, 9.1, 10.9, 11.1)] == [False, True, True, False]
    # as far as it is known
    assert [planted(1, 1.4, error).is_close for error in (0.3, 0.45, 0.6)] == [False, True, False]


def test_every_percentage_is_in_each_run_once_and_its_models_take_turns() -> None:
    from ab_experiment import chosen

    planted = [f"m{number}_plus_{percent}" for number in range(6) for percent in (1, 2, 10)]
    runs = [chosen(["same", *planted], number) for number in range(20)]
    assert all(run[0] == "same" and len(run) == 4 for run in runs)
    counts = Counter(name for run in runs for name in run if name != "same")
    assert set(counts) == set(planted)
    assert set(counts.values()) == {3, 4}
    # the carriers of one run differ
    assert all(len({name.partition("_")[0] for name in run[1:]}) == 3 for run in runs)


def test_lists_of_both_sides_differ_in_what_is_planted_only(tmp_path: Path) -> None:
    import planted_models

    calibration = {
        "carrier": "multi_io",
        "base_ns": 50_000,
        "entry": {"tags": ["dynamic"]},
        "planted": [{"percent": 5, "within": True}, {"percent": 1, "within": False}],
    }
    folder = tmp_path / "multi_io"
    folder.mkdir()
    (folder / "calibration.json").write_text(json.dumps(calibration), encoding="utf-8")
    assert planted_models.write_lists(tmp_path) == {5: 1}
    base, current = (json.loads((tmp_path / f"{side}.json").read_text())["models"] for side in ("base", "current"))
    assert base[:-1] == current[:-1]
    assert len(base) == 18
    assert base[-1] == {"name": "multi_io_plus_5", "tags": ["dynamic"], "path": str(folder / "base.onnx")}
    assert current[-1] == {**base[-1], "path": str(folder / "plus_5.onnx")}


def test_load_is_on_and_off_in_turns_of_2_to_6_s_the_same_for_the_same_seed() -> None:
    from load_generator import phases

    first, again, other = (list(islice(phases(seed), 20)) for seed in (1, 1, 2))
    assert first == again != other
    assert all(2 <= seconds <= 6 for _, seconds in first)
    assert all(one[0] != two[0] for one, two in pairwise(first))


def test_load_ends_and_says_what_it_took() -> None:
    from load_generator import load

    with load(0) as loaded:
        assert loaded.busy_share is None
    assert loaded.busy_share is not None
    assert 0 <= loaded.busy_share <= 1.1
