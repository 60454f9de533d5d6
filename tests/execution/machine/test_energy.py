from __future__ import annotations

from pathlib import Path

import pytest

from pytest_ortperf.execution.machine.resource_meter import Rapl, energy_of
from pytest_ortperf.records.resources import Energy

MS = 1_000_000


def stepped(watt: float, step_ms: int, until_ms: int, first_ms: int = 0) -> list[tuple[int, float]]:
    """Return readings each 10 ms of a counter that moves each `step_ms`, from a device at a constant power."""
    return [((first_ms + at) * MS, watt * (at // step_ms * step_ms)) for at in range(0, until_ms + 1, 10)]


@pytest.mark.parametrize("step_ms", [10, 20, 100])
def test_energy_of_an_iteration_is_that_of_its_share_of_the_window(step_ms: int) -> None:
    found = energy_of("NVML", stepped(300, step_ms, 1000), window_ns=1000 * MS, iterations=500)
    assert isinstance(found, Energy)
    assert found.power_w == pytest.approx(300)
    assert found.per_iteration_mj == pytest.approx(600)
    assert found.updates == 1000 // step_ms


def test_a_counter_that_hardly_moves_gives_no_energy() -> None:
    assert energy_of("NVML", stepped(300, 250, 1000), window_ns=1000 * MS, iterations=9) == (
        "the counter of NVML changed 4 times in the window, 5 are needed"
    )
    assert energy_of("NVML", stepped(300, 20, 200), window_ns=200 * MS, iterations=9) == (
        "the counter of NVML changed during 180 ms, 300 are needed"
    )
    assert energy_of("NVML", [], window_ns=1, iterations=1) == (
        "the counter of NVML changed 0 times in the window, 5 are needed"
    )


def package(root: Path, number: int, energy_uj: int, name: str = "package-0") -> Path:
    folder = root / f"intel-rapl:{number}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text("262143328850\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    return folder


def test_packages_are_added_and_a_counter_may_start_again(tmp_path: Path) -> None:
    package(tmp_path, 0, 262143328000)
    package(tmp_path, 1, 5000, "package-1")
    package(tmp_path, 2, 0, "psys")
    rapl = Rapl(tmp_path)
    assert (rapl.reason, rapl.read_mj()) == (None, 0)
    package(tmp_path, 0, 149)
    package(tmp_path, 1, 7000, "package-1")
    package(tmp_path, 2, 10**9, "psys")
    assert rapl.read_mj() == 3.0


def test_what_cannot_be_read_has_its_reason(tmp_path: Path) -> None:
    assert Rapl(tmp_path).reason == f"{tmp_path} lists no processor package"
    (package(tmp_path, 0, 1) / "energy_uj").unlink()
    assert Rapl(tmp_path).reason == f"{tmp_path}/intel-rapl:0: No such file or directory"
