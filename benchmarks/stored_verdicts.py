"""Simulate runs against stored runs: false verdicts and power of the comparison's decision, by noise and runs.

400 cases, 20 of them slower by `--slower`. Noise, as standard deviations in percent: of a session as a whole, of a
case in a session, of a process. It is assumed, not measured; what disturbs a machine in bursts is not in it.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Sequence

from pytest_ortperf.records.record import Record, SessionFact
from pytest_ortperf.reports.comparison.compared_side import CaseResult, Observation, RunSide, Side
from pytest_ortperf.reports.comparison.latency_changes import compare_latencies

CASES, SLOWER = 400, 20
MACHINES = {"quiet": (0.3, 0.2, 0.3), "shared": (1.5, 1.0, 1.0), "cloud": (3.0, 2.5, 2.0)}
RUNS = ((1, 1), (3, 3), (6, 1), (6, 6))


def main() -> int:
    """Print a line for each machine and number of runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("--slower", type=float, default=5.0, help="percent")
    arguments = parser.parse_args()
    print("machine  runs   false verdicts a comparison   found %   SAME % of the unchanged")
    for machine, noise in MACHINES.items():
        for runs in RUNS:
            counts = Counter[str]()
            for seed in range(arguments.repeat):
                dice = random.Random(f"{machine} {runs} {seed}")  # noqa: S311 - noise
                counts += compared(noise, runs, 1 + arguments.slower / 100, dice)
            false = counts["false"] / arguments.repeat
            found = 100 * counts["found"] / arguments.repeat / SLOWER
            same = 100 * counts["same"] / arguments.repeat / (CASES - SLOWER)
            print(f"{machine:8} {runs[0]}+{runs[1]}  {false:28.2f} {found:9.1f} {same:25.1f}")
    return 0


def compared(noise: Sequence[float], runs: tuple[int, int], factor: float, dice: random.Random) -> Counter[str]:
    """Compare two sides once and count what came out."""
    base, current = (side(noise, count, speed, dice) for count, speed in zip(runs, (1.0, factor), strict=True))
    counts = Counter[str]()
    for pair in compare_latencies(base, current).pairs:
        number, verdict = int(pair.case_id), pair.decision.verdict
        if number < SLOWER:
            counts["found"] += verdict == "SLOWER"
            counts["false"] += verdict == "FASTER"
        else:
            counts["same"] += verdict == "SAME"
            counts["false"] += verdict in {"SLOWER", "FASTER"}
    return counts


def side(noise: Sequence[float], runs: int, factor: float, dice: random.Random) -> Side:
    """Return runs of all cases, each 0.5 ms but for noise and, of the first 20, the factor."""
    session, item, process = (part / 100 for part in noise)
    found = []
    for number in range(runs):
        common = dice.gauss(0, session)
        cases = {
            str(case): measured(
                case,
                5e5 * (factor if case < SLOWER else 1) * (1 + common + dice.gauss(0, item) + dice.gauss(0, process)),
            )
            for case in range(CASES)
        }
        quiet = {"fingerprint": "one", "canary_ns": {"compute": 1.0}, "canary_spread": 0.0}
        found.append(RunSide(name=str(number), cases=cases, **quiet))
    return Side(name="side", runs=tuple(found))


def measured(case: int, median_ns: float) -> CaseResult:
    """Return a case whose fastest iteration is as far from its median as all others'."""
    record = Record(
        case_id=str(case),
        nodeid=str(case),
        model=str(case),
        mode="benchmark",
        provider="cpu",
        provider_full_name="CPUExecutionProvider",
        session=SessionFact(
            requested_providers=("CPUExecutionProvider",),
            active_providers=("CPUExecutionProvider",),
            provider_options={},
            graph_optimization="all",
            intra_op_threads=1,
            creation_ns=0,
        ),
        precision=None,
        outcome="passed",
        started="2026-01-01T00:00:00+00:00",
    )
    observation = Observation(mean_ns=median_ns, median_ns=median_ns, min_ns=0.98 * median_ns, log_error=0.001)
    return CaseResult(record=record, observations={"host": (observation,)})


if __name__ == "__main__":
    sys.exit(main())
