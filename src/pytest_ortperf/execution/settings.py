"""How cases are run: what the options say, for the stage that runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pytest_ortperf.cases.model import EMPTY, Tolerance

InputSource = Literal["auto", "zoo", "random"]
GraphOptimization = Literal["disable", "basic", "extended", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionSettings:
    """Settings of `pytest_ortperf.execution.execute`; the defaults are the product's."""

    input_source: InputSource = "auto"
    """`zoo` is stored data only, `random` generated only, `auto` stored where there are some."""

    seed: int = 0
    """Of generated inputs."""

    iterations: int | None = None
    """Timed iterations; `None` times until `max_time_s`."""

    warmup: int | None = None
    """Warm-up iterations; `None` is at least `MIN_WARMUP` and `MIN_WARMUP_S`."""

    max_time_s: float = 2.0
    """Of timed iterations, where `iterations` is not given."""

    tolerance: Tolerance = field(default_factory=Tolerance)
    """Over those of the model list and the defaults by precision."""

    graph_optimization: GraphOptimization = "all"
    threads: int | None = None
    """Intra-op threads; `None` is ONNX Runtime's default."""

    ep_options: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: EMPTY)
    """Provider options by short name; over those of the model list, key by key."""

    workspace: Path | None = None
