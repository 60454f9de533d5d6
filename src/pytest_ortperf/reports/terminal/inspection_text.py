"""A model or a list of models, as `ortperf inspect` shows it in a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pytest_ortperf.records.inspections import DeclaredValue, ListedModel, ListInspection, ModelInspection, Trial
from pytest_ortperf.reports.terminal.text_table import TextColumn, table_lines

_MOST_OPERATORS = 6
_MOST_VALUES = 20
_LABEL = 14


def model_lines(found: ModelInspection, width: int) -> list[str]:
    """Return what is known of a model, as lines of at most `width` characters, but for paths."""
    model = found.model
    lines = [model.path]
    facts = {
        "size": _size_text(found),
        "made by": model.producer,
        "versions": f"IR {model.ir_version}, opset "
        + ", ".join(
            f"{version}" if domain == "ai.onnx" else f"{domain} {version}" for domain, version in model.opsets.items()
        ),
        "precision": model.precision or "no float weights",
        "as fp16": _fp16_text(found),
        "nodes": _nodes_text(found),
        "test data": ", ".join(found.test_data) or "none beside it",
    }
    for label, text in facts.items():
        if text:
            lines += _labelled(label, text, width)
    lines += [*_values("inputs", model.inputs, width), *_values("outputs", model.outputs, width)]
    lines += _dimensions(found, width)
    lines += ["", *_wrapped(f"on this machine alone, with {found.onnxruntime}:", width)]
    lines += _trials(found.trials, width)
    for name, reason in found.left_out.items():
        lines += _labelled(name, f"cannot be used here: {_first_line(reason)}", width)
    warnings = [
        *(f"external data {name} is missing; it belongs beside the model" for name in model.missing),
        *model.warnings,
        *(f"{name} beside it is not read; store tensors as test_data_set_0/input_0.pb" for name in found.passed_over),
    ]
    return [*lines, *_listed("warnings:", warnings, width)]


def list_lines(found: ListInspection, width: int) -> list[str]:
    """Return what is known of a list, as lines of at most `width` characters, but for paths."""
    if found.issues:
        return _listed(f"{found.path} cannot be used:", found.issues, width)[1:]
    models = found.models
    columns = (
        TextColumn(title="model", cells=[each.name for each in models], to_left=True),
        TextColumn(title="size", cells=[byte_text(each.model.total_byte) if each.model else "" for each in models]),
        TextColumn(
            title="precision",
            cells=[(each.model.precision or "") if each.model else "" for each in models],
            to_left=True,
        ),
        TextColumn(title="nodes", cells=[str(each.model.nodes) if each.model else "" for each in models], keep=3),
        TextColumn(
            title="opset",
            cells=[str(each.model.opsets.get("ai.onnx", "")) if each.model else "" for each in models],
            keep=1,
        ),
        TextColumn(title="data sets", cells=[_data_text(each) for each in models], keep=4),
        TextColumn(title="cases", cells=[str(each.cases) for each in models]),
        TextColumn(title="without size", cells=[_free_text(each, 24) for each in models], to_left=True, keep=2),
    )
    lines = [*table_lines(columns, width)]
    lines += _listed("missing or unreadable:", list(_missing(models)), width)
    lines += _listed("warnings:", [*_warnings(models), *found.passed_over], width)
    return [*lines, "", *(line for text in _totals(found) for line in _wrapped(text, width))]


def byte_text(byte: int) -> str:
    """Return a size in the unit that suits it: `1.4 MiB`."""
    size = float(byte)
    for unit in ("B", "KiB", "MiB"):
        if size < 1000:  # noqa: PLR2004 - so that there are never more than three digits before the point
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def labelled_lines(label: str, text: str, width: int, label_width: int) -> list[str]:
    """Return a label and a text beside it, wrapped; paths stay whole."""
    indent = " " * (label_width + 2)
    return _wrapped(text, width, f"{label:<{label_width}}  ", indent) or [label]


def _labelled(label: str, text: str, width: int) -> list[str]:
    return [f"  {line}" for line in labelled_lines(label, text, width - 2, _LABEL)]


def _listed(title: str, texts: Sequence[str], width: int) -> list[str]:
    if not texts:
        return []
    return ["", title, *(line for text in texts for line in _wrapped(" ".join(text.split()), width, "  - ", "    "))]


def _wrapped(text: str, width: int, first: str = "", others: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _size_text(found: ModelInspection) -> str:
    model = found.model
    text = byte_text(model.byte)
    there = {name: byte for name, byte in model.external.items() if byte is not None}
    if there:
        text += f", and {byte_text(sum(there.values()))} of external data in {', '.join(there)}"
    return text


def _nodes_text(found: ModelInspection) -> str:
    model = found.model
    ordered = list(model.operators.items())
    shown = ", ".join(f"{count} {name}" for name, count in ordered[:_MOST_OPERATORS])
    more = len(ordered) - _MOST_OPERATORS
    inner = f", and {model.inner_nodes} inside them" if model.inner_nodes else ""
    return f"{model.nodes}{inner}: {shown}" + (f" and {_count(more, 'more operator')}" if more > 0 else "")


def _fp16_text(found: ModelInspection) -> str | None:
    trial = found.fp16
    if trial is None:
        return found.fp16_note
    if trial.problem is not None:
        return f"no: {_first_line(trial.problem)}"
    note = f"; {trial.note}" if trial.note else ""
    if trial.fp16_from == "converted":
        return f"can be converted, and has a session on the CPU{note}"
    return f"nothing to convert: {trial.fp16_from or 'it is stored so'}{note}"


def _values(title: str, values: Sequence[DeclaredValue], width: int) -> list[str]:
    if not values:
        return ["", f"{title}: none"]
    shown = values[:_MOST_VALUES]
    columns = (
        TextColumn(title=title, cells=[value.name for value in shown], to_left=True),
        TextColumn(title="type", cells=[value.type for value in shown], to_left=True),
        TextColumn(title="shape", cells=[_shape_text(value) for value in shown], to_left=True),
    )
    more = len(values) - len(shown)
    return ["", *table_lines(columns, width), *([f"and {more} more"] if more else [])]


def _shape_text(value: DeclaredValue) -> str:
    if value.shape is None:
        return "unknown rank" if "(" not in value.type else ""
    return f"({', '.join('?' if dim is None else str(dim) for dim in value.shape)})"


def _dimensions(found: ModelInspection, width: int) -> list[str]:
    if not found.model.free_dims:
        return []
    sizes = ", ".join(f"{name}={size}" for name, size in found.model.free_dims.items())
    first = next(iter(found.model.free_dims))
    text = (
        f"dimensions without a size, and what they are assumed to be: {sizes}; give others with --ortperf-dim={first}=N"
    )
    return ["", *_wrapped(text, width)]


def _trials(trials: Sequence[Trial], width: int) -> list[str]:
    lines = []
    for trial in trials:
        lines += _labelled(trial.variant, _trial_text(trial), width)
    return lines


def _trial_text(trial: Trial) -> str:
    if trial.problem is not None:
        return f"no: {_first_line(trial.problem)}"
    if not trial.nodes:
        return "a session can be made, and the graph folded to constants: no node is left"
    took = f", session in {_time_text(trial.creation_ns)}" if trial.creation_ns is not None else ""
    others = ", ".join(
        f"{count} on {name}" for name, count in trial.nodes_by_provider.items() if name != trial.provider
    )
    return f"takes {trial.nodes_there} of {trial.nodes} nodes{f', {others}' if others else ''}{took}"


def _time_text(nanoseconds: int) -> str:
    milliseconds = nanoseconds / 1e6
    return f"{milliseconds:.3g} ms" if milliseconds < 999 else f"{milliseconds / 1e3:.1f} s"  # noqa: PLR2004


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _data_text(each: ListedModel) -> str:
    return "generated" if each.data_sets is None else str(len(each.data_sets))


def _free_text(each: ListedModel, width: int) -> str:
    names = list(each.model.free_dims) if each.model else []
    text = ", ".join(names)
    return text if len(text) <= width else f"{len(names)} dimensions"


def _missing(models: Iterable[ListedModel]) -> Iterator[str]:
    for each in models:
        if each.problem:
            yield f"{each.name}: {_first_line(each.problem)}"
        yield from (f"{each.name}: {name}" for name in each.missing)
        yield from (f"{each.name}: external data {name}" for name in (each.model.missing if each.model else ()))


def _warnings(models: Iterable[ListedModel]) -> Iterator[str]:
    for each in models:
        yield from (f"{each.name}: {warning}" for warning in (each.model.warnings if each.model else ()))


def _totals(found: ListInspection) -> Iterator[str]:
    count = sum(found.cases.values())
    yield f"{_count(len(found.models), 'model')}, {_count(count, 'case')}: {_case_text(found.cases)}"
    minutes = _count(max(1, round(found.seconds / 60)), "minute")
    guessed = sum(found.cases.values()) - found.measured_cases
    parts = []
    if found.measured_cases:
        parts.append(f"{_count(found.measured_cases, 'case')} timed by earlier runs in {found.results}")
    if found.estimate:
        parts.append(f"{_count(guessed, 'case')} estimated at {found.estimate} (large models take longer)")
    yield f"expected: about {minutes}, one case after the other: {'; '.join(parts)}"


def _case_text(cases: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {label}" for label, count in cases.items())


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
