"""Records files for histories: small runs of several cases, each number its own."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_ortperf.records.record import Record
from pytest_ortperf.records.store import RecordsFile
from record_examples import (
    make_accuracy,
    make_end,
    make_environment,
    make_header,
    make_latency,
    make_output,
    make_record,
    make_session,
)

MACHINE = "AMD EPYC 9654, 8 cores, 8 GiB"


def records(factor: float = 1.0, models: Iterable[str] = ("bert", "vgg")) -> list[Record]:
    """Return a validation and a benchmark of each model."""
    found = []
    for number, model in enumerate(models, start=1):
        samples = [factor * number * (1 + step / 100) for step in range(40)]
        found += [
            make_record(model, mode="validate", accuracy=make_accuracy(make_output(1e-7 * number)), group="zoo"),
            make_record(model, latencies=(make_latency(*samples),), session=make_session(), group="zoo"),
        ]
    return found


def write_run(
    folder: Path,
    run: str = "20261123-210146",
    found: Iterable[Record] | None = None,
    *,
    is_complete: bool = True,
    **header: Any,
) -> Path:
    """Write a records file and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    header = {"environment": make_environment(fingerprint=MACHINE, hostname="build-7"), **header}
    with RecordsFile.create(folder, run, make_header(run=run, **header)) as file:
        for record in records() if found is None else found:
            file.append(record)
        if is_complete:
            file.end(make_end(exit_status=0))
    return file.path


def folder_of_programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, where Debian or the path has them."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


class Server:
    """A PostgreSQL of its own, in a temporary folder; never run by root."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._user: dict[str, Any] = {}
        if os.getuid() == 0:
            known = {entry.pw_name for entry in pwd.getpwall()}
            name = "postgres" if "postgres" in known else "nobody"
            entry = pwd.getpwnam(name)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
            self._user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        self._call("initdb", "-D", str(folder / "data"), "-U", "ortperf", "-A", "trust", "--no-sync", "-E", "UTF8")

    def start(self) -> None:
        # the system stays up whatever becomes of the server, so nothing has to be on the disk
        options = (
            f"-p {self._port} -c fsync=off -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder}"
        )
        self._call("pg_ctl", "-D", self._data, "-l", str(self._folder / "log"), "-o", options, "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        self._call("pg_ctl", "-D", self._data, "-m", mode, "-w", "stop")

    def new_database(self, name: str) -> str:
        """Create a database and return its URL."""
        host = ("-h", "127.0.0.1", "-p", str(self._port), "-U", "ortperf")
        self._call("createdb", *host, name)
        return f"postgresql://ortperf@127.0.0.1:{self._port}/{name}"

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def _call(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        # a server inherits what it writes to: a pipe would never end
        with (self._folder / "calls").open("ab") as output:
            done = subprocess.run(
                command, cwd="/", check=False, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **self._user
            )
        if done.returncode:
            raise RuntimeError(f"{program}: {(self._folder / 'calls').read_text(errors='replace')[-2000:]}")


@contextmanager
def running_server() -> Iterator[Server | None]:
    """Start a server and stop it again; `None` where PostgreSQL is not installed."""
    programs = folder_of_programs()
    if programs is None:
        yield None
        return
    # pytest's own temporary folders are closed to the user that the server runs as
    with tempfile.TemporaryDirectory(prefix="ortperf-postgres-") as name:
        server = Server(programs, Path(name))
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
