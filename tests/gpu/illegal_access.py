"""Models whose CUDA kernels trust an index that comes as an input: far outside, it is an illegal memory access.

Which kernels check their indices changes from version to version of ONNX Runtime, hence several.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from gpu.project import graph_of

FLOAT, INT32, INT64 = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64
FAR = 2**40
"""Elements away from any buffer: terabytes."""


def candidates() -> dict[str, tuple[onnx.ModelProto, dict[str, Any]]]:
    """Return, by name, a model and the rules of its inputs that make it reach outside."""
    return {
        "gather_nd": (gather_nd(), same("indices", FAR)),
        "gather_elements": (gather_elements(), same("indices", FAR)),
        "reverse_sequence": (reverse_sequence(), same("lengths", FAR)),
        "roi_align": (roi_align(), same("images", 2**29)),
        "embed_layer_norm": (embed_layer_norm(), same("ids", 2**30)),
    }


def same(name: str, value: int) -> dict[str, Any]:
    """Return a rule that makes each element of an input the same."""
    return {name: {"low": value, "high": value}}


def gather_nd() -> onnx.ModelProto:
    """Return a model that takes rows of a table."""
    node = helper.make_node("GatherND", ["table", "indices"], ["rows"])
    return graph_of([node], {"indices": (INT64, [8, 1])}, {"rows": (FLOAT, [8, 16])}, [weight("table", 4, 16)])


def gather_elements() -> onnx.ModelProto:
    """Return a model that takes elements of a table."""
    node = helper.make_node("GatherElements", ["table", "indices"], ["elements"], axis=0)
    return graph_of([node], {"indices": (INT64, [4, 16])}, {"elements": (FLOAT, [4, 16])}, [weight("table", 4, 16)])


def reverse_sequence() -> onnx.ModelProto:
    """Return a model that turns the first elements of each sequence around."""
    node = helper.make_node("ReverseSequence", ["table", "lengths"], ["reversed"], time_axis=0, batch_axis=1)
    return graph_of([node], {"lengths": (INT64, [4])}, {"reversed": (FLOAT, [8, 4, 16])}, [weight("table", 8, 4, 16)])


def roi_align() -> onnx.ModelProto:
    """Return a model that samples regions of one image of a batch."""
    node = helper.make_node("RoiAlign", ["batch", "regions", "images"], ["y"], output_height=4, output_width=4)
    regions = numpy_helper.from_array(np.tile(np.array([0, 0, 8, 8], np.float32), (8, 1)), "regions")
    weights = [weight("batch", 1, 4, 64, 64), regions]
    return graph_of([node], {"images": (INT64, [8])}, {"y": (FLOAT, [8, 4, 4, 4])}, weights)


def embed_layer_norm() -> onnx.ModelProto:
    """Return the first, fused layer of a BERT: words, positions and segments looked up and added."""
    tables = [weight("words", 16, 64), weight("positions", 16, 64), weight("segments", 2, 64)]
    scales = [weight("gamma", 64), weight("beta", 64)]
    names = ["ids", "types", "words", "positions", "segments", "gamma", "beta"]
    node = helper.make_node("EmbedLayerNormalization", names, ["y", "mask"], domain="com.microsoft", epsilon=1e-6)
    inputs: Any = {"ids": (INT32, [1, 8]), "types": (INT32, [1, 8])}
    return graph_of([node], inputs, {"y": (FLOAT, [1, 8, 64]), "mask": (INT32, [1])}, [*tables, *scales])


def weight(name: str, *shape: int) -> onnx.TensorProto:
    """Return a seeded float tensor."""
    values = np.random.default_rng(1).normal(0, 1, shape).astype(np.float32)
    return numpy_helper.from_array(values, name)
