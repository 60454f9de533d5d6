"""TensorRT's versions: how trtexec spells them, and which are too old."""

from __future__ import annotations

from pytest_ortperf.errors import OrtPerfError

OLDEST = (8, 0, 0)
"""Before it, the banner names no version and the summary has another format."""

SUPPORTED = "Logs of TensorRT 8.0 and newer are read; trtexec of TensorRT 8.6, 10.x and 11.x is supported for running."


class UnsupportedVersionError(OrtPerfError):
    """A log of TensorRT 7 or older.

    Attributes:
        found: Its version, as far as it can be told, and how it was.
    """

    def __init__(self, found: str) -> None:
        super().__init__(unsupported(f"this trtexec log is from {found}", "run trtexec again"))
        self.found = found


def unsupported(what: str, then: str) -> str:
    """Return why something old is refused, what is supported, and what to do after installing that."""
    return f"{what}, which is not supported. {SUPPORTED} Install one of these versions and {then}."


def version_of(digits: str) -> tuple[int, int, int] | None:
    """Return major, minor and patch of a banner's number.

    Up to 9.x it is major x 1000 + minor x 100 + patch, from 10 on major x 10000 + minor x 100 + patch
    (`NV_TENSORRT_VERSION` in TensorRT's NvInferVersion.h).
    """
    number = int(digits)
    if 1_000 <= number < 10_000:  # noqa: PLR2004 - see above
        return number // 1000, number // 100 % 10, number % 100
    if number >= 100_000:  # noqa: PLR2004 - see above
        return number // 10_000, number // 100 % 100, number % 100
    return None


def version_in_words(text: str) -> tuple[int, int, int] | None:
    """Return the version of `8601` or `8.6.1`."""
    parts = [int(part) for part in text.split(".")]
    if len(parts) == 1:
        return version_of(text)
    return (*parts[:3], 0)[:3] if len(parts) >= 2 else None  # type: ignore[return-value] # noqa: PLR2004


def in_digits(version: tuple[int, int, int]) -> str:
    """Return `8.6.1`."""
    return ".".join(map(str, version))
