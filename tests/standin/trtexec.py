"""Stands in for trtexec in tests: takes the flags of a version, reads its files, computes, prints a log of its format.

It is started as the program would be. The environment chooses: `STANDIN_VERSION` (8.6.1, 10.16.1, 11.0.0),
`STANDIN_FAIL` (a way to fail, or the name of a recorded log that is played), `STANDIN_TRACE` (a file that each start
is told to). Times are made up; outputs are computed by onnx's reference, from the files it was given.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

import failures
import flags
import printed

if TYPE_CHECKING:
    from engine import Fed

NAME = "STANDIN"


def main(argv: list[str]) -> int:
    """Do what a command line asks; return the exit status."""
    version = printed.Version.read(os.environ.get("STANDIN_VERSION", "10.16.1"))
    fail = os.environ.get("STANDIN_FAIL", "")
    log = printed.Log(version, argv, nameless=fail == "no-version")
    failures.before_anything(fail)
    log.banner("RUNNING")
    options, unknown = flags.parse(argv, version)
    if unknown:
        for text in unknown:
            log.line("E", f"Unknown option: {text}")
        log.banner("FAILED")
        return 1
    if "help" in options:
        print(flags.help_text(version))
        return 0
    if not options:
        print(flags.help_text(version))
        log.banner("FAILED")
        return 1
    return _work(options, log, fail)


def _work(options: dict[str, str], log: printed.Log, fail: str) -> int:
    import engine  # numpy, which asking for help does not need

    log.options({**options, "includeDataTransfers": ""} if fail == "transfers-anyway" else options)
    try:
        if "onnx" in options:
            failures.at_build(fail, log)
            built = engine.build(options, log)
        else:
            failures.at_run(fail, log)
            built = engine.load(options, log)
        trace(options, engine.read_inputs(options, built, log) if "loadInputs" in options else {})
        if "skipInference" in options or "buildOnly" in options:
            log.line("I", "Skipped inference phase since --skipInference is added.")
        else:
            engine.run(options, built, log, fail)
    except engine.Refused as refused:
        for text in refused.args:
            log.line("E", text)
        log.banner("FAILED")
        return 1
    except failures.Silent:
        log.banner("FAILED")
        return 1
    log.line("I", "")
    log.banner("PASSED")
    failures.after_passed(fail)
    return 0


def trace(options: dict[str, str], inputs: dict[str, Fed]) -> None:
    """Tell the test what came in."""
    path = os.environ.get("STANDIN_TRACE")
    if path:
        told = {
            "argv": sys.argv[1:],
            "options": options,
            "inputs": {
                name: {"file": fed.file, "hex": fed.data.hex(), "shape": fed.shape} for name, fed in inputs.items()
            },
        }
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.exit(code)
