import os
import subprocess
import sys

CHECK = """
import os, onnxruntime, numpy
from pytest_ortperf.execution import execute
before = len(os.listdir("/proc/self/task"))
execute.warm_process()
print(len(os.listdir("/proc/self/task")) - before)
"""


def test_warming_leaves_no_thread_behind() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHECK],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert done.stdout == "0\n"
