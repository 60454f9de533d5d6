"""What a CI system shows of a run beside its log: GitHub's annotations and step summary, Azure's issues and summary."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pytest_ortperf.plain_text import plain
from pytest_ortperf.records.store import StoredRun
from pytest_ortperf.reports.causes import Cause, failure_causes, models_by_label
from pytest_ortperf.reports.comparison.run_comparison import Comparison
from pytest_ortperf.reports.markdown import headline, run_markdown
from pytest_ortperf.reports.tables.gains import list_of
from pytest_ortperf.reports.tables.machine_text import machine_lines
from pytest_ortperf.reports.tables.rows import sorted_rows
from pytest_ortperf.reports.terminal.summary import plain_run
from pytest_ortperf.reports.terminal.text_table import cut, short_names

MOST_ANNOTATIONS = 10
"""Of each kind that GitHub shows of a step; Azure lists as many on the page of a build."""

MOST_STEP_SUMMARY = 1024 * 1024
"""Bytes of a step's summary; GitHub drops a longer one, all of it."""

_MOST_OF_A_RUN = 250_000
_LEAST = 2_000
_MOST_MESSAGE = 2_000
_MOST_MODELS = 20

_AZURE_ESCAPES = re.compile("%(?=3B|0D|0A|5D|AZP25)")

Annotate = Callable[[str, str, str], str]
"""Makes the line for the log from a kind, such as `error`, the path of the model list, and the message."""


def ci_lines(run: StoredRun, files: tuple[Path, ...], environment: Mapping[str, str]) -> list[str]:
    """Return the lines that a CI system looks for in a log; nothing where there is none.

    Args:
        run: That has ended.
        files: That were written of it.
        environment: Variables of the process.
    """
    if environment.get("GITHUB_ACTIONS") == "true":
        return list(_annotations(run, _github))
    if environment.get("TF_BUILD", "").lower() == "true":
        pages = [path for path in files if path.suffix == ".md"]
        uploads = [f"##vso[task.uploadsummary]{_azure_value(str(path.resolve()))}" for path in pages]
        return [*_annotations(run, _azure), *uploads]
    return []


def append_step_summary(run: StoredRun, environment: Mapping[str, str], comparison: Comparison | None = None) -> None:
    """Append a run to the summary of the step of GitHub Actions that this process runs in, if it does.

    Where the summary has no room left, it stays as it is: GitHub would drop all of it.

    Raises:
        OSError: If the file cannot be written.
    """
    name = environment.get("GITHUB_STEP_SUMMARY") if environment.get("GITHUB_ACTIONS") == "true" else None
    if not name:
        return
    path = Path(name)
    used = path.stat().st_size if path.exists() else 0
    most = min(_MOST_OF_A_RUN, MOST_STEP_SUMMARY - used - 1)
    if most >= _LEAST:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"\n{run_markdown(run, comparison, most=most)}")


def _annotations(run: StoredRun, annotate: Annotate) -> Iterator[str]:
    """Yield at most ten errors, one for each cause, and ten warnings about the machine."""
    rows = sorted_rows(plain_run(run))
    causes = failure_causes(rows)
    shown = causes if len(causes) <= MOST_ANNOTATIONS else causes[: MOST_ANNOTATIONS - 1]
    for cause in shown:
        yield annotate("error", list_of(cause.records[0]), _message(cause))
    if len(causes) > len(shown):
        yield annotate("error", "", f"{headline(run)}; {len(causes) - len(shown)} more causes stand in the log")
    warnings = [line.text.strip() for line in machine_lines(run) if not line.text.startswith(" ")]
    for text in warnings[:MOST_ANNOTATIONS]:
        yield annotate("warning", "", text)


def _message(cause: Cause) -> str:
    title = cut(cause.title, _MOST_MESSAGE)
    labels = models_by_label(cause.records)
    lines = [title, *(f"{label}: {short_names(models, _MOST_MODELS)}" for label, models in labels.items())]
    return "\n".join([*lines, *([cause.consequence] if cause.consequence else [])])


def _github(kind: str, source: str, message: str) -> str:
    place = f"file={_github_value(source)}," if source.endswith(".json") else ""
    return f"::{kind} {place}title=ortperf::{_github_text(message)}"


def _github_text(text: str) -> str:
    return plain(text).replace("%", "%25").replace("\n", "%0A")


def _github_value(text: str) -> str:
    return _github_text(text).replace(":", "%3A").replace(",", "%2C")


def _azure(kind: str, source: str, message: str) -> str:
    place = f"sourcepath={_azure_value(source)};" if source.endswith(".json") else ""
    return f"##vso[task.logissue {place}type={kind}]{_azure_value(message)}"


def _azure_value(text: str) -> str:
    # a percent sign is only escaped where it would be read as an escape: not every agent reads %AZP25
    text = _AZURE_ESCAPES.sub("%AZP25", plain(text)).replace("\n", "%0A")
    return text.replace(";", "%3B").replace("]", "%5D")
