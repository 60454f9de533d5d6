"""TensorRT's versions as trtexec spells them."""

from __future__ import annotations


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
