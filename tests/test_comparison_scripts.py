"""The benchmark scripts about comparisons, on little data."""

import importlib.util
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_the_timing_of_a_comparison_finds_what_it_planted() -> None:
    command = [sys.executable, str(BENCHMARKS / "compare_1000.py"), "--cases=50", "--repeat=1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert re.fullmatch(
        r"\d+\.\d\d s, exit status 1, latency: 1 SLOWER, 0 FASTER, 0 UNSURE, 49 SAME; .*\n", done.stdout
    )


def test_the_simulation_counts_what_is_found_and_what_is_false() -> None:
    spec = importlib.util.spec_from_file_location("stored_verdicts", BENCHMARKS / "stored_verdicts.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    dice = random.Random(1)  # noqa: S311 - noise
    counts = script.compared(script.MACHINES["quiet"], (6, 6), 1.1, dice)
    assert counts == Counter(found=20, same=380)
    counts = script.compared(script.MACHINES["quiet"], (1, 1), 0.5, dice)
    assert counts == Counter(false=20, same=380)  # it is told to count what is slower
