"""Plugin execution providers: packages that bring a library for ONNX Runtime to load, and libraries named by path."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

from pytest_ortperf.cases.providers import PROVIDERS
from pytest_ortperf.records.environment.distributions import installed

PACKAGES = ("onnxruntime-ep-", *(row.plugin_package for row in PROVIDERS if row.plugin_package))
"""How the distributions of plugins are called; their package has the same name with underscores."""


class PluginError(Exception):
    """A plugin that cannot be found; its text says why."""


def installed_plugins() -> dict[str, str]:
    """Return the plugin providers of installed packages: full name -> library.

    A package without the functions that plugins have (`get_library_path`, `get_ep_names`), or without a library for
    this machine, is left out: nobody asked for it.
    """
    found = {}
    for distribution in installed(PACKAGES):
        module = distribution.replace("-", "_")
        if importlib.util.find_spec(module) is None:
            continue
        try:
            found.update(_of_module(module))
        except PluginError:
            continue
    return found


def plugin_library(target: str) -> str:
    """Return the library of a plugin that was named.

    Args:
        target: A shared library, or a Python module with `get_library_path()`.

    Raises:
        PluginError: If it is neither.
    """
    path = Path(target)
    if path.suffix in {".so", ".dll", ".dylib"} or len(path.parts) > 1:
        if path.is_file():
            return str(path.absolute())
        raise PluginError(f"{path.absolute()} does not exist")
    if importlib.util.find_spec(target) is None:
        raise PluginError(f"there is no library and no Python module {target!r}")
    return next(iter(_of_module(target).values()))


def _of_module(name: str) -> dict[str, str]:
    try:
        module = importlib.import_module(name)
        library = str(module.get_library_path())
        names = list(module.get_ep_names())
    except (ImportError, AttributeError, OSError, RuntimeError) as error:
        raise PluginError(f"module {name} brings no plugin provider: {error}") from error
    if not names:
        raise PluginError(f"module {name} brings no plugin provider: it names no execution provider")
    if not Path(library).is_file():
        raise PluginError(f"module {name} brings no plugin provider: {library} does not exist")
    return dict.fromkeys(names, library)
