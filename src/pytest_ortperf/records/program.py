"""An external program that ran a case instead of ONNX Runtime: what it was, what it built, what it warned of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

FROM_SAMPLES = "exported times"
FROM_SUMMARY = "printed summary"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramFact:
    """One program over all the times that it was started for a case."""

    path: str
    version: str
    """Such as `10.16.1`."""

    build_tag: str | None = None
    """Such as `b11`."""

    commands: Mapping[str, str] = field(default_factory=dict)
    """`build`, `validate` or a timing mode -> command line; file names without a folder are of a temporary one."""

    engine: str | None = None
    """`built`, or `loaded` where an earlier case or run had built it; `None` if it did not come to it."""

    build_ns: int | None = None
    """As the program tells; `None` for one that was loaded."""

    build_wall_ns: int | None = None
    """From the program's start to its end, loading of its libraries included."""

    load_ns: int | None = None
    """Deserialisation of the engine in the first measured run, as the program tells."""

    engine_byte: int | None = None
    """Size of the engine's file."""

    context_byte: int | None = None
    """Device memory of the execution context: activations and scratch, without the weights."""

    build_peak_byte: int | None = None
    """Most device memory that the builder held."""

    device: str | None = None
    """Name of the device that the program says it chose."""

    numbers_from: Mapping[str, str] = field(default_factory=dict)
    """Timing mode -> where its numbers come from: `exported times`, a sample a query, or `printed summary`."""

    throughput_per_s: Mapping[str, float] = field(default_factory=dict)
    """Timing mode -> queries per second as printed; queries may overlap, so it is not one over the latency."""

    advice: tuple[str, ...] = ()
    """What the program warned of that bears on its numbers, and what helps."""
