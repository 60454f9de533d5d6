"""`--ortperf-paired`: after the test loop, in the controller, gains over the reference provider measured in turns."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ortperf.errors import OrtPerfError
from pytest_ortperf.plain_text import plain_line
from pytest_ortperf.records.pairs import Pair
from pytest_ortperf.records.pairs_file import PairsFile, pairs_path
from pytest_ortperf.reports.tables.gains import Gains
from pytest_ortperf.settings import options
from pytest_ortperf.settings.option_table import Scope
from pytest_ortperf.settings.options import is_worker

if TYPE_CHECKING:
    from pytest_ortperf.pairing.coordinator import Coordinator
    from pytest_ortperf.pairing.measure_pair import Match
    from pytest_ortperf.pairing.side_process import SideSpec
    from pytest_ortperf.records.store import StoredRun
    from pytest_ortperf.running.run import Run

PAIRS = 6
"""The fewest that give the median an interval."""

_NOTHING = (
    "--ortperf-paired measured nothing: no case was measured on a provider and on its reference provider; "
    "name both with --ortperf-ep"
)

_OF_SIDE: tuple[Scope, ...] = ("selection", "outputs", "case", "measurement")
"""Scopes of options that a side takes over, but for its mode and its provider."""


@dataclass(frozen=True, slots=True)
class _Contest:
    """A provider and its reference provider."""

    reference: str
    provider: str


def register(config: pytest.Config) -> None:
    """Register it in the process that sees all results."""
    if not is_worker(config) and not config.option.collectonly:
        run: Any = config.pluginmanager.getplugin("ortperf-run")
        config.pluginmanager.register(PairedGains(run), "ortperf-paired")


class PairedGains:
    """Measures what both providers passed, one provider after the other."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._pairs: dict[_Contest, Sequence[Pair]] = {}
        self._notes: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        result = yield
        recorder: Any = self._run.config.pluginmanager.getplugin("ortperf-recorder")
        stored: StoredRun | None = recorder.stored
        if stored is not None and not session.shouldstop and not session.shouldfail:
            contests = contests_of(stored)
            for contest, cases in contests.items():
                self._measure(contest, cases, stored)
            if not contests:
                self._notes.append(_NOTHING)
        return result

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        from pytest_ortperf.reports.comparison.paired import paired_lines

        width = self._run.config.get_terminal_writer().fullwidth
        for contest, pairs in self._pairs.items():
            terminalreporter.section(f"ortperf: {contest.provider} and {contest.reference} in turns")
            for line in paired_lines(pairs, contest.reference, width):
                terminalreporter.line(plain_line(line))
        for note in self._notes:
            terminalreporter.line(note, yellow=True)

    def _measure(self, contest: _Contest, cases: Mapping[str, str], stored: StoredRun) -> None:
        name = f"{stored.header.run}_{contest.provider}_{contest.reference}"
        try:
            with PairsFile(pairs_path(self._run.settings.results, name)) as file:
                coordinator = self._coordinator(contest, cases, file)
                coordinator.run()
        except OrtPerfError as error:
            self._notes.append(f"{contest.provider} was not measured in turns with {contest.reference}: {error}")
            return
        self._pairs[contest] = coordinator.pairs
        failed = {record.record.case_id for record in coordinator.records if record.record.failure}
        self._notes += [f"{case_id}: failed when it was measured in turns, see {file.path}" for case_id in failed]

    def _coordinator(self, contest: _Contest, cases: Mapping[str, str], file: PairsFile) -> Coordinator:
        from pytest_ortperf.pairing.coordinator import Coordinator, fresh_sides
        from pytest_ortperf.pairing.plan import PAIR_S, Pace, Plan, header_of, matches_of

        specs = (self._spec("base", contest.reference), self._spec("current", contest.provider))
        pair_s = min(PAIR_S, self._run.settings.execution.max_time_s)
        plan = Plan(screen_pairs=PAIRS, confirm_pairs=0, pair_s=pair_s)
        with fresh_sides(specs) as (base, current):
            matches = [it for it in matches_of(base, current) if cases.get(it.current_id) == it.base_id]
            file.append(header_of(file.path, plan, (base, current)))
        return Coordinator(
            plan=plan,
            specs=specs,
            matches=matches,
            file=file,
            pairs=[],
            records=[],
            budget_s=None,
            tell=self._tell,
            sort=_none,
            pace=Pace(plan),
        )

    def _spec(self, side: str, provider: str) -> SideSpec:
        from pytest_ortperf.pairing.side_process import SideSpec

        config = self._run.config
        given = config.option
        inipath = [] if config.inipath is None else ["-c", str(config.inipath)]
        return SideSpec(
            name=side,
            python=sys.executable,
            options=(
                f"--rootdir={config.rootpath}",
                *inipath,
                *(f"--override-ini={each}" for each in given.override_ini or ()),
                *(f"-p{each}" for each in given.plugins or ()),
                *options.flags(config, _OF_SIDE, without=("mode", "ep")),
                f"--ortperf-ep={provider}",
                *config.args,
            ),
        )

    def _tell(self, line: str) -> None:
        terminal = self._run.config.pluginmanager.getplugin("terminalreporter")
        if terminal is not None and terminal.verbosity >= 0:
            terminal.ensure_newline()
            terminal.write_line(f"ortperf: in turns: {line}")


def contests_of(stored: StoredRun) -> dict[_Contest, dict[str, str]]:
    """Return what is to be measured in turns: by providers, case id -> case id on the reference provider."""
    gains = Gains(stored.header, stored.records)
    found: dict[_Contest, dict[str, str]] = {}
    for record in stored.records:
        reference = gains.reference_of(record) if record.latencies else None
        if reference is not None and record.program is None:
            contest = _Contest(reference.provider, record.provider)
            found.setdefault(contest, {})[record.case_id] = reference.case_id
    return found


def _none(_: Sequence[Pair], __: Sequence[Match]) -> tuple[list[Match], list[Match]]:
    return [], []
