"""The answer of a search for the wrong node, for a terminal."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from pytest_ortperf.records.bisection import Bisection, GrowthPoint, NodeFact, ValueFact
from pytest_ortperf.reports.terminal.text_table import TextColumn, cut, table_lines

_BAR = 20
_MOST_BESIDE = 10
_MOST_LINES = 4
"""Of one message of ONNX Runtime."""

_NOTE = "error: the largest over the root mean square of the reference, of all that crosses the cut"
_VERBS = {"crash": "crashes at", "timeout": "does not end at", "error": "fails at", "mismatch": "goes wrong at"}


def bisection_lines(found: Bisection, width: int) -> list[str]:
    """Return the answer as lines of at most `width` characters, but for paths."""
    blocks = [
        _head(found, width),
        growth_lines(found.points, width),
        _suspect(found, width),
        [*textwrap.wrap(found.conclusion, width), *_part(found, width)],
    ]
    lines: list[str] = []
    for block in (block for block in blocks if block):
        lines += ["", *block] if lines else block
    return lines


def growth_lines(points: Sequence[GrowthPoint], width: int) -> list[str]:
    """Return the error at each cut as a table with bars on a logarithmic scale."""
    if not points:
        return []
    exponents = [math.log10(point.error) for point in points if point.error]
    low, high = math.floor(min(exponents, default=-8.0)) - 1, max(exponents, default=0.0)
    columns = (
        TextColumn(title="cut after", cells=[point.node.name for point in points], to_left=True),
        TextColumn(title="node", cells=[str(point.node.position) for point in points]),
        TextColumn(title="operator", cells=[point.node.op_type for point in points], to_left=True, keep=2),
        TextColumn(title="", cells=["good" if point.is_within else "BAD" for point in points], to_left=True),
        TextColumn(title="error", cells=[_error(point) for point in points]),
        TextColumn(
            title=f"1e{low} to 1e{math.ceil(high)}", cells=[_bar(p, low, high) for p in points], to_left=True, keep=1
        ),
    )
    return [
        *table_lines(columns, width),
        *textwrap.wrap(_NOTE, width),
    ]


def _head(found: Bisection, width: int) -> list[str]:
    how = f"{found.nodes} nodes searched in {found.sessions} sessions (at most {found.sessions_allowed})"
    texts = (
        f"{found.case_id}, {found.data_set}: {found.complaint}",
        f"{how}: {found.provider_full_name} against {found.reference}",
    )
    return [line for text in texts for line in textwrap.wrap(text, width, subsequent_indent="  ")[:_MOST_LINES]]


def _suspect(found: Bisection, width: int) -> list[str]:
    if found.suspect is None:
        return []
    place = f"{_named(found.suspect)}, node {found.suspect.position} of {found.nodes}"
    lines = [cut(f"{_VERBS.get(found.symptom, 'goes wrong at')} {place}", width)]
    if found.inside:
        text = f"inside it: {found.path} ({found.inside[-1].node.op_type})"
        lines += textwrap.wrap(text, width, subsequent_indent="  ")
    if found.other is not None:
        other = found.other.node
        place = f"{_named(other)}, node {other.position} of {found.nodes}"
        right = ", and which is right by itself" if found.other.fails_alone is False else ""
        text = f"suspected too: {place}, where the error grows {found.other.growth:.0f} times{right}"
        lines += textwrap.wrap(text, width, subsequent_indent="  ")
    if found.beside:
        names = [_named(node) for node in found.beside[:_MOST_BESIDE]]
        more = len(found.beside) - len(names)
        text = ", ".join(names) + (f" and {more} more" if more else "")
        lines += textwrap.wrap(f"beside it: {text}", width, subsequent_indent="  ")
    values = [("in", value) for value in found.inputs] + [("out", value) for value in found.outputs]
    return [*lines, *_value_lines(values, width)]


def _value_lines(values: Sequence[tuple[str, ValueFact]], width: int) -> list[str]:
    if not values:
        return []
    facts = [fact for _, fact in values]
    columns = (
        TextColumn(title="value", cells=[fact.name for fact in facts], to_left=True),
        TextColumn(title="", cells=[side for side, _ in values], to_left=True),
        TextColumn(title="origin", cells=[fact.origin for fact in facts], to_left=True, keep=1),
        TextColumn(title="type", cells=[fact.dtype for fact in facts], to_left=True, keep=3),
        TextColumn(title="shape", cells=[_shape(fact) for fact in facts], to_left=True, keep=2),
        TextColumn(title="lowest", cells=[_number(fact.low) for fact in facts]),
        TextColumn(title="highest", cells=[_number(fact.high) for fact in facts]),
        TextColumn(title="reference", cells=[_reference(fact) for fact in facts], to_left=True, keep=4),
        TextColumn(title="not finite", cells=[str(fact.not_finite or "") for fact in facts], keep=5),
    )
    return table_lines([column for column in columns if column.title in ("value", "") or any(column.cells)], width)


def _part(found: Bisection, width: int) -> list[str]:
    if found.part_folder is None:
        return []
    count = len(found.part)
    nodes = f"{count} node{'' if count == 1 else 's'}"
    lines = ["", f"a model of {nodes} that fails, with its data: {found.part_folder}"]
    if found.part_complaint:
        lines.append(f"  {cut(found.part_complaint, width - 2)}")
    if found.inside_folder:
        lines.append(f"the node inside alone: {found.inside_folder}")
    if found.other is not None and found.other.part_folder:
        lines.append(f"the second suspect alone: {found.other.part_folder}")
    return lines


def _named(node: NodeFact) -> str:
    operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
    return f"{node.name} ({operator})"


def _error(point: GrowthPoint) -> str:
    if point.problem is not None:
        return "broke"
    if point.tensor is None:
        return "runs"
    return "not finite" if point.error is None else f"{point.error:.2g}"


def _bar(point: GrowthPoint, low: float, high: float) -> str:
    if point.error is None:
        return "" if point.is_within else "!" * _BAR
    if point.error == 0:
        return ""
    return "#" * max(1, round((math.log10(point.error) - low) / max(high - low, 1) * _BAR))


def _shape(fact: ValueFact) -> str:
    return "" if fact.shape is None else str(fact.shape)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _reference(fact: ValueFact) -> str:
    if fact.reference_low is None:
        return ""
    return f"{_number(fact.reference_low)} to {_number(fact.reference_high)}"
