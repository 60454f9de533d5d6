"""The options that a case's provider and its companions get: our choices, the device, the model list's, the user's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
import onnxruntime

from pytest_ortperf.cases.keys import EMPTY
from pytest_ortperf.cases.matrix import Case
from pytest_ortperf.cases.provider_options import PROFILE_KEYS, check_options
from pytest_ortperf.cases.providers import Provider, short_name
from pytest_ortperf.errors import CaseError, SettingsError
from pytest_ortperf.execution.case_settings import ExecutionSettings
from pytest_ortperf.execution.model.model_file import is_ep_context
from pytest_ortperf.execution.session import tensorrt
from pytest_ortperf.execution.session.engine_cache import cache_options

TF32 = "tf32"
"""Precision of fp32 products with 10 bits of mantissa, on Ampere GPUs and later."""

Options = dict[str, str]


def provider_options(
    case: Case,
    settings: ExecutionSettings,
    source: str | bytes,
    session_inputs: Sequence[tensorrt.InputShape] | None = None,
) -> dict[str, Options]:
    """Return checked options by full provider name, for the case's provider and its companions.

    What the user gives, on the command line or in the model list, always wins over our own choices.

    Args:
        case: Names the provider.
        settings: Of the command line; where engines are cached.
        source: Path or serialised model, as the session gets it.
        session_inputs: The model's inputs, if they are known already; read from the model unless given.

    Raises:
        CaseError: Stage `session`, for an option that cannot be used.
    """
    names = (case.provider.full_name, *case.provider.companions)
    given = {name: _given(name, case, settings) for name in names}
    _share_device(case, given)
    if case.provider.uses_tensorrt:
        name = case.provider.full_name
        given[name] = _with_tensorrt_defaults(given[name], case, settings, source, session_inputs)
    checked = {name: _checked(name, options) for name, options in given.items()}
    if settings.device_graph and case.provider.graph_option:
        # after the check, which refuses it to users
        table = case.provider.options
        checked[case.provider.full_name][case.provider.graph_option] = table.true if table else "1"
    return checked


def lower_precisions(
    provider: Provider, options: Mapping[str, str], precision: str | None, environ: Mapping[str, str] = EMPTY
) -> tuple[str, ...]:
    """Return the precisions below fp32 that fp32 numbers may be computed in, the lowest last.

    Args:
        provider: Says which it has.
        options: The provider's, as given to the session.
        precision: Of the model's weights.
        environ: The environment; `NVIDIA_TF32_OVERRIDE=0` keeps NVIDIA's libraries from TF32 whatever is allowed.
    """
    if precision != "fp32":
        return ()
    asked = {name for name in provider.lower_precisions if options.get(f"trt_{name}_enable") in {"True", "1"}}
    if not _is_off(environ.get("NVIDIA_TF32_OVERRIDE")) and not _is_off(options.get("use_tf32")):
        asked.add(TF32)
    return tuple(name for name in provider.lower_precisions if name in asked)


def lower_precisions_note(lower: Sequence[str]) -> str:
    """Return what a table must say of fp32 numbers that may be computed in these."""
    if list(lower) == [TF32]:
        return "TF32 allowed"
    return f"fp32 storage, {', '.join('TF32' if name == TF32 else name for name in lower)} allowed"


def _is_off(value: str | None) -> bool:
    return value is not None and value.lower() in {"0", "false"}


def _given(full_name: str, case: Case, settings: ExecutionSettings) -> Options:
    name, key = short_name(full_name), case.provider.device_option
    device = settings.devices.get(name)
    own = full_name == case.provider.full_name and full_name not in settings.plugins
    chosen = {key: device} if own and key and device is not None else {}
    return {**chosen, **case.model.ep_options.get(name, {}), **settings.ep_options.get(name, {})}


def _share_device(case: Case, given: dict[str, Options]) -> None:
    """Let companions run on the device of the provider they stand in for."""
    device = given[case.provider.full_name].get("device_id")
    for name in case.provider.companions:
        if device is not None:
            given[name] = {"device_id": device, **given[name]}


def _with_tensorrt_defaults(
    given: Options,
    case: Case,
    settings: ExecutionSettings,
    source: str | bytes,
    inputs: Sequence[tensorrt.InputShape] | None,
) -> Options:
    model = read_model(source)
    if is_ep_context(model):
        return given
    shapes = inputs if inputs is not None else tensorrt.graph_inputs(model)
    profiles = {} if given.keys() & set(PROFILE_KEYS) else tensorrt.profile_options(shapes, case, settings)
    options = {**tensorrt.precision_options(case), **profiles, **given}
    return {**cache_options(source, case, settings, options), **options}


def read_model(source: str | bytes) -> onnx.ModelProto:
    """Return a model without its external data."""
    if isinstance(source, bytes):
        return onnx.load_model_from_string(source)
    return onnx.load_model(source, load_external_data=False)


def _checked(full_name: str, options: Options) -> Options:
    try:
        return check_options(full_name, options, onnxruntime.__version__)
    except SettingsError as error:
        raise CaseError(str(error), stage="session", kind="session error") from error
