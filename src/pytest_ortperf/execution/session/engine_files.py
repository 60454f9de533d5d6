"""Whether TensorRT built its engines for a session, or read them from its cache."""

from __future__ import annotations

from pathlib import Path

from pytest_ortperf.records.record import SessionFact

_CLOCK_STEP_NS = 20_000_000
"""A file's time comes from a clock that the kernel moves on less often than the one that is asked."""


def engines_of(session: SessionFact, since_ns: int) -> str | None:
    """Return `built` if a session wrote an engine file, `loaded` if it found them, else `None`.

    Without a cache each session builds its own; with dynamic dimensions and no profile, the first run does.

    Args:
        session: As made, with the options it got.
        since_ns: When its creation began, on the clock of `time.time_ns`.
    """
    options = session.provider_options.get("TensorrtExecutionProvider", {})
    if "trt_engine_cache_path" not in options:
        return None
    times = [path.stat().st_mtime_ns for path in Path(options["trt_engine_cache_path"]).glob("*.engine")]
    if not times:
        return None
    return "built" if max(times) >= since_ns - _CLOCK_STEP_NS else "loaded"
