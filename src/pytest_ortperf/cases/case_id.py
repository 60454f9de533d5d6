"""The id of a case, such as `bert::benchmark[cuda-fp16-batch=8]`: the one place that formats and parses it."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Literal, Self, get_args

ItemMode = Literal["validate", "benchmark"]
"""What an item of pytest does."""

Mode = Literal[ItemMode, "check"]
"""What a record is about; `check` is what `ortperf check` does."""

Dims = tuple[tuple[str, int], ...]

_LABEL = re.compile(
    r"::(?P<mode>validate|benchmark|check)\[(?P<provider>[^\]\-\[]+)(?:-(?P<precision>fp16)(?=[-\]]))?(?:-(?P<dims>.+))?\]"
    r"(?:@[^\]]*)?$"
)
"""pytest-xdist's `--dist=loadgroup` appends `@GROUP` to node ids."""

_DIM = re.compile(r"(?P<name>.+?)=(?P<size>\d+)(?:-|$)")
"""Names may contain hyphens, such as `batch-size=8-length=128`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseId:
    """Everything that tells one case from another; the same on each machine and in each run."""

    model: str
    mode: Mode
    provider: str
    """Its short name, such as `cuda`."""

    precision: str | None = None
    """`fp16` where asked for; `None` is the model as given."""

    dims: Dims = ()
    source: str | None = None
    """Node id of the model list or directory; `None` where only the case's own id is known."""

    @property
    def variant(self) -> str:
        """The part in brackets: `cuda-fp16-batch=8`."""
        parts = [self.provider]
        if self.precision:
            parts.append(self.precision)
        parts += [f"{name}={size}" for name, size in self.dims]
        return "-".join(parts)

    @property
    def label(self) -> str:
        """The name of the pytest item: `benchmark[cuda-fp16]`."""
        return f"{self.mode}[{self.variant}]"

    def format(self) -> str:
        """Return the id without its source: `bert::benchmark[cuda-fp16]`."""
        return f"{self.model}::{self.label}"

    @property
    def nodeid(self) -> str:
        """The node id of the pytest item: `models.json::bert::benchmark[cuda-fp16]`."""
        return self.format() if self.source is None else f"{self.source}::{self.format()}"

    def in_mode(self, mode: Mode) -> Self:
        """Return the id of the same case in another mode."""
        return dataclasses.replace(self, mode=mode)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the id that a case id or node id stands for; `None` if it is neither.

        A model's name may contain single colons, also at its ends: of more than two colons in a row, the first two
        separate it from its list, and the last two from its mode.
        """
        found = _last_label(text)
        if found is None:
            return None
        dims = _parse_dims(found["dims"] or "")
        source, model = _split_source(text[: found.start()])
        if dims is None or not model:
            return None
        mode: Mode = next(each for each in get_args(Mode) if each == found["mode"])
        return cls(
            model=model, mode=mode, provider=found["provider"], precision=found["precision"], dims=dims, source=source
        )


def validation_nodeid(nodeid: str) -> str:
    """Return the node id of the validation of the same case; any other node id is returned as it is."""
    known = CaseId.parse(nodeid)
    return nodeid if known is None else known.in_mode("validate").nodeid


def _last_label(text: str) -> re.Match[str] | None:
    # names of models contain no bracket, but a path may look like a label
    start = max(text.rfind(f"::{mode}[") for mode in get_args(Mode))
    return None if start < 0 else _LABEL.match(text, start)


def _split_source(head: str) -> tuple[str | None, str]:
    separators = list(re.finditer(r"::+", head))
    if not separators:
        return None, head
    start = separators[-1].start()
    return head[:start], head[start + 2 :]


def _parse_dims(text: str) -> Dims | None:
    dims = []
    position = 0
    while position < len(text):
        found = _DIM.match(text, position)
        if found is None:
            return None
        dims.append((found["name"], int(found["size"])))
        position = found.end()
    return None if text.endswith("-") else tuple(dims)
