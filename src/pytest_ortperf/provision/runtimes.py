"""Which ONNX Runtime is meant: a release, a nightly build, a wheel, or a folder with a build of one's own."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from pytest_ortperf.errors import SettingsError
from pytest_ortperf.provision.addresses import nightly_index
from pytest_ortperf.provision.pip_program import Index, NotOfferedError, is_version, offered_versions
from pytest_ortperf.records.environment.distributions import onnxruntime_distributions

USUAL = "onnxruntime"
FORMS = "VERSION, nightly:DATE, a wheel, or the folder of a build; NAME==VERSION names another distribution"

_NIGHTLY = re.compile(r"nightly:(\d{4})-?(\d\d)-?(\d\d)")
_DEV_DATE = re.compile(r"\.dev(\d{8})")
_NAMED = re.compile(r"(?P<name>[A-Za-z][\w.-]*)==(?P<rest>.+)")
_PYTHONS = ("3.14", "3.13", "3.12", "3.11", "3.10", "3.9")
_NEAREST = 4

RuntimeKind = Literal["release", "nightly", "wheel", "folder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """One ONNX Runtime, not yet looked for."""

    kind: RuntimeKind
    distribution: str
    text: str
    """A version; of a nightly build its version, or a date such as `20261120`; or a path."""

    @property
    def label(self) -> str:
        """For messages."""
        return {
            "release": f"{self.distribution} {self.text}",
            "nightly": f"{self.distribution} nightly:{self.text}",
            "wheel": Path(self.text).name,
            "folder": self.text,
        }[self.kind]

    @property
    def key(self) -> Mapping[str, str]:
        """What makes it another one than all others, fit for JSON."""
        content = {"sha256": hashlib.sha256(Path(self.text).read_bytes()).hexdigest()} if self.kind == "wheel" else {}
        return {"kind": self.kind, "distribution": self.distribution, "text": self.text, **content}


def read_runtime(text: str) -> Runtime:
    """Return what a user asked for.

    Raises:
        SettingsError: If it is none of the forms, or there is no such file.
    """
    named = _NAMED.fullmatch(text)
    name, rest = (named["name"], named["rest"]) if named else (installed_distribution(), text)
    name = re.sub(r"[-_.]+", "-", name).lower()
    nightly = _NIGHTLY.fullmatch(rest)
    if nightly:
        return Runtime(kind="nightly", distribution=name, text="".join(nightly.groups()))
    if is_version(rest):
        return Runtime(kind="nightly" if date_of(rest) else "release", distribution=name, text=_whole(Version(rest)))
    path = Path(text).absolute()
    if path.suffix == ".whl" and path.is_file():
        return _wheel(path)
    if path.is_dir():
        return _folder(path)
    raise SettingsError(f"{text!r} is no ONNX Runtime: give {FORMS}")


def installed_distribution() -> str:
    """Return the name of the installed distribution of ONNX Runtime; the usual one where there is none."""
    return next(iter(onnxruntime_distributions()), USUAL)


def nightly_version(runtime: Runtime) -> str:
    """Return the version of a nightly build.

    Raises:
        ProvisionError: If the index cannot be reached, or has none of that date; names the nearest dates.
    """
    if date_of(runtime.text):
        return runtime.text
    found = nightly_versions(runtime.distribution)
    of_date = [version for version in found if date_of(version) == runtime.text]
    if of_date:
        return of_date[-1]
    dates = sorted({date_of(version) or "" for version in found} - {""}, key=lambda date: _apart(date, runtime.text))
    known = ", ".join(f"nightly:{date}" for date in sorted(dates[:_NEAREST])) or "none at all"
    raise NotOfferedError(
        f"{nightly_index()} has no nightly {runtime.distribution} of {runtime.text} for Python {_python()}; "
        f"the nearest are {known}"
    )


def nightly_versions(distribution: str) -> list[str]:
    """Return the nightly builds that there are for this machine, oldest first.

    Raises:
        ProvisionError: If the index cannot be reached.
    """
    found = offered_versions(distribution, index=Index(address=nightly_index()), nightly=True)
    return [version for version in found if date_of(version)]


def date_of(version: str) -> str | None:
    """Return the date in the version of a nightly build, such as `20261120`."""
    match = _DEV_DATE.search(version)
    return match and match[1]


def why_not_offered(runtime: Runtime) -> NotOfferedError:
    """Return the reason why an index does not have a release: no such version, or no wheel for this Python."""
    here = offered_versions(runtime.distribution)
    others = [
        python
        for python in _PYTHONS
        if python != _python() and runtime.text in offered_versions(runtime.distribution, python=python)
    ]
    near = ", ".join(nearest(runtime.text, here)) or "none at all"
    if others:
        return NotOfferedError(
            f"{runtime.label} has no wheel for Python {_python()}, but for {', '.join(others)}. Run ortperf with one "
            f"of those, or take one of the nearest versions for Python {_python()}: {near}"
        )
    return NotOfferedError(
        f"the package index has no {runtime.label} for this machine. The nearest versions for Python {_python()} are: "
        f"{near}"
    )


def nearest(wanted: str, versions: Sequence[str]) -> list[str]:
    """Return the versions around one, in order."""
    below = [version for version in versions if Version(version) < Version(wanted)]
    above = versions[len(below) :]
    return [*below[-_NEAREST // 2 :], *above[: _NEAREST // 2]]


def _whole(version: Version) -> str:
    """Return a version as wheels have it: 1.31 is 1.31.0."""
    whole = version.base_version + ".0" * (3 - len(version.release))
    return str(version).replace(version.base_version, whole, 1)


def _apart(one: str, other: str) -> int:
    return abs(int(one) - int(other))


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _wheel(path: Path) -> Runtime:
    try:
        name, *_ = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise SettingsError(f"{path}: is no wheel: {error}") from error
    return Runtime(kind="wheel", distribution=str(name), text=str(path))


def _folder(path: Path) -> Runtime:
    """Return the wheel or the package that a build has left in a folder.

    Raises:
        SettingsError: If there is neither, or several wheels.
    """
    wheels = sorted([*path.glob("*.whl"), *path.glob("dist/*.whl")])
    if len(wheels) == 1:
        return _wheel(wheels[0])
    if wheels:
        raise SettingsError(f"{path}: holds {len(wheels)} wheels; name one: {', '.join(it.name for it in wheels)}")
    if (path / "onnxruntime/__init__.py").is_file():
        return Runtime(kind="folder", distribution=USUAL, text=str(path))
    raise SettingsError(
        f"{path}: holds neither a wheel nor the package onnxruntime; name the folder that a build wrote"
    )
