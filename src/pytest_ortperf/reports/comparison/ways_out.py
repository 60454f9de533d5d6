"""Why pairs are UNSURE, in a sentence, and the commands that settle it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.comparison.compared_side import RunSide, Side
from pytest_ortperf.reports.comparison.evidence import MIN_RUNS, PAIRS
from pytest_ortperf.reports.comparison.latency_changes import LatencyPair
from pytest_ortperf.reports.comparison.run_comparison import Comparison
from pytest_ortperf.reports.comparison.thresholds import THRESHOLD
from pytest_ortperf.reports.comparison.verdicts import UNSURE
from pytest_ortperf.reports.tables.columns import runtime_version

OF_NO_MEASUREMENT = frozenset(
    [
        *(
            "baseline",
            "cache",
            "cache-size",
            "ci",
            "csv",
            "ep",
            "fail-on",
            "fp16",
            "history",
            "isolation",
            "keep",
            "label",
            "mode",
            "models",
        ),
        *(
            "min-change",
            "operators",
            "paired",
            "progress",
            "reference-ep",
            "results",
            "resume",
            "retry-failed",
            "samples",
            "timeout",
        ),
        *("trt-cache", "trtexec", "workspace"),
    ]
)
"""Options that change no measured value: runs that differ in them are runs of the same thing."""

_ANY_THRESHOLD = "--threshold=20%"
_MOST_IN_EXPRESSION = 4
_MORE_PAIRS = 20
_FEW_CASES = re.compile(r"Only .* can be paired, .*")
_WORDS = (
    (re.compile(r"it is not known on which .*"), "It is not known which machine measured one of the sides."),
    (re.compile(r"it was measured on another .*"), "The two sides were measured on different machines."),
    (re.compile(r"the noise hides (.*)"), r"Noise hides \1."),
    (re.compile(r"the interval reaches (.*)"), r"The interval of the ratio reaches \1."),
    (re.compile(r"no samples to look at, .*"), "Only means are known, no samples."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WayOut:
    """One reason for UNSURE, with the cases that have it."""

    reason: str
    """A sentence."""

    cases: tuple[str, ...]
    what: str
    """What settles it, in words that go before the commands."""

    commands: tuple[str, ...]


def ways_out(comparison: Comparison) -> list[WayOut]:
    """Return what settles the pairs that are UNSURE, the most common reason first."""
    groups: dict[tuple[str, str], list[LatencyPair]] = {}
    for pair in comparison.pairs:
        if pair.decision.verdict == UNSURE:
            words = re.sub(r"\d", "0", _first_reason(pair))
            groups.setdefault((words, _remedy(comparison, pair)), []).append(pair)
    found = [_way_out(comparison, remedy, pairs) for (_, remedy), pairs in groups.items()]
    return sorted(found, key=lambda each: -len(each.cases))


def _first_reason(pair: LatencyPair) -> str:
    return pair.decision.reasons[0] if pair.decision.reasons else "the evidence is not enough"


def sentence(reason: str) -> str:
    """Return a reason as a sentence."""
    for pattern, words in _WORDS:
        found = pattern.fullmatch(reason)
        if found:
            return found.expand(words)
    return f"{reason[:1].upper()}{reason[1:].removesuffix('.')}."


def _remedy(comparison: Comparison, pair: LatencyPair) -> str:
    """Return what settles a pair: the key of `_REMEDIES`."""
    if pair.evidence.kind == PAIRS:
        return "pairs"
    base, current = comparison.base.runs[-1], comparison.current.runs[-1]
    is_by_threshold = pair.decision.by == THRESHOLD
    if base.header is None or current.header is None:
        return "by hand" if is_by_threshold else "threshold"
    if _version(base) != _version(current):
        return "versions"
    if _differing_model(comparison, pair.case_id):
        return "models"
    if own_flags(base, current):
        return "options"
    has_no_neighbours = comparison.machine is not None or _FEW_CASES.fullmatch(_first_reason(pair))
    return "threshold" if has_no_neighbours and not is_by_threshold else "runs"


def _way_out(comparison: Comparison, remedy: str, pairs: Sequence[LatencyPair]) -> WayOut:
    base, current = comparison.base, comparison.current
    what, commands = _settled(remedy, base, current, pairs)
    reasons = list(dict.fromkeys(map(_first_reason, pairs)))
    reason = sentence(reasons[0])
    return WayOut(
        reason=reason
        if len(reasons) == 1
        else f"{reason} (Numbers of {pairs[0].case_id}; those of the others differ.)",
        cases=tuple(dict.fromkeys(pair.case_id for pair in pairs)),
        what=what,
        commands=tuple(commands),
    )


def _settled(remedy: str, base: Side, current: Side, pairs: Sequence[LatencyPair]) -> tuple[str, Sequence[str]]:
    if remedy == "pairs":
        return f"run the same command again with --confirm-pairs={_MORE_PAIRS}: more pairs narrow the interval", ()
    if remedy == "by hand":
        return "make more runs of both sides and give them all, or choose another threshold", ()
    if remedy == "threshold":
        names = [_argument(side) for side in (base, current)]
        return "decide on a threshold of your choice", [shlex.join(["ortperf", "compare", *names, _ANY_THRESHOLD])]
    if remedy == "runs":
        return _more_runs(base, current, pairs)
    before, after = base.runs[-1], current.runs[-1]
    if remedy == "versions":
        own = [f"--base-ort={_version(before)}", f"--current-ort={_version(after)}"]
        what = "measure both versions of ONNX Runtime in turns"
    elif remedy == "models":
        own = list(_model_lists(before, after))
        what = "measure both models in turns"
    else:
        own = own_flags(before, after)
        what = "measure both settings in turns"
    return what, [shlex.join(["ortperf", "ab", *own, *common_flags(before, after), *_expression(pairs)])]


def _more_runs(base: Side, current: Side, pairs: Sequence[LatencyPair]) -> tuple[str, Sequence[str]]:
    """Return how to make more runs of both sides, each into its folder, and compare these."""
    fewest = min(min(pair.evidence.base_count, pair.evidence.current_count) for pair in pairs)
    more = MIN_RUNS - fewest if fewest < MIN_RUNS else fewest
    folders = [str(side.runs[-1].options.get("results", "result")) for side in (base, current)]
    commands = [_command(side.runs[-1]) for side in (base, current)]
    if folders[0] == folders[1]:
        folders = ["before", "after"]
        commands = [
            [*command, f"--ortperf-results={folder}"] for command, folder in zip(commands, folders, strict=True)
        ]
        more = max(more, MIN_RUNS)
    times = "1 more run" if more == 1 else f"{more} more runs"
    return f"make {times} of each side and compare the folders", [
        *map(shlex.join, commands),
        shlex.join(["ortperf", "compare", *folders]),
    ]


def _command(run: RunSide) -> list[str]:
    return list(run.header.command if run.header else ()) or ["pytest"]


def _argument(side: Side) -> str:
    """Return what names a side on the command line."""
    if side.runs[-1].header is not None and side.name == "this run":
        return f"{side.runs[-1].options.get('results', 'result')}/records_{side.runs[-1].name}.jsonl"
    return side.name.partition(" (commit ")[0]


def _version(run: RunSide) -> str | None:
    return runtime_version(run.environment) if run.environment else None


def _differing_model(comparison: Comparison, case_id: str) -> bool:
    digests = [_digest(side.last[case_id].record) for side in (comparison.base, comparison.current)]
    return None not in digests and digests[0] != digests[1]


def _digest(record: Record) -> str | None:
    return record.model_fact.sha256 if record.model_fact else None


def _model_lists(before: RunSide, after: RunSide) -> Iterator[str]:
    """Yield the lists of both sides; where both have the same path, the base's is that of another checkout."""
    lists = [_texts(run.options.get("models")) or ["models.json"] for run in (before, after)]
    if lists[0] == lists[1]:
        commit = before.labels.get("commit", "")[:10]
        lists[0] = [f"CHECKOUT_OF_{commit or 'BASE'}/{name}" for name in lists[0]]
    for side, names in zip(("base", "current"), lists, strict=True):
        yield from (f"--{side}-models={name}" for name in names)


def own_flags(before: RunSide, after: RunSide) -> list[str]:
    """Return the options that only one side has, as `ortperf ab` takes them."""
    found = []
    for side, run, other in (("base", before, after), ("current", after, before)):
        different = {key: value for key, value in _measuring(run).items() if _measuring(other).get(key) != value}
        found += [f"--{side}-option={flag}" for flag in _flags(different)]
    return found


def common_flags(before: RunSide, after: RunSide) -> list[str]:
    """Return the options that both sides have and that change what is measured."""
    same = {key: value for key, value in _measuring(after).items() if _measuring(before).get(key) == value}
    return _flags(same)


def _measuring(run: RunSide) -> dict[str, object]:
    return {key: value for key, value in run.options.items() if key not in OF_NO_MEASUREMENT and value is not None}


def _flags(options: Mapping[str, object]) -> list[str]:
    return [
        f"--ortperf-{name}" if text == "True" else f"--ortperf-{name}={text}"
        for name, value in options.items()
        for text in _texts(value)
    ]


def _texts(value: object) -> list[str]:
    if value is None:
        return []
    return [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]


def _expression(pairs: Sequence[LatencyPair]) -> list[str]:
    """Return what limits a run to the providers and models of some pairs."""
    providers = sorted({pair.provider for pair in pairs})
    models = list(dict.fromkeys(pair.case_id.partition("::")[0] for pair in pairs))
    expression = ["-k", " or ".join(models)] if len(models) <= _MOST_IN_EXPRESSION else []
    return [f"--ortperf-ep={','.join(providers)}", *expression]
