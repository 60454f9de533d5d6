"""Run the model of this folder and compare its outputs. Needs onnxruntime and numpy, nothing else.

    python run.py                                      as it failed
    python run.py --provider CPUExecutionProvider      the same on another execution provider
    python run.py --graph-optimization disable         without ONNX Runtime's own optimisations
    python run.py --time 5                             the median time of a run too, over 5 seconds

The exit status suits `git bisect run`: 0 the outputs are as expected, 1 they are not or ONNX Runtime raised an error,
125 it cannot be tried here, because the execution provider is missing. A crash ends the process by its signal.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
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
    parser.add_argument("--time", type=float, default=0, metavar="SECONDS", help="print the median time of a run too")
    arguments = parser.parse_args()
    providers = case["providers"] if arguments.provider is None else [[arguments.provider, {}]]
    print(f"onnxruntime {onnxruntime.__version__}, numpy {np.__version__}, {providers[0][0]}, {case['model']}")
    try:
        session = open_session(case, providers, LEVELS[arguments.graph_optimization])
        if providers[0][0] not in session.get_providers():
            print(f"cannot tell: the session has only {session.get_providers()}")
            return CANNOT_TELL
        values = compute(session, case)
        if arguments.time:
            print(timed(session, case, arguments.time))
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


def timed(session: onnxruntime.InferenceSession, case: dict[str, Any], seconds: float) -> str:
    """Return how long a run takes, in words: the first tenth of the time is warm-up."""
    feeds = {name: read(described) for name, described in case["inputs"] if described is not None}
    samples: list[float] = []
    began = time.perf_counter()
    while not samples or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        session.run(None, feeds)
        if start - began >= seconds / 10 or not samples:
            samples.append(time.perf_counter() - start)
    return f"median of {len(samples)} runs: {np.median(samples) * 1000:.4g} ms"


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
        limits = {**case["tolerances"][name], "any_float": case["any_float"]}
        problem = compare(values[name], read(described), (described or {}).get("element"), limits)
        print(f"{'WRONG' if problem else 'right'}: '{name}'{': ' + problem if problem else ''}")
        wrong += bool(problem)
    return WRONG if wrong else AS_EXPECTED


def compare(output: Any, expected: Any, element: str | None, limits: dict[str, Any]) -> str | None:
    """Return what is wrong with an output; None if nothing."""
    if isinstance(expected, list) and isinstance(output, list):
        if len(output) != len(expected):
            return f"{len(output)} elements instead of {len(expected)}"
        found = (compare(*pair, element, limits) for pair in zip(output, expected))
        return next((problem for problem in found if problem), None)
    if isinstance(expected, dict) and isinstance(output, dict):
        if set(output) != set(expected):
            return f"the keys {sorted(output)} instead of {sorted(expected)}"
        got, wanted = (np.array([np.asarray(it[key]).item() for key in sorted(expected)]) for it in (output, expected))
        return compare_tensors(got, wanted, None, limits)
    if expected is None or output is None:
        return None if output is expected else "a value where none is expected, or none"
    return compare_tensors(np.asarray(output), np.asarray(expected), element, limits)


def compare_tensors(out: Array, ref: Array, element: str | None, limits: dict[str, Any]) -> str | None:
    """Return what is wrong with a tensor; None if nothing."""
    if out.shape != ref.shape:
        return f"shape {out.shape} instead of {ref.shape}"
    if out.dtype.kind in "OSU":
        return None if bool(np.all(out == ref)) else "strings differ"
    if out.dtype != ref.dtype and not (limits["any_float"] and {out.dtype.kind, ref.dtype.kind} == {"f"}):
        return f"{out.dtype} instead of {ref.dtype}"
    return compare_numbers(out, ref, element, limits)


def wide(array: Array, element: str | None) -> Array:
    """Return numbers in a type that holds them all; on most machines a long double holds 64-bit integers."""
    if element == "bfloat16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype({"c": np.complex128, "i": np.longdouble, "u": np.longdouble}.get(array.dtype.kind, np.float64))


def compare_numbers(output: Array, expected: Array, element: str | None, limits: dict[str, Any]) -> str | None:
    """Return which limits the numbers break, and the worst of them; None if they break none."""
    if not expected.size:
        return None
    out, ref = wide(output, element), wide(expected, element)
    finite = np.isfinite(out) & np.isfinite(ref)
    with np.errstate(all="ignore"):
        same = (out == ref) | (np.isnan(out) & np.isnan(ref))
        over = np.where(finite, np.abs(out - ref) - limits["atol"] - limits["rtol"] * np.abs(ref), np.inf)
    over = np.where(same, -np.inf, over)
    whole, top_k = output.dtype.kind in "iub" and element not in NUMBERS, limits["top_k"]
    outside = over > 0 if top_k is None else other_rows(out, ref, top_k, whole)
    percent = 100 * float(np.mean(outside))
    broken = []
    if percent > limits["percent_mismatch"]:
        rows = f"rows with another {'first' if whole else 'largest'} {top_k}"
        limit = f"elements outside rtol={limits['rtol']:g}, atol={limits['atol']:g}"
        broken.append(f"{percent:.4g} % of {rows if top_k else limit}")
    if limits["nan_pattern"] == "exact" and np.any(~finite & ~same):
        broken.append(f"NaN or infinity differs in {int(np.sum(~finite & ~same))} elements")
    broken += broken_as_vectors(out[finite], ref[finite], limits)
    if not broken:
        return None
    at = tuple(int(i) for i in np.unravel_index(int(over.argmax()), ref.shape))
    values = (str(int(it[at])) if whole else f"{it[at]:.7g}" for it in (out, ref))
    return f"{'; '.join(broken)}; worst at {at}: {' instead of '.join(values)}"


def other_rows(out: Array, ref: Array, k: int, whole: bool) -> Array:  # noqa: FBT001 - one caller
    """Return of each row along the last axis whether its k largest stand elsewhere; of integers, its first k differ."""
    out, ref = (array.reshape(-1, array.shape[-1] if array.ndim else 1) for array in (out, ref))
    k = min(k, ref.shape[1])
    if whole:
        return np.any(np.sort(out[:, :k], axis=1) != np.sort(ref[:, :k], axis=1), axis=1)
    largest, least = np.argsort(out, axis=1)[:, -k:], np.sort(ref, axis=1)[:, -k]
    return np.any(np.take_along_axis(ref, largest, axis=1) < least[:, None], axis=1)


def broken_as_vectors(out: Array, ref: Array, limits: dict[str, Any]) -> list[str]:
    """Return which limits finite numbers break as a whole."""
    if not ref.size:
        return []
    noise, power = float(np.sum(np.abs(out - ref) ** 2)), float(np.sum(np.abs(ref) ** 2))
    sizes = float(np.linalg.norm(out) * np.linalg.norm(ref))
    cosine = float(np.vdot(ref, out).real) / sizes if sizes else 1.0
    snr_db = 10 * float(np.log10(power / noise)) if noise and power else np.inf
    largest, peak = float(np.max(np.abs(out - ref))), float(np.max(np.abs(ref)))
    percent = 100 * largest / peak if peak and largest > limits["atol"] / 1000 else 0.0
    broken = []
    if limits["cosine"] is not None and cosine < limits["cosine"]:
        broken.append(f"cosine {cosine:.6g} (at least {limits['cosine']:g})")
    if limits["snr_db"] is not None and snr_db < limits["snr_db"]:
        broken.append(f"SNR {snr_db:.4g} dB (at least {limits['snr_db']:g})")
    if limits["peak_percent"] is not None and percent > limits["peak_percent"]:
        broken.append(f"largest error {percent:.3g} % of the largest value (allowed {limits['peak_percent']:g} %)")
    if not sizes and largest > limits["atol"] and limits["percent_mismatch"] >= 100:  # noqa: PLR2004 - percent
        broken.append("one side is all zeros")
    return broken


if __name__ == "__main__":
    sys.exit(main())
