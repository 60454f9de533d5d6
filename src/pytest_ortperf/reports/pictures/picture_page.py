"""Pages that open by themselves, offline: the pictures of one case, or of a search for its wrong node.

Where pages of pictures are written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from pathlib import Path

from pytest_ortperf.records.bisection import Bisection, ValueFact
from pytest_ortperf.records.pictures import ErrorPicture
from pytest_ortperf.records.record import Record
from pytest_ortperf.reports.pictures.charts import describe, growth_svg, heatmap_svg, histogram_svg
from pytest_ortperf.reports.pictures.svg import STYLE, element, table

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
    path.write_text(failure_page(record), encoding="utf-8")
    return path


_PAGE_STYLE = """\
body{margin:0}main{max-width:960px;margin:0 auto;padding:24px}
h1{font-size:22px;line-height:1.3;overflow-wrap:anywhere}h2{font-size:17px;margin-top:32px;overflow-wrap:anywhere}
.side{display:flex;flex-wrap:wrap;gap:16px}figure{margin:0;padding:12px;background:var(--box);border-radius:6px}
figcaption{color:var(--faint);margin-bottom:6px}table{border-collapse:collapse;margin:12px 0;font-size:13px}
td,th{padding:3px 10px;text-align:left;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--box);padding:12px;border-radius:6px}
tr.wrong td{color:var(--bad)}
"""


def failure_page(record: Record) -> str:
    """Return the page of a validation that failed, from its record."""
    message = record.failure.message if record.failure else record.outcome
    about = [record.provider_full_name, record.model_fact.path if record.model_fact else ""]
    body = [
        element("h1", escape(f"{record.case_id}: outputs differ")),
        element("p", escape(", ".join(filter(None, about)))),
        element("pre", escape(message)),
        *(error_section(shown) for shown in record.error_pictures),
    ]
    return page(f"{record.case_id}: outputs differ", body)


def bisection_page(found: Bisection) -> str:
    """Return the page of a search."""
    suspect = found.suspect
    title = f"{found.case_id}: {suspect.name} ({suspect.op_type})" if suspect else f"{found.case_id}: no node"
    body = [element("h1", escape(title)), *_summary(found), growth_section(found)]
    if found.inputs or found.outputs:
        body += [element("h2", "Values of the node"), value_table([*found.inputs, *found.outputs])]
    body += [error_section(shown) for shown in found.pictures]
    return page(title, body)


def growth_section(found: Bisection) -> str:
    """Return the error along the graph, as picture and table."""
    rows = [(str(point.node.position), point.node.name, point.node.op_type, describe(point)) for point in found.points]
    wrong = {number: "wrong" for number, point in enumerate(found.points) if not point.is_within}
    figure = element("figure", element("figcaption", "Error where the graph was cut") + growth_svg(found))
    return element("h2", "Along the graph") + figure + table(("node", "name", "operator", "found"), rows, wrong)


def error_section(shown: ErrorPicture) -> str:
    """Return the pictures of one output."""
    share = 100 * shown.outside / shown.elements
    caption = (
        f"{shown.outside} of {shown.elements} elements ({share:.3g} %) outside rtol={shown.rtol:g}, atol={shown.atol:g}"
    )
    title = f"{shown.data_set}, '{shown.output}': {shown.dtype} {shown.shape}"
    figures = (
        (f"How many elements have which {shown.measure}", histogram_svg(shown)),
        ("Where: the plane with the worst element", heatmap_svg(shown)),
    )
    drawn = "".join(element("figure", element("figcaption", escape(words)) + drawing) for words, drawing in figures)
    rows = [
        (str(it.index), it.output, it.reference, "not finite" if it.error is None else f"{it.error:g}")
        for it in shown.worst
    ]
    worst = table(("worst at", "output", "reference", shown.measure), rows)
    return element("h2", escape(title)) + element("p", escape(caption)) + element("div", drawn, class_="side") + worst


def value_table(values: Iterable[ValueFact]) -> str:
    """Return the ranges of a node's inputs and outputs."""
    rows = [
        (it.name, it.origin, it.dtype, str(it.shape or ""), *(_number(n) for n in (it.low, it.high)), _reference(it))
        for it in values
    ]
    return table(("value", "origin", "type", "shape", "lowest", "highest", "reference"), rows)


def page(title: str, body: Iterable[str]) -> str:
    """Return a whole document."""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        + element("title", escape(title))
        + element("style", STYLE + _PAGE_STYLE)
    )
    inside = element("main", "\n".join(body))
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body class="ortperf">{inside}</body></html>\n'


def _summary(found: Bisection) -> list[str]:
    how = (
        f"{found.nodes} nodes, {found.sessions} sessions (at most {found.sessions_allowed}), "
        f"{found.provider_full_name} against {found.reference}, {found.data_set}"
    )
    lines = [element("p", escape(how)), element("pre", escape(found.complaint)), element("p", escape(found.conclusion))]
    if found.part_folder:
        count = len(found.part)
        nodes = f"{count} node{'' if count == 1 else 's'}"
        lines.append(element("p", escape(f"A model of {nodes} that fails: {found.part_folder}")))
    return lines


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _reference(value: ValueFact) -> str:
    if value.reference_low is None:
        return f"{value.not_finite} not finite" if value.not_finite else ""
    text = f"{_number(value.reference_low)} to {_number(value.reference_high)}"
    return f"{text}; {value.not_finite} not finite" if value.not_finite else text
