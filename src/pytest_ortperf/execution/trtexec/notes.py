"""What engines and measured runs add to the facts of a program."""

from __future__ import annotations

import dataclasses

from pytest_ortperf.execution.case_settings import Tool
from pytest_ortperf.execution.trtexec.advice import advice_of
from pytest_ortperf.execution.trtexec.engine import Engine
from pytest_ortperf.execution.trtexec.timed import Timed
from pytest_ortperf.records.program import FROM_SAMPLES, ProgramFact

BY_EVENTS = "by CUDA events: launching on the host is not inside"

_MIB = 2**20


def fact_of(tool: Tool) -> ProgramFact:
    """Return what is known before it starts."""
    return ProgramFact(path=tool.path, version=tool.version_text, build_tag=tool.build_tag)


def with_commands(known: ProgramFact, **commands: str) -> ProgramFact:
    """Return the facts with command lines that were run."""
    return dataclasses.replace(known, commands={**known.commands, **commands})


def with_engine(known: ProgramFact, engine: Engine) -> ProgramFact:
    """Return the facts with an engine and what its build told."""
    log = engine.log
    noted = dataclasses.replace(
        known,
        engine="loaded" if log is None else "built",
        engine_byte=engine.byte,
        build_ns=_scaled(log.build_s, 1e9) if log else None,
        build_wall_ns=engine.wall_ns,
        build_peak_byte=_scaled(log.builder_peak_gpu_mib, _MIB) if log else None,
    )
    return with_commands(noted, build=engine.command) if engine.command else noted


def with_timed(known: ProgramFact, timing: str, timed: Timed) -> ProgramFact:
    """Return the facts with one timing mode."""
    log = timed.log
    rate = {timing: log.throughput_qps} if log.throughput_qps else {}
    noted = dataclasses.replace(
        known,
        numbers_from={**known.numbers_from, timing: timed.numbers_from},
        throughput_per_s={**known.throughput_per_s, **rate},
        load_ns=known.load_ns or _scaled(log.deserialize_s, 1e9),
        context_byte=known.context_byte or _scaled(log.context_mib, _MIB),
        advice=tuple(dict.fromkeys((*known.advice, *advice_of(log)))),
    )
    return with_commands(noted, **{timing: timed.command})


def timing_note(timed: Timed) -> str:
    """Return what is to be known of the numbers of a timing mode."""
    origin = [] if timed.numbers_from == FROM_SAMPLES else [timed.numbers_from]
    return "; ".join([BY_EVENTS, *origin, *advice_of(timed.log)])


def _scaled(value: float | None, unit: float) -> int | None:
    return None if value is None else round(value * unit)
