"""What JUnit XML says of a record and a run: name and text pairs, where the file's family has room for them.

pytest's default family, `xunit2`, has a schema (junit-10.xsd) without properties of test cases. There they are lines
`ortperf.NAME=VALUE` of the case's `<system-out>`; with `junit_family = xunit1` they are properties.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

from pytest_ortperf.cases.case_id import CaseId
from pytest_ortperf.quantities import QUANTITIES, Quantity, read
from pytest_ortperf.records.environment.run_header import RunHeader
from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.tables.columns import dims_text, value_of
from pytest_ortperf.reports.tables.limit_text import limits_state

_OURS = "ortperf."
_WAIT = re.compile(r"ortperf\.(\d+\.)?wait_for_hardware_s")
_VERDICT = re.compile(r"(?<=::validate|:benchmark)-\w+(?=\[[^\[]*$)")
"""In the name of a comparison's verdict on a case: `models.json::bert::benchmark-latency[cpu]`."""

_LABELS = ("commit", "branch", "date", "url")
_ENVIRONMENT = ("cpu", "os", "python", "driver", "cuda", "cudnn", "tensorrt", "fingerprint")


def properties(record: Record) -> list[tuple[str, object]]:
    """Return the properties of one record; what is absent has none."""
    headline = record.latencies[0] if record.latencies else None
    values: dict[str, object] = {
        "model": record.model,
        "mode": record.mode,
        "ep": record.provider_full_name,
        "precision": record.precision or (record.model_fact.precision if record.model_fact else None),
        "dims": dims_text(record.dims),
        "tags": ",".join(record.tags) or None,
        "group": record.group,
        "line": record.line,
        "status": record.outcome,
        "reason": record.reason,
        "error_type": read(record, "failure.kind"),
        **{name: read(record, f"failure.{name}") for name in ("stage", "signal", "exit_code")},
        **{name: read(headline, path) for name, path in _HEADLINE.items()},
        "accuracy_verdict": _verdict(record),
        "limits": limits_state(record),
        **{each.junit: _value(each, record) for each in QUANTITIES if each.junit},
    }
    return [(f"ortperf.{name}", _text(value)) for name, value in values.items() if value is not None]


def run_properties(header: RunHeader) -> Iterator[tuple[str, str]]:
    """Yield what holds for all cases of a run; what is not known is left out."""
    environment = header.environment
    facts: dict[str, object] = {
        "run": header.run,
        "started": header.started,
        "providers": ",".join(header.providers) or None,
        **{name: header.labels.get(name) for name in _LABELS},
        **{f"label.{name}": value for name, value in sorted(header.labels.items()) if name not in _LABELS},
        "host": environment.hostname,
        "gpus": "; ".join(gpu.name for gpu in environment.gpus) or None,
        "onnxruntime": environment.onnxruntime_distribution,
        **{name: getattr(environment, name) for name in _ENVIRONMENT},
    }
    yield from ((f"{_OURS}{name}", str(value)) for name, value in facts.items() if value is not None)


def finish_case(case: ET.Element, family: str, prefix: str | None = None) -> None:
    """Give a test case its final form; a test without records stays as it is.

    Args:
        case: As pytest's JUnit plugin made it: each record's `properties` are properties of it.
        family: pytest's `junit_family`.
        prefix: pytest's `--junit-prefix`.
    """
    found = {each.get("name", ""): each.get("value", "") for each in case.iterfind("properties/property")}
    waited_s = sum(float(value) for name, value in found.items() if _WAIT.fullmatch(name))
    case.set("time", f"{max(float(case.get('time', 0)) - waited_s, 0):.3f}")
    known = CaseId.parse(_VERDICT.sub("", case.get("name", "")))
    if known is not None:
        case.set("classname", ".".join(filter(None, (prefix, class_name(known.source or "", known.model)))))
    if family == "xunit2":
        _move_to_output(case)
    elif known is not None:
        case.attrib.pop("line", None)  # pytest's is that of the file
        if "ortperf.line" in found:
            case.set("line", found["ortperf.line"])


def class_name(source: str, model: str) -> str:
    """Return the class of a model's cases: `sub.models.resnet50` for `resnet50` of `sub/models.json`.

    It is the same on each machine: of a list outside pytest's root directory it has the name alone. Dots divide
    packages, so those within names are `_`.
    """
    source = re.sub(r"(\.json|\.onnx)?(-[0-9a-f]{6})?$", "", source)
    parts = [*source.split("/"), model]
    return ".".join(re.sub(r"[./\\\s]", "_", part) for part in parts if part)


def _move_to_output(case: ET.Element) -> None:
    """Make our properties lines of the case's output."""
    lines: list[str] = []
    for properties in case.findall("properties"):
        for each in properties.findall("property"):
            if each.get("name", "").startswith(_OURS):
                value = each.get("value", "").replace("\r", "\\r").replace("\n", "\\n")
                lines.append(f"{each.get('name')}={value}\n")
                properties.remove(each)
        if not len(properties):
            case.remove(properties)
    if lines:
        output = case.find("system-out")
        if output is None:
            output = ET.SubElement(case, "system-out")
        output.text = (output.text or "") + "".join(lines)


_HEADLINE = {"timing": "timing", "latency_status": "status", "steady": "steady"}


def _value(quantity: Quantity, record: Record) -> object:
    value, scale = value_of(quantity, record), quantity.scale
    return round(value, scale.decimals) if value is not None and scale.is_coarse else value


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _verdict(record: Record) -> str | None:
    verdicts = {output.verdict for data_set in record.accuracy for output in data_set.outputs}
    return next((verdict for verdict in ("fail", "pass-relative", "pass") if verdict in verdicts), None)
