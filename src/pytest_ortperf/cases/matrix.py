"""Models x providers x precisions x dimensions -> cases, each with a stable id."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_ortperf.cases.case_id import CaseId, Dims, Mode
from pytest_ortperf.cases.keys import EMPTY
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.providers import Provider
from pytest_ortperf.cases.rules import Condition

MODES: Mapping[str, tuple[Mode, ...]] = {
    "validate": ("validate",),
    "benchmark": ("benchmark",),
    "both": ("validate", "benchmark"),
}
"""Item modes of each `--ortperf-mode`; validation first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One model x one provider x one precision x one set of dimensions, in one mode."""

    model: Model
    mode: Mode
    provider: Provider
    precision: str | None
    """`fp16` where asked; `None` is the model as given."""

    dims: Dims = ()
    assumed: Dims = ()
    """Sizes that nobody gave, of dimensions that need one; they are no part of the id."""

    variation: int = 0
    """Which values generated inputs have; others than the first where those give outputs that show nothing."""

    @property
    def sizes(self) -> dict[str, int]:
        """All sizes by dimension, those that were given over those that were assumed."""
        return {**dict(self.assumed), **dict(self.dims)}

    @property
    def id(self) -> CaseId:
        """The id, without its source."""
        return CaseId(
            model=self.model.name,
            mode=self.mode,
            provider=self.provider.name,
            precision=self.precision,
            dims=self.dims,
        )

    @property
    def variant(self) -> str:
        """What stands in brackets: `cuda-fp16-batch=8`."""
        return self.id.variant

    @property
    def label(self) -> str:
        """The item's name: `benchmark[cuda-fp16]`."""
        return self.id.label

    @property
    def case_id(self) -> str:
        """The same on each machine and in each run: `bert::benchmark[cuda-fp16]`."""
        return self.id.format()


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """What models are multiplied by."""

    modes: Sequence[Mode]
    providers: Sequence[Provider]
    precisions: Sequence[str | None]
    dims: Mapping[str, tuple[int, ...]]
    """From the command line; over those of the model list."""

    named: Mapping[str, tuple[str | None, ...]] = field(default_factory=lambda: EMPTY)
    """Short name -> precisions of a provider that was named with one, instead of the run's."""

    def precisions_of(self, provider: Provider) -> Sequence[str | None]:
        """Return the precisions that the cases of a provider have."""
        return self.named.get(provider.name, self.precisions)


def model_cases(model: Model, axes: Axes) -> Iterator[Case]:
    """Yield the cases of one model; those of one provider and precision stand together."""
    swept = list(sweep({**model.dims, **axes.dims}))
    for provider in axes.providers:
        for precision, dims, mode in itertools.product(axes.precisions_of(provider), swept, axes.modes):
            yield Case(model=model, mode=mode, provider=provider, precision=precision, dims=dims)


def sweep(dims: Mapping[str, tuple[int, ...]]) -> Iterable[Dims]:
    """Return each combination of dimension values, in the order given; one empty one for no dimension."""
    names = list(dims)
    for values in itertools.product(*(dims[name] for name in names)):
        yield tuple(zip(names, values, strict=True))


def applies(condition: Condition, case: Case) -> bool:
    """Whether a `skip` or `xfail` of the model list is about this case."""
    return (
        (not condition.providers or case.provider.name in condition.providers)
        and (not condition.precisions or (case.precision or "as-given") in condition.precisions)
        and (not condition.modes or case.mode in condition.modes)
    )
