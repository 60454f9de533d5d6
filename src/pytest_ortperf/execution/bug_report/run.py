"""Run the model of this folder and compare its outputs. Needs onnxruntime and numpy, nothing else.

    python run.py                                      as it failed
    python run.py --provider CPUExecutionProvider      the same on another execution provider
    python run.py --graph-optimization disable         without ONNX Runtime's own optimisations

The exit status suits `git bisect run`: 0 the outputs are as expected, 1 they are not or ONNX Runtime raised an error,
125 it cannot be tried here, because the execution provider is missing. A crash ends the process by its signal.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

Array = Any
"""Of numpy."""

FOLDER = Path(__file__).resolve().parent
CPU = "CPUExecutionProvider"
AS_EXPECTED, WRONG, CANNOT_TELL = 0, 1, 125
LEVELS = {
    "disable": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
NUMBERS = {"bfloat16": 16, "float8e4m3fn": 17, "float8e4m3fnuz": 18, "float8e5m2": 19, "float8e5m2fnuz": 20}
"""Of types that numpy lacks, in onnx's TensorProto.DataType; their files hold the bits."""


def main() -> int:
    """Run and compare."""
    case = json.loads((FOLDER / "case.json").read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--provider", help="instead of the one that it failed on")
    parser.add_argument("--graph-optimization", choices=list(LEVELS), default=case["session"]["graph_optimization"])
    arguments = parser.parse_args()
    providers = case["providers"] if arguments.provider is None else [[arguments.provider, {}]]
    print(f"onnxruntime {onnxruntime.__version__}, numpy {np.__version__}, {providers[0][0]}, {case['model']}")
    try:
        session = open_session(case, providers, LEVELS[arguments.graph_optimization])
        if providers[0][0] not in session.get_providers():
            print(f"cannot tell: the session has only {session.get_providers()}")
            return CANNOT_TELL
        values = compute(session, case)
    except ImportError as error:
        print(f"cannot tell: {error}")
        return CANNOT_TELL
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's errors have no common base
        print(f"WRONG: {type(error).__name__}: {error}")
        return WRONG
    return verdict(case, values)


def open_session(case: dict[str, Any], providers: list[Any], level: Any) -> onnxruntime.InferenceSession:
    """Create the session as the case does."""
    wanted = case["session"]
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = wanted["intra_op_threads"] or 0
    options.inter_op_num_threads = wanted["inter_op_threads"] or 0
    if wanted["execution_mode"] == "parallel":
        options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
    for key, value in wanted["config"].items():
        options.add_session_config_entry(key, value)
    for name, size in wanted["free_dimensions"].items():
        options.add_free_dimension_override_by_name(name, size)
    for library in wanted["custom_op_libraries"]:
        options.register_custom_ops_library(library)
    name, given = providers[0]
    model = str(FOLDER / case["model"])
    if name in case["plugins"]:
        onnxruntime.register_execution_provider_library(name, case["plugins"][name])
        devices = [device for device in onnxruntime.get_ep_devices() if device.ep_name == name]
        options.add_provider_for_devices(devices[:1], given)
        return onnxruntime.InferenceSession(model, options)
    if name not in onnxruntime.get_available_providers():
        raise ImportError(f"this onnxruntime has no {name}, only {onnxruntime.get_available_providers()}")
    listed = [(name, given) for name, given in providers]
    return onnxruntime.InferenceSession(model, options, providers=listed, enable_fallback=0)


def compute(session: onnxruntime.InferenceSession, case: dict[str, Any]) -> dict[str, Any]:
    """Run once; return the outputs by name."""
    names = [name for name, _ in case["expected"]]
    feeds = {name: read(described) for name, described in case["inputs"] if described is not None}
    special = [
        described.get("element") in NUMBERS for _, described in [*case["inputs"], *case["expected"]] if described
    ]
    if not any(special):
        return dict(zip(names, session.run(names, feeds)))
    elements = {name: (described or {}).get("element") for name, described in case["inputs"]}
    bound = {name: as_ort_value(value, elements[name]) for name, value in feeds.items()}
    return dict(zip(names, (bits(value) for value in session.run_with_ort_values(names, bound))))


def as_ort_value(array: Array, element: str | None) -> onnxruntime.OrtValue:
    """Return an array, of a type that numpy may lack, for ONNX Runtime."""
    if element in NUMBERS:
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array, NUMBERS[element])
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def bits(value: onnxruntime.OrtValue) -> Array:
    """Return an output as numbers, whatever its type."""
    import ctypes

    if value.element_type() not in NUMBERS.values():
        return value.numpy()
    content = bytearray((ctypes.c_char * value.tensor_size_in_bytes()).from_address(value.data_ptr()))
    carrier = np.uint16 if value.element_type() == NUMBERS["bfloat16"] else np.uint8
    return np.frombuffer(content, carrier).reshape(value.shape())


def read(described: dict[str, Any] | None) -> Any:
    """Return a value that case.json describes; arrays are in files beside it."""
    if described is None:
        return None
    if "list" in described:
        return [read(item) for item in described["list"]]
    if "map" in described:
        return {key: read(item) for key, item in described["map"]}
    if "strings" in described:
        return np.array(described["strings"], object).reshape(described["shape"])
    return np.load(FOLDER / "data" / described["file"], allow_pickle=False)


def verdict(case: dict[str, Any], values: dict[str, Any]) -> int:
    """Print how the outputs stand to what is expected."""
    wrong = 0
    for name, described in case["expected"]:
        element = (described or {}).get("element")
        problem = compare(values[name], read(described), element, case["tolerances"][name])
        print(f"{'WRONG' if problem else 'right'}: '{name}'{': ' + problem if problem else ''}")
        wrong += bool(problem)
    return WRONG if wrong else AS_EXPECTED


def compare(output: Any, expected: Any, element: str | None, tolerance: dict[str, Any]) -> str | None:
    """Return what is wrong with an output; None if nothing."""
    if isinstance(expected, list) and isinstance(output, list):
        if len(output) != len(expected):
            return f"{len(output)} elements instead of {len(expected)}"
        found = (compare(*pair, element, tolerance) for pair in zip(output, expected))
        return next((problem for problem in found if problem), None)
    if expected is None or isinstance(expected, dict):
        return None if (output is None) == (expected is None) else "a value where none is expected, or none"
    out, ref = np.asarray(output), np.asarray(expected)
    if out.shape != ref.shape:
        return f"shape {out.shape} instead of {ref.shape}"
    if out.dtype.kind in "OSU":
        return None if bool(np.all(out == ref)) else "strings differ"
    return compare_numbers(wide(out, element), wide(ref, element), tolerance)


def wide(array: Array, element: str | None) -> Array:
    """Return numbers in a type that holds them all."""
    if element == "bfloat16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def compare_numbers(out: Array, ref: Array, tolerance: dict[str, Any]) -> str | None:
    """Return how many elements lie outside atol + rtol * abs(expected), and the worst; None if few enough do."""
    if not ref.size:
        return None
    if tolerance["percent_mismatch"] is None:
        return compare_as_vectors(out, ref, tolerance)
    with np.errstate(all="ignore"):
        error = np.abs(out - ref)
        same = (out == ref) | (np.isnan(out) & np.isnan(ref))
        finite = np.isfinite(out) & np.isfinite(ref)
        over = np.where(finite, error - tolerance["atol"] - tolerance["rtol"] * np.abs(ref), np.inf)
    over = np.where(same, -np.inf, over)
    percent = 100 * float(np.mean(over > 0))
    if percent <= tolerance["percent_mismatch"]:
        return None
    at = tuple(int(i) for i in np.unravel_index(int(over.argmax()), ref.shape))
    return (
        f"{percent:.4g} % of elements outside rtol={tolerance['rtol']:g}, atol={tolerance['atol']:g}; worst at {at}: "
        f"{out[at]:.7g} instead of {ref[at]:.7g}"
    )


def compare_as_vectors(out: Array, ref: Array, tolerance: dict[str, Any]) -> str | None:
    """Return how cosine or signal-to-noise ratio fall short; None if they do not."""
    if np.any(np.isfinite(out) != np.isfinite(ref)):
        return f"{int(np.sum(np.isfinite(out) != np.isfinite(ref)))} elements finite on one side only"
    both = np.isfinite(out) & np.isfinite(ref)
    o, r = out[both], ref[both]
    sizes, noise = float(np.linalg.norm(o) * np.linalg.norm(r)), float(np.sum((o - r) ** 2))
    cosine = float(np.sum(o * r)) / sizes if sizes else 1.0
    snr_db = 10 * float(np.log10(np.sum(r * r) / noise)) if noise and np.any(r) else np.inf
    if cosine < (tolerance["cosine"] or -1) or snr_db < (tolerance["snr_db"] or -np.inf):
        return f"cosine {cosine:.6g} (least {tolerance['cosine']}), SNR {snr_db:.4g} dB (least {tolerance['snr_db']})"
    return None


if __name__ == "__main__":
    sys.exit(main())
