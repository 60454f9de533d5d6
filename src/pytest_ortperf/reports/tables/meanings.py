"""What each column of the tables means, for the documentation; a test asks for every one."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_ortperf.quantities import QUANTITIES

_LATENCY = "latency_"

_TEXTS: Mapping[str, str] = {
    "run": "id of the run, which the names of its files have too",
    "list": "model list, directory or test that the case is from, as in its node id",
    "group": "`group` of the model list: what the model belongs to",
    "commit": "label of the run: commit that was measured",
    "branch": "label of the run: its branch",
    "date": "label of the run: date of the commit; when the run was made is in `system_info`",
    "host": "name of the machine",
    "device": "hardware that computed, where it is certain; in a row about several providers, all of them",
    "model": "name of the model",
    "dims": "sizes given for its dimensions, such as `batch=8,seq=128`",
    "provider": "short name of the execution provider asked for, or of the program that ran the model",
    "precision": "precision asked for; empty is the model as given",
    "mode": "`validate`, `benchmark` or `check`",
    "outcome": "`failed`, `crashed` or `timed_out`",
    "error_type": "kind of failure; [the words](results-file.md)",
    "stage": "where in its flow the case ended",
    "signal": "number of the signal that ended its process",
    "exit_code": "exit status of a process that ended without a result",
    "message": "what happened; of an output, what is wrong with it",
    "nodeid": "what pytest calls the case",
    "engine": "`onnxruntime`, or the program that ran the model",
    "version": "its version",
    "model_precision": "precision of the weights in the file that ran",
    "model_sha256": "hash of the model as given, with its external data",
    "validation": "whether and where the outputs were validated",
    "compute_precision": "lowest precision that the provider may compute in; empty is that of the weights",
    "note": "what is to be known of the model that ran",
    "timing": "timing mode: what the clock covers",
    "io_binding": "whether inputs and outputs were bound; empty for a program",
    "timing_note": "what is to be known of this timing mode's numbers",
    "graph_optimization": "level of graph optimisation",
    "intra_op_threads": "threads within operators; empty is ONNX Runtime's choice",
    "provider_options": "options of the providers, as JSON",
    "inputs": "name, type and shape of each input",
    "data_set": "what the inputs were: a stored data set, or generated ones",
    "assumed_dims": "sizes that nobody gave, and that were assumed",
    "batch": "inferences of one run; empty if unknown",
    "started": "when the case started, in UTC",
    "status": "`stable` reached the precision asked for, `unstable` did not, `fixed` did a number of iterations",
    "stop_reason": "why sampling ended",
    "steady": "whether the warm-up ended because two windows of it agreed",
    "limits": "`kept`, `unsure` or `broken`: the worst of the limits in the model list; empty without any",
    "energy_source": "what the energy was read from",
    "gain_percent": "time saved of that of `gain_reference`, of medians in the same timing mode; 50 is half the time",
    "gain_low_percent": "the least it may be: with both medians at the ends of their 95 % intervals",
    "gain_high_percent": "the most it may be",
    "gain_reference": "provider that the gain is against",
    "standalone_gain_percent": "as `gain_percent`, over the program that runs the same engine by itself",
    "standalone_gain_low_percent": "the least it may be",
    "standalone_gain_high_percent": "the most it may be",
    "machine": "worst level of what was found about the machine meanwhile",
    "machine_findings": "what was off with it",
    "profile_note": "what is to be known of the operators' times",
    "source": "where the placement is known from",
    "assigned_provider": "full name of the provider that got the nodes",
    "op_type": "type of operator",
    "timings_refused": "timing modes that were asked for and cannot be measured, with the reason",
    "engines": "whether TensorRT's engines were `built` or `loaded`",
    "program": "path and version of the program that ran the model",
    "advice": "what the program's output says about its numbers",
    "gpu_memory_of": "whose GPU memory was read: the process's or the device's",
    "not_known": "what could not be measured, with the reason",
    "reference": "what the outputs were compared with",
    "output": "name of the output",
    "check": "`reference`, or the check of the case against itself: `repeat`, `batch`",
    "verdict": "`pass`, `pass-relative` or `fail`; of a check `same`, `within`, `broken` or `not made`",
    "dtype": "element type",
    "shape": "its sizes",
    "percent_mismatch_allowed": "what `percent_mismatch` may be",
    "cosine_least": "what `cosine` has to be",
    "snr_db_least": "what `snr_db` has to be",
    "peak_percent_allowed": "what `peak_percent` may be",
    "own_error_allowed": "what `own_error` may be",
    "weakness": "why a pass says little",
    "rtol": "relative tolerance",
    "atol": "absolute tolerance",
    "worst_index": "index of the element furthest outside, or closest to it",
    "worst_output": "what stands there",
    "worst_reference": "what should stand there",
    "golden": "what counts as exact, for errors beside that of the precision",
    "kind": "`leaks`, `valgrind` or `threads`",
    "of": "what was repeated: `runs` or `sessions`; of threads `one session` or `a session each`",
    "reading": "what was read: `heap`, `resident memory`, `GPU memory`, `file descriptors`, `threads`; of valgrind "
    "the library that the stack names",
    "result": "`leak`, `no leak`, `unsure`; of threads `same`, `within tolerance`, `wrong`, `stuck`, `not repeatable`",
    "per_call": "median growth of a run or session",
    "per_call_low": "lower end of its 95 % interval",
    "per_call_high": "upper end",
    "per_call_least": "smallest growth that this check could see",
    "unit": "`B` for bytes; empty is a count",
    "calls": "runs, sessions or iterations in all",
    "lost_byte": "bytes that nothing points to any more, by valgrind",
    "differing": "iterations with other bits than one thread alone gets",
    "wrong": "those of them that are outside tolerance",
    "spec": "name of the fact",
    "value": "the fact",
}
"""Of columns that are no measured quantity."""


def meaning_of(column: str) -> str:
    """Return what a column means.

    Raises:
        KeyError: If nobody has said so.
    """
    measured = {quantity.name: quantity.meaning for quantity in QUANTITIES}
    if column in measured or f"{_LATENCY}{column}" in measured:
        return measured.get(column) or measured[f"{_LATENCY}{column}"]
    return _TEXTS[column]
