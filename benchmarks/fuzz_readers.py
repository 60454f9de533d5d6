"""Coverage-guided fuzzing of every reader of files with atheris, outside CI: 10 minutes each, in turn or by name.

    python fuzz_readers.py                      all readers, 10 minutes each
    python fuzz_readers.py --seconds 60 npz pb  two of them, a minute each

Each runs in a process of its own. What is no OrtPerfError, takes longer than 10 s or more than 2 GB ends it, and the
input is kept in fuzz_findings/. It needs `pip install atheris`, which exists for Linux and CPython 3.11 to 3.13.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from fuzzing.readers import READERS
from pytest_ortperf.errors import OrtPerfError

FINDINGS = Path("fuzz_findings")
LONGEST_S, MOST_MIB = 10, 2048


def main() -> int:
    """Fuzz each reader, or in a child one; return 1 if anything was found."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("readers", nargs="*", help=f"some of: {', '.join(READERS)}; left out, all")
    given.add_argument("--seconds", type=int, default=600, help="for each reader [600]")
    given.add_argument("--in-child", metavar="READER", choices=READERS, help=argparse.SUPPRESS)
    arguments = given.parse_args()
    if arguments.in_child:
        _fuzz(arguments.in_child, arguments.seconds)
        return 0
    unknown = set(arguments.readers) - READERS.keys()
    if unknown:
        given.error(f"no reader {', '.join(sorted(unknown))}; known are {', '.join(READERS)}")
    found = []
    for name in arguments.readers or READERS:
        command = [sys.executable, __file__, "--seconds", str(arguments.seconds), "--in-child", name]
        if subprocess.run(command, check=False).returncode:
            found.append(name)
        print(f"{name}: {'a finding, see above' if found and found[-1] == name else 'nothing found'}", flush=True)
    return 1 if found else 0


def _fuzz(name: str, seconds: int) -> None:
    import atheris

    atheris.instrument_all()
    reader = READERS[name]
    corpus = Path(tempfile.mkdtemp(prefix="ortperf-fuzz-"))
    (corpus / "sound").write_bytes(reader.sound)
    work = corpus.with_name(f"{corpus.name}-work")

    def one(data: bytes) -> None:
        path = work / reader.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        try:
            reader.read(path)
        except OrtPerfError:
            pass
        finally:
            shutil.rmtree(work, ignore_errors=True)

    FINDINGS.mkdir(exist_ok=True)
    options = [f"-max_total_time={seconds}", f"-timeout={LONGEST_S}", f"-rss_limit_mb={MOST_MIB}", "-max_len=65536"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={FINDINGS}/{name.replace(' ', '_')}-", str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
