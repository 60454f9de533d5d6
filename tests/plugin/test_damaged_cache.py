"""References kept in the cache decide about later runs: damaged ones are made again, and empty ones never pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from plugin.project import Project


def flip(folder: Path) -> None:
    data = bytearray((folder / "0.npy").read_bytes())
    data[-1] ^= 0x40
    (folder / "0.npy").write_bytes(data)


def without_outputs(folder: Path) -> None:
    stored = json.loads((folder / "facts.json").read_text())
    (folder / "facts.json").write_text(json.dumps(stored | {"facts": {"outputs": []}}))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a bit": flip,
    "cut": lambda folder: (folder / "0.npy").write_bytes((folder / "0.npy").read_bytes()[:40]),
    "deleted": lambda folder: (folder / "0.npy").unlink(),
    "facts cut": lambda folder: (folder / "facts.json").write_text("{"),
    "facts without outputs": lambda folder: (folder / "facts.json").write_text('{"outputs":[]}'),
    "outputs taken out": without_outputs,
}


@pytest.mark.slow
def test_a_damaged_reference_is_made_again_and_decides_as_before(project: Project) -> None:
    project.models("m")
    options = ("--ortperf-ep=cpu", f"--ortperf-cache={project.path}/cache")
    assert project.run(*options).outcomes == {"m::validate[cpu]": "passed"}
    (file,) = (project.path / "cache/artifacts").rglob("0.npy")
    sound = file.read_bytes()
    for damage in DAMAGE.values():
        damage(file.parent)
        result = project.run(*options)
        assert result.outcomes == {"m::validate[cpu]": "passed"}
        (output,) = result.records[0]["accuracy"][0]["outputs"]
        assert output["elements"] == 3
        assert file.read_bytes() == sound
