"""The errors this package raises on purpose; each says what happened and the way out."""

from pytest_ortperf.plain_text import plain
from pytest_ortperf.safe_files import shortened

_MOST_CHARACTERS = 20_000
"""Of the message of a case: ONNX Runtime quotes names of the model, which may have megabytes."""


class OrtPerfError(Exception):
    """Something the user can act on; its text needs no traceback, and holds no escape sequence of others."""

    def __str__(self) -> str:
        return plain(super().__str__())


class ModelListError(OrtPerfError):
    """One or more issues of a model list or model directory, all named in the text."""


class SettingsError(OrtPerfError):
    """An option or ini value that cannot be used."""


class ResultsFileError(OrtPerfError):
    """A results folder or records file that cannot be written or read."""


class CaseSkipped(OrtPerfError):  # noqa: N818 - not an error of anything
    """A case that means nothing for its model; the text says why."""


class NothingCompared(CaseSkipped):
    """A validation of generated inputs whose references hold no number that an output could differ from."""


class CaseError(OrtPerfError):
    """A case that cannot go on; `stage` names where it ended.

    Attributes:
        stage: One of `pytest_ortperf.records.record.STAGES`.
        kind: One of `pytest_ortperf.records.record.FAILURE_KINDS`.
        signal: Number of the signal that ended an external program.
        exit_code: Its exit status, if it ended by itself and not well.
    """

    def __init__(
        self, message: str, *, stage: str, kind: str, signal: int | None = None, exit_code: int | None = None
    ) -> None:
        super().__init__(shortened(message, _MOST_CHARACTERS))
        self.stage = stage
        self.kind = kind
        self.signal = signal
        self.exit_code = exit_code


class HistoryError(OrtPerfError):
    """A history that cannot be opened, read or written."""
