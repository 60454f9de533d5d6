"""A fallback that is planted, and how it has to be caught."""

from __future__ import annotations

from dataclasses import dataclass

from plugin.project import Project
from providers import small_models
from providers.small_models import give_model
from providers.traces import latency_traces


@dataclass(frozen=True, kw_only=True)
class Planted:
    """Options that ask for a provider which will not run the model."""

    provider: str
    options: tuple[str, ...] = ()
    model: str = "network"
    """Function of `small_models`."""

    kind: str
    stage: str
    message: str
    """The whole of it."""


def check(project: Project, planted: Planted) -> None:
    """Benchmark it with the CPU provider beside it; assert that it fails so, and that no time of it is told."""
    give_model(project, getattr(small_models, planted.model)())
    result = project.run(
        f"--ortperf-ep=cpu,{planted.provider}",
        *planted.options,
        "--ortperf-iterations=3",
        "--ortperf-warmup=1",
        "--ortperf-env=off",
        "--junit-xml=j.xml",
        mode="benchmark",
    )
    assert result.outcomes == {"m::benchmark[cpu]": "passed", f"m::benchmark[{planted.provider}]": "failed"}, result.out
    (failure,) = (record["failure"] for record in result.records if record["failure"])
    assert (failure["kind"], failure["stage"], failure["message"]) == (planted.kind, planted.stage, planted.message)
    assert f"FAILED models.json::m::benchmark[{planted.provider}] - {planted.message}" in result.out
    traces = latency_traces(project, result, planted.provider)
    assert [it for it in traces if planted.stage == "session" or "creation" not in it] == []
    places = {it.partition(" ")[0] for it in latency_traces(project, result, "cpu")}
    assert places == {"record", "csv", "terminal", "junit"}
