"""Where the time of a run goes: operators by provider and type, from ONNX Runtime's profile of a session of its own."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_ortperf.records.resources import Arena


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorTime:
    """All nodes of one operator type on one provider, as the session ran them: after fusions."""

    provider: str
    """Full name."""

    op_type: str
    """As ONNX Runtime ran it: a fused type, or the provider's name for subgraphs that it compiled."""

    nodes: int
    """Nodes of the type; one in a loop counts once, a compiled subgraph is one."""

    time_ns: int
    """Time in one run: the sum over the nodes of each one's median over the runs. A node that runs a subgraph
    counts without the nodes in it. On a device it is the host's time, see the documentation."""

    kernel_ns: int | None = None
    """Time of the device's kernels in one run; `None` where the build of ONNX Runtime does not tell it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorProfile:
    """Operators of the steady runs of a session that wrote a profile: never those of the latency."""

    runs: int
    """Steady runs that the times are of."""

    run_ns: int
    """Median time of such a whole run. The profile itself makes it longer than the latency."""

    operators: tuple[OperatorTime, ...]
    """Longest first."""

    overlapping: bool = False
    """Whether operators ran at the same time, in several threads: then their sum says nothing about the run's time."""

    arenas: tuple[Arena, ...] = ()
    """Memory of ONNX Runtime's arenas in these runs, by provider; empty where the profile does not tell."""

    notes: tuple[str, ...] = ()
    """What is to be known of these numbers."""

    @property
    def total_ns(self) -> int:
        """Time of all operators."""
        return sum(operator.time_ns for operator in self.operators)

    @property
    def between_ns(self) -> int | None:
        """What of a run is in no operator; `None` where operators overlap."""
        return None if self.overlapping else max(self.run_ns - self.total_ns, 0)

    def share(self, time_ns: int) -> float | None:
        """Return a part of the time of all operators, 0 to 1; `None` if nothing took time."""
        return time_ns / self.total_ns if self.total_ns else None

    def share_of(self, provider: str) -> float | None:
        """Return the share of the time of all operators that is a provider's, by its full name."""
        return self.share(self.time_ns_of(provider))

    def time_ns_of(self, provider: str) -> int:
        """Return the time of a provider's operators, by its full name."""
        return sum(operator.time_ns for operator in self.operators if operator.provider == provider)
