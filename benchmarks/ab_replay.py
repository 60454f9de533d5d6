"""Decide anew on what `ab_experiment.py` recorded, and say how often that is wrong, and how often a slowdown is found.

The decisions are the product's own. Beside them stand other tools' rules on the same data. Nothing is measured.

Exit status: 1 if a target is missed.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from ab_data import DATA, Experiment, read_experiment
from ab_experiment import OPTIONS
from ab_outcomes import (
    CLASSES,
    Outcome,
    counts,
    delta_of,
    detected,
    grouped,
    in_class,
    outcomes,
    planted,
    slowdown_of,
    small_deltas,
    typical_ms,
    unplanted,
)
from measuring import Report, Target, parser, table
from other_rules import RULES, called_slower

from pytest_ortperf.reports.comparison.verdicts import FASTER, SAME, SLOWER, UNSURE, VERDICTS

SMALL_SHARE = 2 / 3
AT_TWICE, AT_ONE_AND_A_HALF = 0.95, 0.80

HOW = """\
`benchmarks/ab_experiment.py` runs `ortperf ab` again and again on models with planted slowdowns, and keeps what it
measured in `benchmarks/data/ab_runs.json`. `benchmarks/ab_replay.py` decides anew on that, and prints the tables below.

<!-- not run: the first two take an hour, and measure the machine -->
```console
$ python benchmarks/planted_models.py planted
$ python benchmarks/ab_experiment.py planted --results=runs{options}
$ python benchmarks/ab_replay.py
```
"""
SAME_TEXT = (
    "{runs} runs of `ortperf ab` with {models} models that are the same on both sides, each beside {planted} models "
    "with a slowdown, while another process kept a core busy for 2 to 6 s and let it go for 2 to 6 s, at random "
    "({busy:.0%} of a core in all). Delta: from which change on the model counts as changed; the median over the runs, "
    "and the largest. Pairs: all that were run, screening included."
)
POWER_TEXT = (
    "The same runs: how often a slowdown is called SLOWER. True: what undisturbed calls in fresh processes took with "
    "the extra nodes and without, both in turns, least to greatest over the models; each has a standard error of at "
    "most {error:.2f} points, because sessions of the same model differ by up to a percent, as their memory lies."
)
OTHERS_TEXT = (
    "Other tools' rules on the same data: called slower, of the models that are the same (which must be none) and of "
    "each slowdown. Each gets what it would have: one process a side, the first pair's, with the mean of all "
    "iterations or, as samples, the medians of its turns. Both processes were measured in turns; these tools run one "
    "after the other, where a machine like this one drifts further, so that they do better here than there."
)


def same_table(found: Sequence[Outcome]) -> str:
    """Return verdicts and deltas of the models that are the same on both sides."""
    by_model = unplanted(found)
    rows = [_same_row(name, each) for name, each in sorted(by_model.items(), key=lambda item: typical_ms(item[1]))]
    total = counts([it for each in by_model.values() for it in each])
    return table(
        ["", "ms", *VERDICTS, "delta, %", "largest", "pairs"],
        [*rows, ["all", "", *(str(total[verdict]) for verdict in VERDICTS), "", "", ""]],
    )


def _same_row(name: str, each: Sequence[Outcome]) -> list[str]:
    number = counts(each)
    return [
        name,
        f"{typical_ms(each):.3f}",
        *(str(number[verdict]) for verdict in VERDICTS),
        f"{100 * delta_of(each):.1f}",
        f"{100 * max(it.delta for it in each):.1f}",
        str(sum(len(it.case.pairs) for it in each)),
    ]


def power_table(found: Sequence[Outcome]) -> str:
    """Return how often each planted percentage is found."""
    rows = []
    for percent, each in grouped(lambda it: str(slowdown_of(it).percent), planted(found)).items():
        true = [slowdown_of(it).true_percent for it in each]
        number = counts(each)
        carriers = len({slowdown_of(it).carrier for it in each})
        rows.append(
            [
                f"{percent} %",
                f"{min(true):.2f} to {max(true):.2f}",
                str(carriers),
                str(len(each)),
                f"{detected(each):.0%}",
            ]
            + [str(number[verdict]) for verdict in (UNSURE, SAME, FASTER)]
        )
    return table(["planted", "true, %", "models", "times", SLOWER, UNSURE, SAME, FASTER], rows)


def class_table(found: Sequence[Outcome]) -> str:
    """Return how often slowdowns are found by their size beside delta."""
    rows = []
    for name in CLASSES:
        each = in_class(found, name)
        share = f"{detected(each):.0%}" if each else "-"
        rows.append([name, str(len(each)), share, *(str(counts(each)[verdict]) for verdict in (UNSURE, SAME, FASTER))])
    return table(["slowdown over delta", "times", SLOWER, UNSURE, SAME, FASTER], rows)


def carrier_table(found: Sequence[Outcome]) -> str:
    """Return how often slowdowns are found by model and percentage."""
    every = planted(found)
    percents = sorted({slowdown_of(it).percent for it in every})
    rows = []
    by_carrier = grouped(lambda it: slowdown_of(it).carrier, every)
    for carrier, each in sorted(by_carrier.items(), key=lambda item: typical_ms(item[1])):
        cells = [[it for it in each if slowdown_of(it).percent == percent] for percent in percents]
        shown = [f"{counts(cell)[SLOWER]} of {len(cell)}" if cell else "-" for cell in cells]
        rows.append([carrier, f"{typical_ms(each):.3f}", f"{100 * delta_of(each):.1f}", *shown])
    return table(["", "ms", "delta, %", *(f"{percent} %" for percent in percents)], rows)


def others_table(found: Sequence[Outcome]) -> str:
    """Return what the rules of other tools say, beside the product's verdicts."""
    same = [it for it in found if it.slowdown is None]
    groups = [same, *grouped(lambda it: str(slowdown_of(it).percent), planted(found)).values()]
    rows = [
        [name, *(_share([called_slower(rule, it.case) for it in each]) for each in groups)]
        for name, rule in RULES.items()
    ]
    ours = ["pytest-ortperf", *(_share([it.verdict == SLOWER for it in each]) for each in groups)]
    percents = [f"{slowdown_of(each[0]).percent} %" for each in groups[1:]]
    return table(["", "the same", *percents], [ours, *rows])


def targets(found: Sequence[Outcome]) -> list[Target]:
    """Return what was promised, beside what came out."""
    same = counts([it for it in found if it.slowdown is None])
    false = same[SLOWER] + same[FASTER]
    small, models = small_deltas(found)
    made = [
        Target("no SLOWER and no FASTER of models that are the same", f"{false} of {same.total()}", kept=not false),
        Target(
            "a delta of at most 3 % on two thirds of the models", f"{small} of {models}", small >= SMALL_SHARE * models
        ),
    ]
    for name, least in (("2 and more", AT_TWICE), ("1.5 to 2", AT_ONE_AND_A_HALF)):
        each = in_class(found, name)
        share = detected(each) if each else 0.0
        made.append(
            Target(f"{least:.0%} of slowdowns {name} times delta", f"{share:.0%} of {len(each)}", share >= least)
        )
    return made


def sections(experiment: Experiment, found: Sequence[Outcome]) -> list[str]:
    """Return texts and tables."""
    by_model = unplanted(found)
    number = counts([it for each in by_model.values() for it in each])
    return [
        f"Recorded: {experiment.recorded} `{' '.join(experiment.command)}`",
        "## The same on both sides",
        SAME_TEXT.format(
            runs=len(experiment.runs),
            models=len(by_model),
            planted=len(planted(found)) // len(experiment.runs),
            busy=statistics.fmean(run.busy_share for run in experiment.runs),
        ),
        same_table(found),
        f"UNSURE: {number[UNSURE] / number.total():.1%}.",
        "## Slowdowns",
        POWER_TEXT.format(error=max(slowdown_of(it).error_percent for it in planted(found))),
        power_table(found),
        class_table(found),
        carrier_table(found),
        "## Other rules",
        OTHERS_TEXT,
        others_table(found),
    ]


def page(experiment: Experiment, found: Sequence[Outcome]) -> str:
    """Return a page of the documentation."""
    options = [part for part in experiment.command[2:] if part not in OPTIONS]
    given = [*(["--aa"] if experiment.floors else []), *(["--"] if options else []), *options]
    how = HOW.format(options="".join(f" {part}" for part in given))
    lines = "\n".join(target.line() for target in targets(found))
    parts = ["# `ortperf ab` under load", how.rstrip(), *sections(experiment, found), "## Targets", lines]
    return "\n\n".join(parts) + "\n"


def _share(flags: Sequence[bool]) -> str:
    return f"{sum(flags) / len(flags):.0%}"


def main() -> int:
    """Decide, print the report, return the exit status."""
    made = parser(__doc__, rounds=1)
    made.add_argument("--data", type=Path, default=DATA, metavar="FILE", help="default %(default)s")
    made.add_argument("--page", type=Path, metavar="FILE", help="write a page of the documentation")
    given = made.parse_args()
    experiment = read_experiment(given.data)
    report = Report("ortperf ab under load, replayed")
    found = outcomes(experiment)
    report.sections, report.targets = sections(experiment, found), targets(found)
    report.finish(given.output)
    if given.page is not None:
        given.page.write_text(page(experiment, found), encoding="utf-8")
    return int(not all(target.kept for target in report.targets))


if __name__ == "__main__":
    sys.exit(main())
