"""The pytest hooks of every run on a machine that has this package: nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_ortperf import hooks
from pytest_ortperf.recording.lazy_recording import LazyRecording
from pytest_ortperf.settings import options

if TYPE_CHECKING:
    from pytest_ortperf.fixture.ortperf import OrtPerf

hinted_key = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(hooks)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, object, object]:
    # a wrapper, because it has to come before pytest-xdist's own hook, whichever was registered first
    if options.given(config, "mode") is not None:
        from pytest_ortperf.collection.activation import prepare

        prepare(config)
    return (yield)


def pytest_configure(config: pytest.Config) -> None:
    if options.given(config, "mode") is not None:
        _start(config)
        if options.given(config, "paired"):
            from pytest_ortperf.gates import paired_gains

            paired_gains.register(config)
    config.pluginmanager.register(LazyRecording(config), "ortperf-lazy-recording")
    if options.given(config, "baseline") is not None or options.given(config, "fail-on") is not None:
        from pytest_ortperf.gates import baseline_gate

        baseline_gate.register(config)


def _start(config: pytest.Config) -> None:
    """Register what an active run consists of."""
    from pytest_ortperf.collection.nodes import Collecting
    from pytest_ortperf.running.run import Run

    run = Run(config)
    config.pluginmanager.register(run, "ortperf-run")
    config.pluginmanager.register(Collecting(run), "ortperf-collecting")
    if config.option.collectonly:
        return
    from pytest_ortperf.running.isolation import runner_for

    # the recorder first: hooks run in the reverse order, and it has to see a crash as the runner has amended it
    if not options.is_worker(config):
        from pytest_ortperf.gates.dimension_check import DimensionCheck
        from pytest_ortperf.gates.machine_gate import MachineGate
        from pytest_ortperf.recording.progress import NAME, ProgressLine
        from pytest_ortperf.recording.recorder import Recorder

        config.pluginmanager.register(ProgressLine(config), NAME)
        config.pluginmanager.register(MachineGate(run), "ortperf-machine")
        config.pluginmanager.register(Recorder(run), "ortperf-recorder")
        config.pluginmanager.register(DimensionCheck(run.settings.axes.dims), "ortperf-dimension-check")
    config.pluginmanager.register(runner_for(run), "ortperf-isolation")


@pytest.fixture
def ortperf(request: pytest.FixtureRequest) -> Generator[OrtPerf, None, None]:
    """Validate and benchmark ONNX models inside a test: `ortperf.benchmark("model.onnx", ep="cpu")`."""
    from pytest_ortperf.fixture.ortperf import open_fixture

    with open_fixture(request) as found:
        yield found


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> None:
    if file_path.name != "models.json" or options.given(parent.config, "mode") is not None:
        return
    if parent.session.isinitpath(file_path):
        parent.config.stash[hinted_key] = f"{file_path} looks like a model list; collect it with"


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and options.flags(session.config):
        session.config.stash.setdefault(hinted_key, "no model list is collected without")


def pytest_unconfigure(config: pytest.Config) -> None:
    hint = config.stash.get(hinted_key, None)
    if hint is not None and options.given(config, "mode") is None:
        config.get_terminal_writer().line(f"hint: {hint} --ortperf-mode=validate, benchmark or both")
