"""Which execution providers can be used here, and why not the others: found out in children that may crash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ortperf.cases.providers import CPU, PROVIDERS, find_provider
from pytest_ortperf.errors import SettingsError
from pytest_ortperf.execution.process.child import ChildEnd, answer_of

if TYPE_CHECKING:
    from pytest_ortperf.execution.record_builder import Journal

TIMEOUT_S = 120.0
"""For one provider; the first CUDA session of a machine takes seconds."""

_SEE = (
    "see it with python -c 'import onnx, onnxruntime', and install what is missing, or a distribution of ONNX Runtime "
    "that fits this system, Python and numpy"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A provider to try."""

    full_name: str
    options: Mapping[str, str]
    plugins: Mapping[str, str]
    device: str | None
    workspace: str | None = None
    """Folder below which TensorRT's libraries may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeVerdict:
    """What a tiny session with a provider showed."""

    problem: str | None
    """Why no session can be made on it, in ONNX Runtime's words; `None` if one can."""

    takes_nodes: bool
    """Whether it took a node of the tiny model. A provider that does not may still take a real model's."""

    logged: str | None = None
    """An error that ONNX Runtime printed meanwhile."""

    @property
    def usable(self) -> bool:
        """Whether a session was made and its node landed there."""
        return self.problem is None and self.takes_nodes

    @property
    def reason(self) -> str:
        """Why it is not usable."""
        if self.problem:
            return self.problem
        why = f": {self.logged}" if self.logged else ""
        return f"a session can be made, but a small model's nodes went to other providers{why}"


def compiled_in() -> list[str]:
    """Return the providers of nodes that the installed ONNX Runtime has, by full name, best first.

    Raises:
        SettingsError: If it cannot be imported.
    """
    answer = answer_of(_list_providers, TIMEOUT_S)
    if isinstance(answer, ChildEnd):
        raise SettingsError(f"ONNX Runtime cannot be asked for its providers: {_how(answer)}; {_SEE}")
    if isinstance(answer, str):
        raise SettingsError(answer)
    return [name for name in answer if find_provider(name).takes_nodes]


def import_problem(error: ImportError) -> str:
    """Return what to say where ONNX Runtime, or what runs cases with it, cannot be imported."""
    return f"ONNX Runtime cannot be imported: {type(error).__name__}: {error}; {_SEE}"


def probe(questions: Sequence[Question]) -> dict[str, ProbeVerdict]:
    """Return the verdict of each provider by its full name; each is tried in a process of its own."""
    return {question.full_name: _probe(question) for question in questions}


def _probe(question: Question) -> ProbeVerdict:
    answer = answer_of(lambda: try_provider(question), TIMEOUT_S)
    if not isinstance(answer, ChildEnd):
        return answer
    if answer.timed_out:
        return ProbeVerdict(problem=f"no session within {TIMEOUT_S:g} s", takes_nodes=False)
    return ProbeVerdict(problem=f"making a session ended its process ({_how(answer)})", takes_nodes=False)


def _how(end: ChildEnd) -> str:
    if end.timed_out:
        return f"no answer within {TIMEOUT_S:g} s"
    return f"signal {end.signal}" if end.signal else f"exit status {end.exit_code}"


def _list_providers() -> list[str] | str:
    """Return their names, or why nothing can be asked."""
    try:
        import onnxruntime
    except ImportError as error:
        return import_problem(error)
    return list(onnxruntime.get_available_providers())


def try_provider(question: Question) -> ProbeVerdict:
    """Make a tiny session with a provider in this process; see where its nodes land."""
    from pytest_ortperf.errors import CaseError
    from pytest_ortperf.execution.record_builder import Journal
    from pytest_ortperf.execution.session.runtime_log import reason

    journal = Journal()
    try:
        with journal.capture_output():
            landed = _landed(question, journal)
        return ProbeVerdict(problem=None, takes_nodes=landed, logged=reason(journal.log_tail()))
    except CaseError as error:
        return ProbeVerdict(problem=str(error), takes_nodes=False)
    except ImportError as error:
        return ProbeVerdict(problem=import_problem(error), takes_nodes=False)
    finally:
        journal.close()


def _landed(question: Question, journal: Journal) -> bool:
    import onnxruntime

    from pytest_ortperf.execution.machine.tensorrt_libraries import preload_tensorrt
    from pytest_ortperf.execution.session.creation import make_session, require_active
    from pytest_ortperf.execution.session.ep_registry import providers_argument
    from pytest_ortperf.execution.session.placement import has_assignment_info, read_placement, record_placement

    available = onnxruntime.get_available_providers()
    if any(row.nvidia and row.full_name in available for row in PROVIDERS):
        onnxruntime.preload_dlls()
    if question.workspace is not None and find_provider(question.full_name).uses_tensorrt:
        preload_tensorrt(Path(question.workspace))
    options = onnxruntime.SessionOptions()
    record_placement(options)
    wanted = {question.full_name: question.options}
    wanted.setdefault(CPU.full_name, {})
    listed = providers_argument(options, list(wanted.items()), question.plugins, question.device)
    session, _ = make_session(tiny_model(), options, listed, question.full_name, journal.log_tail)
    require_active(question.full_name, session.get_providers(), journal.log_tail)
    if not has_assignment_info():
        return True
    return question.full_name in read_placement(session).nodes_by_provider


def tiny_model() -> bytes:
    """Return a convolution and a Relu of an input `x` of shape (1, 3, 8, 8): every provider for networks takes them."""
    from onnx import TensorProto, helper

    def tensor(name: str, shape: list[int]) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    weights = helper.make_tensor("w", TensorProto.FLOAT, [4, 3, 3, 3], [0.01 * n for n in range(108)])
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["y"], name="relu"),
    ]
    graph = helper.make_graph(nodes, "probe", [tensor("x", [1, 3, 8, 8])], [tensor("y", [1, 4, 8, 8])], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
