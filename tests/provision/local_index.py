"""A folder of tiny wheels that stand for releases of ONNX Runtime: each runs the installed one, with lines added."""

from __future__ import annotations

import importlib.util
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

SLOWER = """
import time
def _slower(run):
    def slower(self, *arguments, **more):
        began = time.perf_counter()
        result = run(self, *arguments, **more)
        ended = time.perf_counter()
        while time.perf_counter() < 3 * ended - 2 * began:
            pass
        return result
    return slower
InferenceSession.run = _slower(InferenceSession.run)
"""
"""Makes a run take three times as long."""

FAILING = """
def _failing(run):
    def failing(self, *arguments, **more):
        if self._model_path is not None:
            raise RuntimeError("planted")
        return run(self, *arguments, **more)
    return failing
InferenceSession.run = _failing(InferenceSession.run)
"""
"""Fails with models from files; those from memory are what this package tries a runtime with."""

_SHIM = """\
__path__.append({real!r})
__version__ = None
exec(compile(open({real!r} + "/__init__.py").read(), {real!r} + "/__init__.py", "exec"))
__version__ = {version!r}
"""


def write_wheel(
    folder: Path, version: str, added: str = "", *, name: str = "onnxruntime", requires: Sequence[str] = ()
) -> Path:
    """Write the wheel of a version; lines may be added to its package."""
    spec = importlib.util.find_spec("onnxruntime")
    assert spec is not None
    (real,) = spec.submodule_search_locations or ()
    return _write(
        folder, name, version, {"onnxruntime/__init__.py": _SHIM.format(real=real, version=version) + added}, requires
    )


def write_module_wheel(folder: Path, name: str) -> Path:
    """Write the wheel of a module that holds nothing."""
    return _write(folder, name, "1.0", {f"{name}.py": ""}, ())


def _write(folder: Path, name: str, version: str, files: dict[str, str], requires: Sequence[str]) -> Path:
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
    content = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{each},,\n" for each in [*content, f"{info}/RECORD"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for place, text in {**content, f"{info}/RECORD": record}.items():
            wheel.writestr(place, text)
    return path


def local_pip(folder: Path) -> dict[str, str]:
    """Return the environment variables that have pip take wheels from a folder alone."""
    return {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}
