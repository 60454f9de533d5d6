"""A writer of a history, to be killed: adds records files one after the other and says when each is in."""

from __future__ import annotations

import sys
from pathlib import Path

from pytest_ortperf.errors import OrtPerfError
from pytest_ortperf.history.kept_run import kept_records
from pytest_ortperf.history.opening import open_history

if __name__ == "__main__":
    url, *paths = sys.argv[1:]
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    try:
        history = open_history(url, create=True)
        for path in paths:
            history.add(kept_records(Path(path)))
            sys.stdout.write(f"{path}\n")
            sys.stdout.flush()
    except OrtPerfError as error:
        sys.exit(f"{error}")
