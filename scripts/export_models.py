"""Export four networks of real size with seeded random weights, and the model list for them; nothing is downloaded.

    python scripts/export_models.py FOLDER [resnet50 bert_base vit_b_16 detector]

Needs torch, torchvision, transformers and onnx. FOLDER then holds one `.onnx` file a network (about 1 GB for the four)
and `models.json`. There is no stored test data: inputs are generated, references come from the CPU in fp32.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

OPSET = 17
SEED = 20240607
ANCHORS = 7 * 7
CLASSES = 4
DETECTIONS_PER_CLASS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """One network to export."""

    make: Callable[[], tuple[nn.Module, dict[str, Tensor]]]
    """Returns the module in evaluation mode and example inputs by name."""

    outputs: tuple[str, ...]
    tags: tuple[str, ...]
    batch: str | None = "batch"
    """Name of the symbolic first dimension; `None` keeps batch 1."""

    finish: Callable[[onnx.ModelProto], None] | None = None
    """Completes the exported graph."""

    extra: dict[str, Any] = field(default_factory=dict)
    """More keys of the model list's entry."""


class Bert(nn.Module):
    """The encoder with its outputs as a tuple and its inputs by position."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor) -> tuple[Tensor, Tensor]:
        """Return hidden states, shape (batch, tokens, 768), and the pooled ones, shape (batch, 768)."""
        found = self.encoder(input_ids=ids, attention_mask=mask, token_type_ids=types)
        return found.last_hidden_state, found.pooler_output


class Detector(nn.Module):
    """A ResNet-18 with one box and one score per class for each cell of its 7 x 7 map."""

    centers: Tensor
    priors: Tensor

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.box_head = nn.Conv2d(512, 4, 1)
        self.score_head = nn.Conv2d(512, CLASSES, 1)
        cells = (torch.arange(7) + 0.5) / 7
        rows, columns = torch.meshgrid(cells, cells, indexing="ij")
        self.register_buffer("centers", torch.stack([rows.flatten(), columns.flatten()], dim=1))
        priors = [torch.randperm(ANCHORS) for _ in range(CLASSES)]
        self.register_buffer("priors", torch.stack(priors) / ANCHORS * 0.98 + 0.01)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return boxes (1, anchors, 4), scores (1, classes, anchors) and the logits behind the scores.

        The order of the scores comes from a fixed prior: steps of 0.02, while the image moves a score by 0.002 at
        most. So rounding in another precision does not choose other boxes, and a wrong choice is a real one.
        """
        features = self.backbone(image)
        shift = torch.sigmoid(self.box_head(features).flatten(2).transpose(1, 2))
        centers = self.centers + (shift[..., :2] - 0.5) * 0.2
        half = 0.08 + shift[..., 2:] * 0.1
        logits = self.score_head(features).flatten(2)
        return torch.cat([centers - half, centers + half], dim=2), self.priors + torch.tanh(logits) * 0.002, logits


def calibrated(module: nn.Module) -> nn.Module:
    """Return a residual network whose activations neither explode nor make much of a rounding error.

    Its batch normalisations know the statistics of noise, and each block adds a fifth of what it would.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    for block in module.modules():
        if hasattr(block, "downsample"):
            last: Any = block.bn3 if hasattr(block, "bn3") else block.bn2
            nn.init.constant_(last.weight, 0.2)
    for layer in layers:
        layer.momentum = 1.0
    module.train()
    with torch.no_grad():
        module(torch.rand(8, 3, 224, 224) * 2 - 1)
    return module.eval()


def make_resnet50() -> tuple[nn.Module, dict[str, Tensor]]:
    """Return torchvision's ResNet-50."""
    from torchvision.models import resnet50

    return calibrated(resnet50(weights=None)), {"image": torch.rand(1, 3, 224, 224)}


def plain_attention(query: Tensor, key: Tensor, value: Tensor, *_: Any) -> Tensor:
    """Return scaled dot-product attention without mask or dropout, its scale a constant of the graph."""
    scale = int(query.shape[-1]) ** -0.5
    return torch.softmax(query @ key.transpose(-2, -1) * scale, dim=-1) @ value


def make_vit() -> tuple[nn.Module, dict[str, Tensor]]:
    """Return torchvision's ViT-B/16; its classifier starts as zeros, which would make each output the same."""
    from torchvision.models import vit_b_16

    # as torch writes it for ONNX, a chain of casts computes the scale: half precision fails on it in ONNX Runtime 1.30
    setattr(nn.functional, "scaled_dot_product_attention", plain_attention)  # noqa: B010 - mypy takes no assignment
    module = vit_b_16(weights=None)
    nn.init.normal_(module.heads.head.weight, std=0.05)
    return module.eval(), {"image": torch.rand(1, 3, 224, 224)}


def make_bert() -> tuple[nn.Module, dict[str, Tensor]]:
    """Return transformers' BERT-base with its default configuration."""
    from transformers import BertConfig, BertModel

    configuration = BertConfig()
    # the fused kinds of attention have no ONNX operator in this exporter
    configuration._attn_implementation = "eager"  # noqa: SLF001 - its name as an argument is not typed
    module = Bert(BertModel(configuration))
    shape = (1, 128)
    return module.eval(), {
        "input_ids": torch.randint(0, 30522, shape),
        "attention_mask": torch.ones(shape, dtype=torch.int64),
        "token_type_ids": torch.zeros(shape, dtype=torch.int64),
    }


def make_detector() -> tuple[nn.Module, dict[str, Tensor]]:
    """Return a detector on torchvision's ResNet-18, without its last two layers."""
    from torchvision.models import resnet18

    backbone = nn.Sequential(*list(resnet18(weights=None).children())[:-2])
    return Detector(calibrated(backbone)).eval(), {"image": torch.rand(1, 3, 224, 224)}


def add_suppression(model: onnx.ModelProto) -> None:
    """Let non-maximum suppression choose among the boxes; outputs `selected` and `selected_boxes` come on top."""
    graph = model.graph
    values = {
        "most": torch.tensor([DETECTIONS_PER_CLASS]),
        "iou_threshold": torch.tensor([0.5]),
        "score_threshold": torch.tensor([0.2]),
        "box_column": torch.tensor([2]),
        "no_batch": torch.tensor([0]),
    }
    graph.initializer.extend(numpy_helper.from_array(value.numpy(), name) for name, value in values.items())
    limits = ["most", "iou_threshold", "score_threshold"]
    graph.node.extend(
        [
            helper.make_node("NonMaxSuppression", ["boxes", "scores", *limits], ["selected"], name="suppression"),
            helper.make_node("Gather", ["selected", "box_column"], ["chosen"], name="choose", axis=1),
            helper.make_node("Squeeze", ["boxes", "no_batch"], ["all_boxes"], name="drop_batch"),
            helper.make_node("GatherND", ["all_boxes", "chosen"], ["selected_boxes"], name="take_boxes"),
        ]
    )
    graph.output.extend(
        [
            helper.make_tensor_value_info("selected", TensorProto.INT64, ["detections", 3]),
            helper.make_tensor_value_info("selected_boxes", TensorProto.FLOAT, ["detections", 4]),
        ]
    )


HALF_LIKE = [
    {"precision": "fp16", "rtol": 1e-2, "atol": 2e-2},
    {"provider": "cuda", "rtol": 1e-2, "atol": 2e-2},
]
"""CUDA multiplies in TF32 unless `use_tf32` is 0: as many bits of mantissa as fp16. Outputs are of the size of 1."""

NETWORKS = {
    "resnet50": Network(make=make_resnet50, outputs=("logits",), tags=("vision",)),
    "bert_base": Network(
        make=make_bert,
        outputs=("hidden", "pooled"),
        tags=("language", "transformer"),
        extra={
            "inputs": {
                "input_ids": {"low": 0, "high": 30521},
                "attention_mask": {"fill": "ones"},
                "token_type_ids": {"fill": "zeros"},
            }
        },
    ),
    "vit_b_16": Network(make=make_vit, outputs=("logits",), tags=("vision", "transformer")),
    "detector": Network(
        make=make_detector,
        outputs=("boxes", "scores", "logits"),
        tags=("vision", "detection"),
        batch=None,
        finish=add_suppression,
    ),
}


def export(name: str, folder: Path) -> Path:
    """Write one network and return its file."""
    network = NETWORKS[name]
    torch.manual_seed(SEED)
    module, inputs = network.make()
    path = folder / f"{name}.onnx"
    axes = {name: {0: network.batch} for name in (*inputs, *network.outputs)} if network.batch else None
    torch.onnx.export(
        module,
        tuple(inputs.values()),
        str(path),
        dynamo=False,
        opset_version=OPSET,
        input_names=list(inputs),
        output_names=list(network.outputs),
        dynamic_axes=axes,
    )
    if network.finish is not None:
        model = onnx.load_model(path)
        network.finish(model)
        onnx.checker.check_model(model)
        onnx.save_model(model, path)
    return path


def model_list(names: Sequence[str]) -> dict[str, Any]:
    """Return the model list for the networks with these names."""
    entries = [
        {"name": name, "path": f"{name}.onnx", "tags": list(NETWORKS[name].tags), **NETWORKS[name].extra}
        for name in names
    ]
    return {"defaults": {"tolerance": HALF_LIKE}, "models": entries}


def main(arguments: Sequence[str] | None = None) -> None:
    """Export the networks that the command line names, else all."""
    parser = argparse.ArgumentParser(description="Export networks with random weights and their model list.")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NETWORKS)}; all unless given")
    given = parser.parse_args(arguments)
    unknown = sorted(set(given.names) - set(NETWORKS))
    if unknown:
        parser.error(f"unknown network {', '.join(unknown)}; choose from {', '.join(NETWORKS)}")
    # the fused fast path of evaluation mode has no ONNX operators
    torch.backends.mha.set_fastpath_enabled(value=False)
    given.folder.mkdir(parents=True, exist_ok=True)
    done = []
    for name in given.names or NETWORKS:
        start = time.perf_counter()
        path = export(name, given.folder)
        done.append(name)
        # written after each, so that a network that cannot be exported leaves a list of the others
        (given.folder / "models.json").write_text(json.dumps(model_list(done), indent=2) + "\n", encoding="utf-8")
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB in {time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
