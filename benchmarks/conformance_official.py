"""The onnx project's backend test runner on ONNX Runtime's CPU backend, for pytest; `conformance.py` copies it.

Two changes: no CUDA items, which would all be skipped, and every case from one directory. The runner reads cases
of every kind from directories, those of kind `node` too where they have one, so nothing of it is replaced.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import onnx.backend.test.runner as official
import onnxruntime.backend
from onnx.backend.test.case.test_case import TestCase

CASES = os.environ.get("CONFORMANCE_CASES")
"""The directory; without it, the cases are those of the installed package, `node` from memory."""


class CpuRunner(official.Runner):
    """The runner without items for devices that are not there."""

    def _add_test(self, *arguments: Any, **options: Any) -> None:
        if arguments[0] != "RealModel":
            super()._add_test(*arguments, **{**options, "devices": ("CPU",)})


def stored_cases(kind: str) -> list[TestCase]:
    """Return the cases of one kind, with the tolerances that the package's own loader gives them."""
    folder = Path(CASES or "") / kind
    return [
        TestCase(
            name=path.name,
            model_name=path.name,
            url=None,
            model_dir=str(path),
            model=None,
            data_sets=None,
            kind=kind,
            rtol=1e-3,
            atol=1e-7,
        )
        for path in (sorted(folder.iterdir()) if folder.exists() else [])
    ]


if CASES:
    vars(official)["load_model_tests"] = stored_cases

globals().update(CpuRunner(onnxruntime.backend, __name__).test_cases)
