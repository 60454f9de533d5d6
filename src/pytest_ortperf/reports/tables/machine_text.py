"""What was off with the machine, for the terminal: each kind once, however many benchmarks it touched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_ortperf.records.environment.machine_checks import LEVELS, OFF, Finding, MachineState, merged
from pytest_ortperf.records.store import StoredRun

MOST_KINDS = 6


@dataclass(frozen=True, slots=True)
class MachineLine:
    """One line, and whether it is of something that `strict` refuses."""

    text: str
    rejects: bool = False


def machine_lines(run: StoredRun) -> list[MachineLine]:
    """Return what was off, the worst first, what matters for the same reason together; nothing for a quiet machine."""
    states = [record.machine for record in run.records if record.machine]
    of_records = [finding for state in states for finding in state.findings]
    of_run = [*run.header.machine, *(run.end.machine if run.end else ())]
    kinds = sorted(merged([*of_run, *of_records]), key=lambda found: -LEVELS.index(found.level))
    off = [found for found in kinds if found.level in ("warning", "reject")]
    groups = [[found for found in off if found.why == why] for why in dict.fromkeys(found.why for found in off)]
    lines = [line for group in groups[:MOST_KINDS] for line in _group(group, of_records)]
    if len(groups) > MOST_KINDS:
        lines.append(MachineLine(f"machine: and {len(groups) - MOST_KINDS} more kinds, in {run.path.name}"))
    again = sum(span.discarded for state in states for span in state.spans)
    if again:
        text = "1 spoiled measurement was" if again == 1 else f"{again} spoiled measurements were"
        lines.append(MachineLine(f"machine: {text} thrown away and made again"))
    advice = [found.check for found in kinds if found.level == "advice"]
    if lines and advice:
        lines.append(MachineLine(f"machine: could be quieter: {', '.join(advice)}, see {run.path.name}"))
    return lines


def off_text(state: MachineState | None) -> str | None:
    """Return what was off while a benchmark was measured: `warning: steal: 3.1% ...; ...`; `None` for nothing."""
    off = [found for found in (state.findings if state else ()) if found.level in OFF]
    return "; ".join(f"{found.level}: {found.check}: {found.seen}" for found in off) or None


def _group(group: Sequence[Finding], of_records: Iterable[Finding]) -> list[MachineLine]:
    """Return a line for each of several findings that matter for the same reason, then the reason and a way out.

    Records of other tools may say neither.
    """
    worst_one = group[0]
    lines = [_kind(found, of_records) for found in group]
    said = [worst_one.why and f"{worst_one.why}.", worst_one.advice and f"Try: {worst_one.advice}"]
    reason = " ".join(text for text in said if text)
    return [*lines, MachineLine(f"  {reason}", worst_one.level == "reject")] if reason else lines


def _kind(found: Finding, of_records: Iterable[Finding]) -> MachineLine:
    count = sum(it.check == found.check and it.level == found.level for it in of_records)
    where = "" if not count else " (1 benchmark)" if count == 1 else f" (one of {count} benchmarks)"
    return MachineLine(f"machine: {found.check}: {found.seen}{where}", found.level == "reject")
