"""Pages that open by themselves, offline: the pictures of one case, or of a search for its wrong node.

Where pages of pictures are written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pytest_ortperf.records.bisection import Bisection, ValueFact, path_text
from pytest_ortperf.records.pictures import ErrorPicture
from pytest_ortperf.records.record import Record
from pytest_ortperf.records.store import write_whole
from pytest_ortperf.reports.frame import frame
from pytest_ortperf.reports.pictures.charts import describe, growth_svg, heatmap_svg, histogram_svg
from pytest_ortperf.reports.pictures.svg import Markup
from pytest_ortperf.reports.rendering import render

_UNSAFE = re.compile(r"[^A-Za-z0-9._=-]+")


def write_failure_page(record: Record, records_file: Path) -> Path:
    """Write the page of a failed validation beside the records of its run; return its path.

    Raises:
        OSError: If it cannot be written.
    """
    run = records_file.stem.removeprefix("records_")
    folder = records_file.parent / f"pictures_{run}"
    folder.mkdir(exist_ok=True)
    name = _UNSAFE.sub("_", record.nodeid)
    path = folder / f"{name.strip('_')}.html"
    write_whole(path, failure_page(record).encode("utf-8", "backslashreplace"))
    return path


def failure_page(record: Record) -> Markup:
    """Return the page of a validation that failed, from its record."""
    about = [record.provider_full_name, record.model_fact.path if record.model_fact else ""]
    return render(
        "failure_page.html",
        title=f"{record.case_id}: outputs differ",
        frame=frame(),
        about=", ".join(filter(None, about)),
        message=record.failure.message if record.failure else record.outcome,
        sections=map(error_section, record.error_pictures),
    )


def bisection_page(found: Bisection) -> Markup:
    """Return the page of a search."""
    suspect = found.suspect
    return render(
        "bisection_page.html",
        title=f"{found.case_id}: {suspect.name} ({suspect.op_type})" if suspect else f"{found.case_id}: no node",
        frame=frame(),
        found=found,
        suspects=_suspects(found),
        growth=growth_svg(found),
        cuts=[(point.node.position, point.node.name, point.node.op_type, describe(point)) for point in found.points],
        wrong=[number for number, point in enumerate(found.points) if not point.is_within],
        values=[_value_cells(value) for value in (*found.inputs, *found.outputs)],
        sections=map(error_section, found.pictures),
    )


def _suspects(found: Bisection) -> Sequence[Sequence[str]]:
    """Return a row for the node, and for each further one that is named."""
    if found.suspect is None:
        return []
    folder = found.part_folder if found.fails_alone else None
    rows = [(path_text(found.suspect, ()), found.suspect.op_type, found.fails_alone, folder)]
    if found.inside:
        last = found.inside[-1]
        rows.append((found.path or "", last.node.op_type, last.fails_alone, found.inside_folder))
    if found.other:
        other = found.other
        rows.append((path_text(other.node, ()), other.node.op_type, other.fails_alone, other.part_folder))
    words = {True: "fails by itself", False: "right by itself", None: "not tried by itself"}
    return [(name, op_type, words[alone], folder or "") for name, op_type, alone, folder in rows]


def error_section(shown: ErrorPicture) -> Markup:
    """Return the pictures of one output."""
    return render(
        "error_section.html",
        shown=shown,
        histogram=histogram_svg(shown),
        heatmap=heatmap_svg(shown),
        worst=[
            (it.index, it.output, it.reference, "not finite" if it.error is None else f"{it.error:g}")
            for it in shown.worst
        ],
    )


def _value_cells(value: ValueFact) -> Sequence[str]:
    """Return a row of the ranges of a node's inputs and outputs."""
    shape = str(value.shape or "")
    return value.name, value.origin, value.dtype, shape, _number(value.low), _number(value.high), _reference(value)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _reference(value: ValueFact) -> str:
    if value.reference_low is None:
        return f"{value.not_finite} not finite" if value.not_finite else ""
    text = f"{_number(value.reference_low)} to {_number(value.reference_high)}"
    return f"{text}; {value.not_finite} not finite" if value.not_finite else text
