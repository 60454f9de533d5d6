"""Does `ortperf ort bisect` find the release from which on `InferenceSession.run` takes 10 % longer?

The wheels of all releases from 1.24 to 1.32 are downloaded once. For each search a folder of wheels is made in which
those from one release on are packed again, with a wait of a tenth of the time in the Python layer of `run`. The last
search has the wheels as they are. pip takes wheels from these folders alone. Every search has a cache of its own.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from measuring import run_command
from packaging.utils import parse_wheel_filename

ROOT = Path(__file__).parents[1]
DISTRIBUTION = "onnxruntime"
PATCHED = "onnxruntime/capi/onnxruntime_inference_collection.py"
PATCH = """

def _planted(run):
    from time import perf_counter

    def slower(self, *arguments, **more):
        began = perf_counter()
        result = run(self, *arguments, **more)
        ended = perf_counter()
        until = ended + {share} * (ended - began)
        while perf_counter() < until:
            pass
        return result

    return slower


InferenceSession.run = _planted(InferenceSession.run)
"""
SEARCHES = (("small_cnn", "1.26.0"), ("lstm", "1.29.0"), ("detector_head", "1.31.1"), ("lstm", None))
"""Model, and the release from which on it is slower. Without that, all releases are alike for these within 2 %."""


@dataclass(frozen=True, slots=True)
class Found:
    """What came of one search."""

    model: str
    planted: str | None
    status: int
    steps: int
    last_good: str
    first_bad: str
    ratio: str
    seconds: float

    @property
    def is_right(self) -> bool:
        """Whether it is what was planted."""
        return self.status == 1 if self.planted is None else (self.status, self.first_bad) == (0, self.planted)


def download(folder: Path, low: str, high: str) -> list[Path]:
    """Return the wheels of all releases from one to another, in order; those that are there already are kept."""
    pip = [sys.executable, "-m", "pip"]
    listed = subprocess.run([*pip, "index", "versions", DISTRIBUTION], capture_output=True, text=True, check=True)
    (line,) = [line for line in listed.stdout.splitlines() if line.startswith("Available versions: ")]
    wanted = [text for text in line.partition(": ")[2].split(", ") if _order(low) <= _order(text) <= _order(high)]
    there = {str(parse_wheel_filename(path.name)[1]) for path in folder.glob("*.whl")}
    for version in sorted(set(wanted) - there, key=_order):
        subprocess.run([*pip, "download", "--no-deps", "--dest", folder, f"{DISTRIBUTION}=={version}"], check=True)
    return sorted(folder.glob("*.whl"), key=lambda path: parse_wheel_filename(path.name)[1])


def _order(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def plant(wheel: Path, target: Path, share: float) -> None:
    """Write a wheel whose `run` takes longer by a share of its time."""
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as packed:
        for item in source.infolist():
            data = source.read(item)
            if item.filename == PATCHED:
                data += PATCH.format(share=share).encode()
                changed = data
            elif item.filename.endswith(".dist-info/RECORD"):
                data = _record(data.decode(), changed).encode()
            packed.writestr(item, data)


def _record(text: str, changed: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(changed).digest()).rstrip(b"=").decode()
    line = f"{PATCHED},sha256={digest},{len(changed)}"
    return "\n".join(line if each.startswith(f"{PATCHED},") else each for each in text.split("\n"))


def make_index(wheels: list[Path], folder: Path, planted: str | None, share: float) -> None:
    """Fill a folder with the wheels, changed from one release on."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for wheel in wheels:
        version = str(parse_wheel_filename(wheel.name)[1])
        if planted is None or _order(version) < _order(planted):
            (folder / wheel.name).symlink_to(wheel.absolute())
        else:
            plant(wheel, folder / wheel.name, share)


def search(work: Path, number: int, wheels: list[Path], share: float) -> Found:
    """Run one search and return what came of it."""
    model, planted = SEARCHES[number]
    folder = work / f"search_{number}"
    make_index(wheels, folder / "wheels", planted, share)
    ends = [str(parse_wheel_filename(wheel.name)[1]) for wheel in (wheels[0], wheels[-1])]
    began = time.monotonic()
    done = run_command(
        [
            *(sys.executable, "-m", "pytest_ortperf.cli", "ort", "bisect", *ends, "-k", model, "--fresh"),
            *(f"--cache={folder / 'cache'}", f"--results={folder / 'result'}"),
            *("--ortperf-ep=cpu", "--ortperf-threads=1", f"--ortperf-models={ROOT / 'models.json'}"),
        ],
        folder=ROOT,
        environment={"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder / "wheels")},
    )
    print(done.output, flush=True)
    shutil.rmtree(folder / "cache", ignore_errors=True)
    (state,) = (folder / "result").glob("ort-bisect_*/search.json")
    steps = json.loads(state.read_text(encoding="utf-8"))["steps"]
    lines = dict(
        line.split(": ", 1) for line in done.output.splitlines() if line.startswith(("last good", "first bad"))
    )
    return Found(
        model=model,
        planted=planted,
        status=done.status,
        steps=len(steps),
        last_good=lines.get("last good", "").rpartition(" ")[2],
        first_bad=lines.get("first bad", "").rpartition(" ")[2],
        ratio=steps[0]["text"].partition(":")[0],
        seconds=time.monotonic() - began,
    )


def rows(found: list[Found], versions: int) -> Iterator[str]:
    """Yield the table."""
    most = math.ceil(math.log2(versions)) + 1
    yield "| model | slower from | found | steps (most) | the bad end | seconds |"
    yield "|---|---|---|---:|---|---:|"
    for each in found:
        answer = f"{each.last_good} to {each.first_bad}" if each.status == 0 else "no change"
        right = "" if each.is_right and each.steps <= most else " WRONG"
        yield (
            f"| {each.model} | {each.planted or 'nowhere'} | {answer}{right} | {each.steps} ({most}) | {each.ratio} "
            f"| {each.seconds:.0f} |"
        )


def main() -> int:
    """Run all searches; the exit status is 0 if all are right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("result/ort_bisect"), help="folder of wheels and results")
    parser.add_argument("--from", dest="low", default="1.24.1", help="oldest release (default: 1.24.1)")
    parser.add_argument("--to", dest="high", default="1.32.0", help="newest release (default: 1.32.0)")
    parser.add_argument("--share", type=float, default=0.1, help="what run takes longer (default: 0.1)")
    arguments = parser.parse_args()
    work = arguments.work.absolute()
    (work / "downloaded").mkdir(parents=True, exist_ok=True)
    wheels = download(work / "downloaded", arguments.low, arguments.high)
    found = []
    for number in range(len(SEARCHES)):
        found.append(search(work, number, wheels, arguments.share))
        print("\n".join(rows(found, len(wheels))), flush=True)
    return 0 if all(each.is_right for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())
