"""What `ortperf inspect` finds out about a model, and about a list of models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredValue:
    """An input or output, as the model declares it."""

    name: str
    type: str
    """`float32` for a tensor, else such as `sequence(int64)`."""

    shape: tuple[int | str | None, ...] | None
    """A dimension with a name by that, one with neither name nor size as `None`; `None` for an unknown rank."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """What a model file says about itself; no session is needed."""

    path: str
    byte: int
    """Size of the file itself."""

    external: Mapping[str, int | None] = field(default_factory=dict)
    """External data files, as the model names them, with their size in bytes; `None` for a missing one."""

    ir_version: int
    opsets: Mapping[str, int]
    """Domain -> version; `ai.onnx` is the default domain."""

    producer: str | None
    precision: str | None
    """Of most of its weights; `int8` if quantised, `engine` if compiled for a provider before."""

    inputs: tuple[DeclaredValue, ...]
    """Those that have to be fed."""

    outputs: tuple[DeclaredValue, ...]
    free_dims: Mapping[str, int]
    """Dimensions of inputs without a size -> the size assumed for them: as tried, else a plausible one."""

    nodes: int
    inner_nodes: int
    """Those inside other nodes, such as the branches of an `If`."""

    operators: Mapping[str, int]
    """Operator -> how many nodes, the most frequent first; inner nodes included."""

    warnings: tuple[str, ...] = ()

    @property
    def total_byte(self) -> int:
        """Size with external data, as far as that is there."""
        return self.byte + sum(byte or 0 for byte in self.external.values())

    @property
    def missing(self) -> tuple[str, ...]:
        """External data files that are not there."""
        return tuple(name for name, byte in self.external.items() if byte is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One case tried on this machine: is there a session, and what does each provider get of it."""

    variant: str
    """Provider, precision and dimensions, as in a case id: `cuda-fp16`."""

    provider: str
    """Its full name."""

    problem: str | None = None
    """Why the case cannot run, in the words that a run uses; `None` if it can."""

    stage: str | None = None
    """Where it ended then."""

    nodes_by_provider: Mapping[str, int] = field(default_factory=dict)
    """As in a record's placement."""

    creation_ns: int | None = None
    fp16_from: str | None = None
    note: str | None = None
    """What is to be known of the model as the session got it."""

    assumed: Mapping[str, int] = field(default_factory=dict)
    """Sizes of dimensions that nobody gave."""

    data_sets: tuple[str, ...] = ()
    """Those that it ran with, where it was to run."""

    @property
    def nodes_there(self) -> int:
        """Nodes on the provider asked for."""
        return self.nodes_by_provider.get(self.provider, 0)

    @property
    def nodes(self) -> int:
        """All nodes that are left once the session is made."""
        return sum(self.nodes_by_provider.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInspection:
    """A model, and what this machine can do with it."""

    model: ModelDescription
    trials: tuple[Trial, ...]
    """One for each provider that can be used here."""

    left_out: Mapping[str, str]
    """Providers of the installed ONNX Runtime that cannot be used here -> why."""

    fp16: Trial | None
    """The model converted to fp16, on the CPU; `None` if that was not tried."""

    fp16_note: str | None = None
    """Why it was not."""

    onnxruntime: str
    test_data: tuple[str, ...] = ()
    """Data sets beside the model."""

    passed_over: tuple[str, ...] = ()
    """Test data beside it that is not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedModel:
    """One model of a list."""

    name: str
    path: str
    cases: int
    model: ModelDescription | None
    """`None` if the file cannot be read."""

    problem: str | None = None
    """Why it cannot."""

    missing: tuple[str, ...] = ()
    """Files and folders that its entry names and that are not there."""

    data_sets: tuple[str, ...] | None = None
    """Stored data sets; `None` if the entry names no test data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListInspection:
    """A list or directory of models, under the options given."""

    path: str
    models: tuple[ListedModel, ...] = ()
    issues: tuple[str, ...] = ()
    """What is wrong with the list itself; there are no models then."""

    cases: Mapping[str, int] = field(default_factory=dict)
    """Such as `validate[cpu-fp16]` -> how many."""

    seconds: float = 0.0
    """What the cases are expected to take, one after the other."""

    measured_cases: int = 0
    """How many of them an earlier run has timed; the rest is estimated."""

    estimate: str | None = None
    """What the estimate of the rest rests on."""

    results: str | None = None
    """The folder of the earlier runs."""

    passed_over: tuple[str, ...] = ()
    """Files of a directory that look like models or data and are not read, with the reason."""

    @property
    def is_whole(self) -> bool:
        """Whether the list has no issues and nothing that it names is missing or unreadable."""
        return not self.issues and not any(
            each.missing or each.problem or (each.model and each.model.missing) for each in self.models
        )
