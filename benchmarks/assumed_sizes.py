"""What is assumed where an input has dimensions without a size: the table of docs/benchmarks/assumed-sizes.md.

    python benchmarks/assumed_sizes.py

Reads the declarations of the ONNX Model Zoo's models in tests/data; no model is needed, so weights fix no size here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx

from pytest_ortperf.execution.inputs.assumed_sizes import propose_sizes
from pytest_ortperf.execution.model.model_dimensions import FreeInput, dimension_key

DECLARATIONS = Path(__file__).parents[1] / "tests" / "data" / "zoo_dynamic_inputs.json"


def table() -> list[str]:
    """Return the lines of the table; models with the same inputs share one."""
    rows: dict[str, list[str]] = {}
    for entry in json.loads(DECLARATIONS.read_text("utf-8")):
        rows.setdefault(_inputs_text(entry["inputs"]), []).append(entry["model"])
    lines = ["| models | inputs, and what is assumed |", "|---|---|"]
    return [*lines, *(f"| {', '.join(models)} | {inputs} |" for inputs, models in rows.items())]


def _inputs_text(declared: list[Any]) -> str:
    inputs = [
        FreeInput(name, tuple(shape), is_integer="int64" in kind or "int32" in kind, is_string="string" in kind)
        for name, kind, shape in declared
    ]
    sizes = next(propose_sizes(onnx.ModelProto(), inputs, {}).attempts())
    texts = []
    for item, (name, kind, _) in zip(inputs, declared, strict=True):
        shape = [_size_text(item.name, axis, dim, sizes) for axis, dim in enumerate(item.shape)]
        element = kind.removeprefix("tensor(").removesuffix(")")
        words = " of short words" if item.is_string else ""
        texts.append(f"`{name}` {element}[{', '.join(shape)}]{words}")
    return "; ".join(texts)


def _size_text(name: str, axis: int, dim: object, sizes: dict[str, int]) -> str:
    key = dimension_key(name, axis, dim)
    return str(dim) if key is None else f"**{sizes[key]}**"


if __name__ == "__main__":
    print("\n".join(table()))
