# ruff: noqa: E501 - messages in full
from collections.abc import Callable
from typing import Any

import pytest

from pytest_ortperf.cases.expectations import LIMITS, Limit, LimitRule, limits_of
from pytest_ortperf.cases.model import Model

Read = Callable[..., tuple[Model, ...]]
IssuesOf = Callable[[Any], list[str]]


def entry(expect: Any) -> list[Any]:
    return [{"name": "a", "path": "a.onnx", "expect": expect}]


def test_one_object_or_several_become_rules(read: Read) -> None:
    (model,) = read(
        entry([{"p99_ms": 3, "provider": "CUDAExecutionProvider", "dims": {"batch": 8}}, {"throughput": 2}])
    )
    assert model.limits == (
        LimitRule(limits={"p99_ms": 3.0}, provider="cuda", dims={"batch": 8}),
        LimitRule(limits={"throughput": 2.0}),
    )


def test_rules_of_the_entry_stand_before_those_of_the_defaults(read: Read) -> None:
    (model,) = read({"defaults": {"expect": {"p50_ms": 9, "first_run_s": 1}}, "models": entry({"p50_ms": 5})})
    assert limits_of(model.limits, provider="cpu", precisions=["fp32"], dims={}) == {
        ("p50_ms", None): Limit(5.0),
        ("first_run_s", None): Limit(1.0),
    }


@pytest.mark.parametrize(
    ("case", "limit"),
    [
        ({"provider": "cuda", "precisions": ["fp16"], "dims": {"batch": 8}}, 1.0),
        ({"provider": "cuda", "precisions": ["fp16"], "dims": {"batch": 1}}, 2.0),
        ({"provider": "cuda", "precisions": ["fp32"], "dims": {}}, 3.0),
        ({"provider": "cpu", "precisions": [None], "dims": {}}, 4.0),
    ],
)
def test_the_first_rule_that_applies_counts(case: Any, limit: float) -> None:
    rules = (
        LimitRule(limits={"p50_ms": 1.0}, provider="cuda", precision="fp16", dims={"batch": 8}),
        LimitRule(limits={"p50_ms": 2.0}, precision="fp16"),
        LimitRule(limits={"p50_ms": 3.0}, provider="cuda"),
        LimitRule(limits={"p50_ms": 4.0}),
    )
    assert limits_of(rules, **case) == {("p50_ms", None): Limit(limit)}


def test_limits_of_two_timing_modes_hold_side_by_side() -> None:
    rules = (LimitRule(limits={"p50_ms": 1.0}, timing="bound"), LimitRule(limits={"p50_ms": 2.0}))
    assert limits_of(rules, provider="cuda", precisions=[None], dims={}) == {
        ("p50_ms", "bound"): Limit(1.0),
        ("p50_ms", None): Limit(2.0),
    }


def test_a_strict_rule_gives_strict_limits(read: Read) -> None:
    (model,) = read(entry([{"p50_ms": 5, "throughput": 2, "strict": True}, {"first_run_s": 1, "strict": False}]))
    assert limits_of(model.limits, provider="cpu", precisions=["fp32"], dims={}) == {
        ("p50_ms", None): Limit(5.0, strict=True),
        ("throughput", None): Limit(2.0, strict=True),
        ("first_run_s", None): Limit(1.0),
    }


KEYS = ", ".join(LIMITS)


@pytest.mark.parametrize(
    ("expect", "issue"),
    [
        (
            {"p50ms": 5},
            f"expect: unknown key 'p50ms'; did you mean 'p50_ms'? Known keys are {KEYS}, provider, precision, timing, dims, strict",
        ),
        ({"p50_ms": "5"}, 'expect.p50_ms: is "5"; it must be a number above 0'),
        ({"p50_ms": 0}, "expect.p50_ms: is 0; it must be a number above 0"),
        ([{"p50_ms": 1}, 3], 'expect[1]: is 3; it must be an object such as {"p50_ms": 5}, or a list of them'),
        ({"provider": "cuda"}, f"expect: limits nothing; give at least one of {KEYS}"),
        ({"strict": True}, f"expect: limits nothing; give at least one of {KEYS}"),
        ({"p50_ms": 1, "strict": "yes"}, 'expect.strict: is "yes"; it must be true or false'),
        (
            {"throughput": 1, "p99_ms": 2, "strict": True},
            "expect: strict means nothing for p99_ms, throughput; it is about p50_ms alone",
        ),
        (
            {"p50_ms": 1, "timing": "gpu"},
            "expect.timing: unknown timing 'gpu'; known timings are host, bound, bound+copies, graph",
        ),
        (
            {"p50_ms": 1, "first_run_s": 1, "timing": "host"},
            "expect: timing 'host' means nothing for first_run_s; put it in an object of its own",
        ),
        ({"p50_ms": 1, "dims": 8}, 'expect.dims: is 8; it must be an object of values by dimension name, such as {"batch": 8}'),
    ],
)  # fmt: skip
def test_what_cannot_be_a_limit_is_an_issue_of_the_list(issues_of: IssuesOf, expect: Any, issue: str) -> None:
    assert issue in [line.removeprefix("models[0] 'a': ") for line in issues_of(entry(expect))]
