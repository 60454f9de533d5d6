"""A case that trtexec runs: model -> engine -> outputs compared | latencies, with the inputs of every other case.

What engines and measured runs add to the facts of a program.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from pytest_ortperf.errors import CaseError
from pytest_ortperf.execution.case_flow import Execution
from pytest_ortperf.execution.case_settings import Tool
from pytest_ortperf.execution.inputs.case_data import CaseData, batch_of, case_data, stored_sets, tensor_facts
from pytest_ortperf.execution.inputs.tensor_types import Value
from pytest_ortperf.execution.machine.machine_state import MachineWatch, refuse_machine, refuse_state, watched_machine
from pytest_ortperf.execution.model.model_dimensions import fixes_dims
from pytest_ortperf.execution.model.precision import noted
from pytest_ortperf.execution.process.external_program import folder_of
from pytest_ortperf.execution.session.resolved_options import lower_precisions, lower_precisions_note
from pytest_ortperf.execution.session.run_errors import wanted_outputs
from pytest_ortperf.execution.trtexec.engine import Engine, EngineBuild, engine_of
from pytest_ortperf.execution.trtexec.flags import (
    BUILD_SECTIONS,
    RUN_SECTIONS,
    TIMINGS,
    BuildPlan,
    half_flag,
    run_command,
    user_flags,
)
from pytest_ortperf.execution.trtexec.memory import ProgramMemory, program_memory
from pytest_ortperf.execution.trtexec.printed import advice_of, graph_refusal
from pytest_ortperf.execution.trtexec.program_run import Started, require_success
from pytest_ortperf.execution.trtexec.program_tensors import (
    Signature,
    fed_shapes_text,
    parse_outputs,
    profile_of,
    read_signature,
    write_inputs,
)
from pytest_ortperf.execution.trtexec.timed import Task, Timed, measure_timing
from pytest_ortperf.execution.trtexec.tool import chosen_tool
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


DEFAULT_TIMINGS = ("bound", "bound+copies")
NO_HOST = "trtexec times the GPU by CUDA events: there is no call from arrays to arrays to time; see bound+copies"
_OUTPUTS = "outputs.json"


class TrtexecExecution(Execution):
    """One case on its way through trtexec."""

    def validate(self) -> None:
        """Compare the outputs of every data set with their references.

        Raises:
            CaseError: The first thing that went wrong; all data sets are compared before a mismatch counts.
        """
        with folder_of(self.facts.journal) as folder:
            started = Started(self.facts, folder)
            self._prepare()
            data_sets = self._data_sets()
            engine = self._engine(data_sets, started)
            self._validate_engine(data_sets, engine, started)

    def benchmark(self, *, validate_first: bool) -> None:
        """Measure the engine on the first data set.

        Args:
            validate_first: Compare outputs before; a mismatch ends the case.

        Raises:
            CaseError: As `validate`.
        """
        refuse_machine(self.settings)
        with folder_of(self.facts.journal) as folder:
            started = Started(self.facts, folder)
            with program_memory(self.case, self.settings, self.facts, started) as memory:
                self._benchmark(started, memory, validate_first=validate_first)
        refuse_state(self.facts.machine, self.settings)

    def _benchmark(self, started: Started, memory: ProgramMemory | None, *, validate_first: bool) -> None:
        self._prepare()
        data_sets = self._data_sets() if validate_first else self._data_sets()[:1]
        with memory.building() if memory else nullcontext():
            engine = self._engine(data_sets, started)
        if validate_first:
            self._validate_engine(data_sets, engine, started)
        with watched_machine(self.case, self.settings) as watch, memory.running() if memory else nullcontext():
            try:
                self._measure(data_sets[0], engine, started, watch)
            finally:
                self.facts.machine = watch.state

    def profile(self) -> None:
        """Leave operators alone: ONNX Runtime has no part in this."""

    def keep_files(self) -> None:
        """Write the log, the one file that trtexec has of what can be asked for."""
        asked = self.settings.keep - {"log"}
        if asked:
            self.facts.kept = {"refused": f"trtexec writes no {' and no '.join(sorted(asked))} of ONNX Runtime's"}

    def _trtexec_version(self) -> str | None:
        return self._tool.version_text

    @cached_property
    def _tool(self) -> Tool:
        return chosen_tool(self.settings)

    @cached_property
    def _signature(self) -> Signature:
        fixed = dict(self.case.dims) if fixes_dims(self.case, self.settings) else {}
        return read_signature(self._require_prepared().source, fixed)

    def _prepare(self) -> None:
        with self.facts.entering("session"):
            self.facts.program = fact_of(self._tool)
        super()._prepare()
        self._note_precision()

    def _data_sets(self) -> list[CaseData]:
        with self.facts.entering("inputs"):
            signature: Any = self._signature
            data_sets = list(case_data(signature, self.case, self.settings))
            self.facts.inputs = tensor_facts(data_sets[0])
        return data_sets

    def _engine(self, data_sets: Sequence[CaseData], started: Started) -> Engine:
        with self.facts.entering("inputs"):
            profile = profile_of(self._signature.inputs, [data.inputs for data in data_sets], self.case)
        with self.facts.entering("session"):
            extra = user_flags(self._tool, self.case, self.settings, BUILD_SECTIONS)
            plan = BuildPlan(
                model=str(Path(self._require_prepared().source).absolute()), profile=profile, half=self._half
            )
            build = EngineBuild(tool=self._tool, case=self.case, settings=self.settings, extra=extra)
            engine = engine_of(build, plan, started)
        self._profile = profile
        self.facts.program = with_engine(self._program, engine)
        return engine

    def _validate_engine(self, data_sets: Sequence[CaseData], engine: Engine, started: Started) -> None:
        self._compare_all(data_sets, lambda data, _: self._outputs(data, engine, started))

    def _outputs(self, data: CaseData, engine: Engine, started: Started) -> Mapping[str, Value]:
        with self.facts.entering("first_run"):
            exported = started.folder / _OUTPUTS
            exported.unlink(missing_ok=True)
            flags = ["--iterations=1", "--duration=0", "--warmUp=0", f"--exportOutput={_OUTPUTS}"]
            command = run_command(self._tool, engine.path, [*self._fed(data, started), *flags])
            self.facts.program = with_commands(self._program, validate=shlex.join(command))
            ended = started.run(command)
            require_success(ended, doing="running the engine", stage="first_run")
            signature: Any = self._signature
            wanted = wanted_outputs(signature, self.case)
            metas = [meta for meta in self._signature.outputs if wanted is None or meta.name in wanted]
            text = exported.read_text("utf-8") if exported.exists() else ""
            return parse_outputs(text, metas)

    def _fed(self, data: CaseData, started: Started) -> list[str]:
        files = write_inputs(data.inputs, started.folder, self._tool.version)
        shapes = fed_shapes_text(self._profile, data.inputs)
        given = user_flags(self._tool, self.case, self.settings, RUN_SECTIONS)
        return [*([f"--loadInputs={files}"] if files else []), *([f"--shapes={shapes}"] if shapes else []), *given]

    def _measure(self, data: CaseData, engine: Engine, started: Started, watch: MachineWatch) -> None:
        count = stored_sets(self.case, self.settings)
        self.facts.note(f"timed on {data.name}, the first of {count} data sets" if count > 1 else None)
        with self.facts.entering("inputs"):
            signature: Any = self._signature
            batch = batch_of(signature, data.inputs, self.case.model.batch_dim)
            task = Task(tool=self._tool, engine=engine.path, fed=self._fed(data, started), batch=batch)
        for timing in self.settings.timing or DEFAULT_TIMINGS:
            if timing not in TIMINGS:
                self.facts.refused_timings[timing] = NO_HOST
                continue
            with self.facts.entering("timing"):
                measure = partial(measure_timing, timing, task, self.settings, started)
                timed = watch.take(timing, measure, lambda: None)
            self._note_timed(timing, timed, data.name)
        if not self.facts.latencies:
            raise CaseError(
                "\n".join(f"--ortperf-timing={name}: {why}" for name, why in self.facts.refused_timings.items()),
                stage="timing",
                kind="timing unavailable",
            )

    @property
    def _half(self) -> bool:
        fact = self.facts.model_fact
        asked = self.case.precision == "fp16" or (fact is not None and fact.precision == "fp16")
        return half_flag(self._tool, asked=asked)

    def _note_timed(self, timing: str, timed: Timed, data_set: str) -> None:
        ignored = graph_refusal(timed.log) if timing == "graph" else None
        if ignored:
            self.facts.refused_timings[timing] = ignored
            return
        self.facts.latencies += (dataclasses.replace(timed.latency, data_set=data_set),)
        self.facts.timing_notes[timing] = timing_note(timed)
        self.facts.program = with_timed(self._program, timing, timed)

    def _note_precision(self) -> None:
        fact = self.facts.model_fact
        if fact is None or fact.compute_precision is not None:
            return
        options = {"trt_fp16_enable": str(self._half), **({"use_tf32": "0"} if self._no_tf32 else {})}
        lower = lower_precisions(self.case.provider, options, fact.precision, os.environ)
        if lower:
            known = dataclasses.replace(fact, compute_precision=lower[-1])
            self.facts.model_fact = noted(known, lower_precisions_note(lower))

    @property
    def _no_tf32(self) -> bool:
        name = self.case.provider.name
        return "noTF32" in {**self.case.model.ep_options.get(name, {}), **self.settings.ep_options.get(name, {})}

    @property
    def _program(self) -> ProgramFact:
        if self.facts.program is None:
            raise RuntimeError("no program yet")
        return self.facts.program
