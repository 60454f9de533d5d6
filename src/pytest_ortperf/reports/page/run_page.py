"""The page of a run, from its records alone: the same bytes for the same records.

Imports jinja2; import this only where a page is written.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from pytest_ortperf.records.environment.machine_checks import LEVELS, Finding, merged
from pytest_ortperf.records.record import OUTCOMES
from pytest_ortperf.records.statistics import summarize
from pytest_ortperf.records.store import StoredRun
from pytest_ortperf.reports.causes import failure_causes, outcome_word, remark_causes
from pytest_ortperf.reports.comparison.change import WORSE
from pytest_ortperf.reports.comparison.comparison_page import section
from pytest_ortperf.reports.comparison.run_comparison import Comparison, verdict_text
from pytest_ortperf.reports.comparison.verdicts import SLOWER, UNSURE
from pytest_ortperf.reports.frame import RUN_SCRIPTS, RUN_STYLES, frame
from pytest_ortperf.reports.page.page_data import packed_data
from pytest_ortperf.reports.pictures.picture_page import error_section
from pytest_ortperf.reports.rendering import render
from pytest_ortperf.reports.standings import Fastest, Standing, fastest, gain_text, interval_text, standings
from pytest_ortperf.reports.tables.columns import dims_text, runtime_version
from pytest_ortperf.reports.tables.gains import counts
from pytest_ortperf.reports.tables.rows import Rows, Subject, sorted_rows, subject_of

MOST_PICTURES = 20
"""Cases whose error pictures are in the page; those of others are in files beside the records."""

_SLOWEST = 6
_KINDS = {"passed": "passed", "failed": "failed", "crashed": "failed", "timed_out": "failed"}


def run_page(run: StoredRun, comparison: Comparison | None = None) -> str:
    """Return the page of a run, with a comparison with its baseline if there is one."""
    rows = sorted_rows(run)
    failures, remarks = failure_causes(rows), remark_causes(rows)
    best = fastest(rows, rows.measured)
    stood = standings(rows, best)
    pictured = [record for record in rows.failed if record.error_pictures][:MOST_PICTURES]
    names = {record.nodeid: f"pictures-{number}" for number, record in enumerate(pictured)}
    return render(
        "run_page.html",
        title=f"ortperf {run.header.run}: {headline(rows)}",
        frame=frame(RUN_STYLES, RUN_SCRIPTS),
        headline=headline(rows),
        outcomes=_outcomes(rows),
        facts=list(run_facts(run)),
        notes=list(_notes(run)),
        failures=list(enumerate(failures)),
        remarks=list(enumerate(remarks, start=len(failures))),
        validated=_validated(rows),
        known_failures=_known_failures(rows),
        standings=[(it, _gain(it)) for it in stood],
        **_speed(rows, best, stood),
        **_compared(comparison),
        **_environment(run),
        pictures=[
            (names[record.nodeid], Markup("").join(map(error_section, record.error_pictures))) for record in pictured
        ],
        data=Markup(packed_data(rows, [*failures, *remarks], best, names)),  # noqa: S704 - base64
    )


def headline(rows: Rows) -> str:
    """Return the answer in one line: `3 of 68 cases failed`."""
    models = len({record.model for record in rows.records})
    of_models = f"{len(rows.records)} {_plural('case', len(rows.records))} of {models} {_plural('model', models)}"
    if not rows.records:
        return "No case was run"
    if rows.failed:
        return f"{len(rows.failed)} of {of_models} failed"
    ran = any(record.outcome != "skipped" for record in rows.records)
    return f"{of_models}, none failed" if ran else f"{of_models}, all skipped"


def run_facts(run: StoredRun) -> Iterator[str]:
    """Yield what the run was: its id, runtime, hardware, labels and time."""
    environment = run.header.environment
    version = runtime_version(environment)
    yield f"run {run.header.run}"
    if version:
        yield f"ONNX Runtime {version}"
    yield from ([environment.cpu] if environment.cpu else [])
    gpus = Counter(gpu.name for gpu in environment.gpus)
    yield from (f"{count} x {name}" if count > 1 else name for name, count in gpus.items())
    labels = run.header.labels
    yield from (f"{name} {labels[name][:40]}" for name in ("branch",) if name in labels)
    yield from (f"commit {labels[name][:12]}" for name in ("commit",) if name in labels)
    if run.end:
        yield f"{run.end.duration_ns / 1e9:.1f} s"


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def _outcomes(rows: Rows) -> list[tuple[str, str, int]]:
    found = Counter(record.outcome for record in rows.records)
    return [(_KINDS.get(name, "skipped"), outcome_word(name), found[name]) for name in OUTCOMES if found[name]]


def _notes(run: StoredRun) -> Iterator[str]:
    if run.end is None:
        yield "The run did not come to its end: cases may be missing here."
    elif run.end.collected is not None and run.end.collected > len(run.records):
        yield f"{run.end.collected - len(run.records)} cases were not run."
    for name, reason in run.header.unusable_providers.items():
        yield f"{name} was left out: {reason}"
    yield from run.notes


def _validated(rows: Rows) -> str:
    compared = sum(record.mode == "validate" and record.outcome == "passed" for record in rows.records)
    if not compared:
        return "No output was validated in this run."
    return f"The outputs of {compared} {_plural('case', compared)} are within their tolerance."


def _known_failures(rows: Rows) -> str:
    count = sum(record.outcome == "xfailed" for record in rows.records)
    return f"{count} known {_plural('failure', count)}, expected by the model list." if count else ""


def _gain(standing: Standing) -> tuple[str, str, str] | None:
    """Return the mean gain of a provider, its interval, and of how many benchmarks it is."""
    gain = standing.gain
    if gain is None:
        return None
    return (f"{gain_text(gain.ratio)} vs {gain.reference}", interval_text(gain), str(gain.cases))


def _speed(rows: Rows, best: Mapping[Subject, Fastest], stood: Sequence[Standing]) -> dict[str, Any]:
    """Return what the card of speed shows: the fastest variants, or the slowest models where there is one variant."""
    leaders = [
        {
            "model": _subject_text(subject),
            "names": found.text,
            "ms": f"{found.rows[0].summary.p50_ns / 1e6:.4g}",
            "lead": found.lead,
        }
        for subject, found in best.items()
    ]
    measured = [record for record in rows.records if counts(record) and record.latencies]
    slowest = sorted(((summarize(it.latencies[0]).p50_ns, it) for it in measured), key=lambda pair: -pair[0])
    return {
        "fastest": sorted((it for it in stood if it.fastest_for), key=lambda it: -it.fastest_for),
        "leaders": leaders,
        "slowest": [(_subject_text(subject_of(it)), f"{p50 / 1e6:.4g}") for p50, it in slowest[:_SLOWEST]],
    }


def _subject_text(subject: Subject) -> str:
    """Return `bert` or `bert (batch=8)`."""
    dims = dims_text(dict(subject[2]))
    return f"{subject[1]} ({dims})" if dims else subject[1]


def _compared(comparison: Comparison | None) -> dict[str, Any]:
    if comparison is None:
        return {"comparison": None}
    slower = [pair for pair in comparison.pairs if pair.decision.verdict == SLOWER]
    worse = Counter(change.kind for change in comparison.changes if change.direction == WORSE)
    return {
        "comparison": comparison,
        "comparison_section": section(comparison),
        "unsure": comparison.counts[UNSURE],
        "slower": sorted(slower, key=lambda pair: -pair.evidence.ratio),
        "verdicts": verdict_text(comparison),
        "worse": [f"{count} {kind}" for kind, count in worse.items()],
    }


def _environment(run: StoredRun) -> dict[str, Any]:
    header = run.header
    environment = header.environment
    skipped = ("gpus", "packages", "environment_variables", "fingerprint")
    machine: list[tuple[str, object]] = [("run", header.run), ("started", header.started)]
    for field in dataclasses.fields(environment):
        value = getattr(environment, field.name)
        if field.name == "memory_byte":
            machine.append(("memory", value and f"{value / 2**30:.1f} GiB"))
        elif field.name not in skipped:
            machine.append((field.name.replace("_", " "), value))
    machine += [(f"GPU {gpu.index}", _gpu(gpu.name, gpu.memory_byte)) for gpu in environment.gpus]
    machine += [(f"label {name}", value) for name, value in header.labels.items()]
    return {
        "machine": [(name, value) for name, value in machine if value is not None],
        "findings": _findings(run),
        "command": shlex.join(header.command),
        "more": [
            ("Packages", sorted(environment.packages.items())),
            ("Environment variables", sorted(environment.environment_variables.items())),
            (
                "Options",
                [(name, _option(value)) for name, value in sorted(header.options.items()) if value is not None],
            ),
        ],
    }


def _gpu(name: str, memory_byte: int | None) -> str:
    return f"{name}, {memory_byte / 2**30:.0f} GiB" if memory_byte else name


def _option(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _findings(run: StoredRun) -> list[Finding]:
    """Return what was off with the machine, each kind once, the worst first."""
    of_records = [found for record in run.records if record.machine for found in record.machine.findings]
    found = merged([*run.header.machine, *(run.end.machine if run.end else ()), *of_records])
    off = [each for each in found if each.level not in ("ok", "unknown")]
    return sorted(off, key=lambda each: -LEVELS.index(each.level))
