"""`ortperf init`: a model list for the models that lie in a folder."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ortperf.commands.inspect import add_deadline
from pytest_ortperf.errors import CaseError, SettingsError

if TYPE_CHECKING:
    from pytest_ortperf.cases.new_list import FoundModel

NOTHING_WRITTEN = 1

DESCRIPTION = """\
Find the models below a folder and write a model list that runs as it stands.

Models are files that end in .onnx; test data lies beside them, in folders
test_data_set_*. Each model is opened and run once on the CPU, in a child process
with a deadline. Dimensions without a size are written down with the size that was
assumed. A model that cannot be opened is named with the reason and left out; one
that opens and does not run is listed with "skip" and the reason.

Hidden folders, virtual environments, node_modules and results folders are passed
over.

Exit status: 0; 1 if no model could be listed, so that nothing was written; 2 for
arguments that cannot be used; 130 after Ctrl-C, and nothing was written."""

EXAMPLES = """\
examples:
  ortperf init                         models below the current folder -> models.json
  ortperf init ../zoo -o zoo.json      models elsewhere, another list
"""

_LABEL_AT_MOST = 28
_REASON_CHARACTERS = 400


def add_command(commands: Any) -> None:
    """Add the command to the subparsers of `ortperf`."""
    parser = commands.add_parser(
        "init",
        help="write a model list for the models of a folder",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path(), metavar="FOLDER", help="folder to search (default: this one)"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("models.json"),
        metavar="FILE",
        help="the list to write (default: models.json)",
    )
    parser.add_argument("--force", action="store_true", help="write over a list that is there")
    add_deadline(parser)
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Search, look at each model, write the list, and return the exit status.

    Raises:
        OrtPerfError: If folder or file cannot be used, or there are no models.
    """
    from pytest_ortperf.cases.new_list import find_models, list_text

    output: Path = arguments.output
    _check_output(output, force=arguments.force)
    if not arguments.folder.is_dir():
        raise SettingsError(f"{arguments.folder} is no folder; name one with models below it")
    found, unreadable = find_models(arguments.folder)
    for line in unreadable:
        sys.stdout.write(f"{line}; passed over\n")
    if not found:
        raise SettingsError(f"no file that ends in .onnx lies below {arguments.folder.absolute()}; name another folder")
    _prepare()
    width = min(_LABEL_AT_MOST, max(len(model.name) for model in found))
    entries = []
    for model in found:
        entry, text = _looked_at(model, output, arguments.deadline)
        _tell(model.name, text, width)
        entries += [entry] if entry else []
    if not entries:
        sys.stdout.write("\nno model can be listed, so nothing was written\n")
        return NOTHING_WRITTEN
    _write(output, list_text(entries))
    _tell_end(output, len(entries), len(found) - len(entries))
    return 0


def _check_output(output: Path, *, force: bool) -> None:
    if output.exists() and not force:
        raise SettingsError(f"{output} exists already; write over it with --force, or name another file with -o FILE")
    if not output.parent.is_dir():
        raise SettingsError(f"-o {output}: the folder {output.parent} does not exist; make it first")


def _prepare() -> None:
    """Import what every child needs, once.

    Raises:
        SettingsError: If ONNX Runtime cannot be imported.
    """
    from pytest_ortperf.execution.session.probe import compiled_in

    compiled_in()  # in a child: a broken installation may crash
    from pytest_ortperf.execution.execute import prepare_process

    prepare_process(uses_cuda=False)


def _looked_at(found: FoundModel, output: Path, deadline_s: float) -> tuple[dict[str, Any] | None, str]:
    """Return the entry of a model, or `None` if it cannot be opened, and what to say of it."""
    from pytest_ortperf.cases.model import Model
    from pytest_ortperf.execution.model_trial import OPENED, assumed_keys, describe, try_on_cpu
    from pytest_ortperf.execution.session.runtime_log import shortened
    from pytest_ortperf.reports.terminal.text_table import cut

    model = Model(name=found.name, path=found.path.absolute(), origin=str(found.path), test_data=found.test_data)
    try:
        description = describe(model, deadline_s)
    except CaseError as error:
        return None, f"left out: {_first_line(error)}"
    if description.missing:
        return None, f"left out: {found.path}: its external data {', '.join(description.missing)} is missing"
    trial, data_problem = try_on_cpu(model, deadline_s)
    if trial.problem is not None and trial.stage not in OPENED:
        return None, f"left out: {_first_line(trial.problem)}"
    entry: dict[str, Any] = {"name": found.name, "path": _relative(found.path, output)}
    texts = [found.path.as_posix(), description.precision or "no float weights"]
    if found.test_data is not None and data_problem is None:
        entry["test_data"] = _relative(found.test_data, output)
        texts.append("1 data set" if len(trial.data_sets) == 1 else f"{len(trial.data_sets)} data sets")
    elif data_problem is not None:
        texts.append(f"test data not used: {_first_line(data_problem)}")
    if trial.assumed:
        entry |= assumed_keys(description.inputs, trial.assumed)
        texts.append("assumed " + ", ".join(f"{name}={size}" for name, size in trial.assumed.items()))
    if trial.problem is not None:
        reason = cut(shortened(_first_line(trial.problem)), _REASON_CHARACTERS)
        entry["skip"] = f"did not run when ortperf init made this list: {reason}"
        texts.append(f"listed with skip, because it does not run: {reason}")
    return entry, "; ".join(texts)


def _relative(path: Path, output: Path) -> str:
    return Path(os.path.relpath(path.absolute(), output.parent.absolute())).as_posix()


def _first_line(text: object) -> str:
    return str(text).strip().partition("\n")[0]


def _write(output: Path, text: str) -> None:
    from pytest_ortperf.cases.model_list import read_models
    from pytest_ortperf.records.store import write_whole

    try:
        write_whole(output, text.encode())
    except OSError as error:
        raise SettingsError(f"{output}: not written: {error.strerror or error}") from error
    read_models(output, workspace=None)


def _tell(name: str, text: str, label_width: int) -> None:
    from pytest_ortperf.reports.terminal.inspection_text import labelled_lines
    from pytest_ortperf.reports.terminal.text_table import shorten

    width = shutil.get_terminal_size().columns
    sys.stdout.write("\n".join(labelled_lines(shorten(name, label_width), text, width, label_width)) + "\n")
    sys.stdout.flush()


def _tell_end(output: Path, listed: int, left_out: int) -> None:
    models = "1 model" if listed == 1 else f"{listed} models"
    rest = f", {left_out} left out" if left_out else ""
    source = str(output) if output.suffix == ".json" else f"--ortperf-models={output}"
    command = shlex.join(["pytest", "--ortperf-mode=validate", source])
    sys.stdout.write(f"\nwrote {output}: {models}{rest}\nnext: {command}\n")
