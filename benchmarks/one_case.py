"""One tiny case in a Python process of its own, as a script per case does it; prints what the work took, in ns."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper


def main(folder: Path) -> int:
    """Validate the model of a folder; return the exit status."""
    start = time.perf_counter_ns()
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    data = folder / "test_data_set_0"
    stored, reference = (numpy_helper.to_array(onnx.load_tensor(data / name)) for name in ("input_0.pb", "output_0.pb"))
    (output,) = session.run(None, {session.get_inputs()[0].name: stored})
    right = np.allclose(output, reference, rtol=1e-3, atol=1e-5)
    print(time.perf_counter_ns() - start)
    return int(not right)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
