"""Models of the zoo by name: found on the hub in either layout, fetched, checked, and given test data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pytest_ortperf.provision.addresses import zoo_organisation
from pytest_ortperf.provision.zoo.catalogue import FileFacts, ZooError, ZooModel, matching, nearest, read_catalogue
from pytest_ortperf.provision.zoo.downloads import Fetching, fetch_all
from pytest_ortperf.provision.zoo.hub import LEGACY, MAIN, Hub, HubFile, NotOnHubError, Repository
from pytest_ortperf.provision.zoo.list_file import ListedEntry
from pytest_ortperf.provision.zoo.test_data import DataWanted, Offer, add_data, check_source, has_data, offers_of
from pytest_ortperf.provision.zoo.transfer import Arrived, Wanted

_ONNX = ".onnx"
_REFERENCE = re.compile(r"(?:[\w.-]+/)?[\w.-]+(?::[^:]+)?")
_EXTERNAL = (".data", ".bin", ".weights", ".onnx_data")
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What was asked for."""

    names: Sequence[str] = ()
    everything: bool = False
    original: bool = False
    expression: str | None = None
    revision: str = MAIN
    with_data: str | None = None


@dataclass(slots=True)
class Pulled:
    """What came, and what did not."""

    entries: list[ListedEntry] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    without_data: list[str] = field(default_factory=list)
    repositories: list[Repository] = field(default_factory=list)


@dataclass(slots=True)
class _Model:
    """A model that is wanted: its files on the hub, the `.onnx` file first."""

    name: str
    known: ZooModel
    folder: Path
    sources: list[HubFile] = field(default_factory=list)
    error: str | None = None
    is_there: bool = False

    @property
    def file(self) -> Path:
        return self.folder / PurePosixPath(self.known.file.path).name

    def targets(self) -> Iterator[tuple[Path, HubFile]]:
        for source in self.sources:
            yield self.folder / PurePosixPath(source.facts.path).name, source


def pull(selection: Selection, fetching: Fetching) -> Pulled:
    """Get models, and return what is to be listed and told.

    Raises:
        ZooError: If nothing can be got at all: an unknown name, no hub, no room.
    """
    names, references = _selected(selection)
    if selection.with_data is not None:
        check_source(selection.with_data)
    catalogue = read_catalogue()
    root = fetching.folder.path
    models = [_Model(name, catalogue[name], root / name) for name in names]
    with fetching.folder.held(fetching.status.tell):
        for model in models:
            _look(model, fetching)
        hub = None
        archives: Mapping[str, HubFile] = {}
        missing = [model for model in models if not model.is_there and model.error is None]
        if missing or references:
            hub = Hub(selection.revision)
            archives = _find(hub, missing)
            models += [_found_by_reference(hub, reference, root, catalogue) for reference in references]
        _fetch(models, hub, fetching)
        result = Pulled(failures=[f"{model.name}: {model.error}" for model in models if model.error is not None])
        got = [model for model in models if model.error is None]
        _get_data(got, selection.with_data, hub, archives, fetching, result)
    for model in got:
        data = model.folder if has_data(model.folder) else None
        tags = model.known.tags if model.name in catalogue else ()
        result.entries.append(ListedEntry(name=model.name, path=model.file, test_data=data, tags=tags))
        if data is None:
            result.without_data.append(model.name)
    result.repositories = sorted(
        {source.repository for model in got for source in model.sources}, key=lambda repository: repository.name
    )
    return result


def _selected(selection: Selection) -> tuple[list[str], list[str]]:
    """Return names of the zoo's models, and references to other repositories of the hub."""
    catalogue = read_catalogue()
    wide = selection.everything or selection.original or selection.expression is not None
    names: dict[str, None] = {}
    references = []
    for given in selection.names:
        name = given.removeprefix(f"{zoo_organisation()}/")
        if name in catalogue:
            names[name] = None
        elif _REFERENCE.fullmatch(name) and not {".", ".."} & set(re.split("[/:]", name)):
            references.append(name)
        else:
            raise ZooError(f"{given!r} is no model's name{nearest(name, catalogue)} ortperf zoo list shows all")
    if wide:
        some = [model for model in catalogue.values() if model.original or not selection.original]
        names |= dict.fromkeys(model.name for model in matching(some, selection.expression))
    if not names and not references:
        raise ZooError("no model is selected; ortperf zoo list shows their names")
    return list(names), references


def _look(model: _Model, fetching: Fetching) -> None:
    try:
        model.is_there = fetching.folder.has(model.file, model.known.file)
    except ZooError as error:
        model.error = str(error)


def _find(hub: Hub, models: Sequence[_Model]) -> Mapping[str, HubFile]:
    """Find each model on the hub, in the mirror or in a repository of its own; return the archives that are there."""
    if not models:
        return {}
    paths = [model.known.file.path for model in models]
    archives = {model.known.archive.path: model.name for model in models if model.known.archive is not None}
    absence = f"{zoo_organisation()}/{LEGACY} has no such file"
    try:
        mirrored = hub.files(hub.repository(LEGACY), [*paths, *archives])
    except NotOnHubError as error:
        mirrored, absence = {}, str(error)
    for model in models:
        source = mirrored.get(model.known.file.path)
        if source is None or not _is_right(source.facts, model.known.file):
            source = _in_own_repository(hub, model, source, absence)
        if source is not None:
            model.sources = [source]
    return {archives[path]: file for path, file in mirrored.items() if path in archives}


def _in_own_repository(hub: Hub, model: _Model, mirrored: HubFile | None, absence: str) -> HubFile | None:
    """Return a model's file in the repository that it has for itself; without one, say why of it and of the mirror."""
    own_absence = f"{zoo_organisation()}/{model.name} has no {model.file.name}"
    try:
        found = hub.files(hub.repository(model.name), [model.file.name])
    except NotOnHubError as error:
        found, own_absence = {}, str(error)
    source = found.get(model.file.name)
    if source is not None and _is_right(source.facts, model.known.file):
        return source
    other = source or mirrored
    if other is None:
        model.error = f"the hub does not have it: {absence}; {own_absence}"
    else:
        model.error = (
            f"the hub's file in {other.repository} has other content (SHA-256 {other.facts.sha256}) than the zoo's "
            f"({model.known.file.sha256}); not fetched"
        )
    return None


def _is_right(found: FileFacts, wanted: FileFacts) -> bool:
    return found.sha256 in {None, wanted.sha256} and found.byte in {None, wanted.byte}


def _found_by_reference(hub: Hub, reference: str, root: Path, catalogue: Mapping[str, ZooModel]) -> _Model:
    """Return the model of any repository of the hub: its only `.onnx` file, or the one that was named."""
    repository_name, _, path = reference.partition(":")
    short = repository_name.removeprefix(f"{zoo_organisation()}/")
    known = ZooModel(
        file=FileFacts(path=f"{short}{_ONNX}", byte=None, sha256=None), archive=None, opset=None, original=False
    )
    name = f"{short}/{PurePosixPath(path).stem}" if path else short
    model = _Model(name, known, root / short)
    try:
        files = hub.all_files(hub.repository(repository_name))
    except NotOnHubError as error:
        raise ZooError(
            f"{reference!r} is not among the zoo's models{nearest(reference, catalogue)} And {error}"
        ) from error
    found = sorted(each for each in files if each.endswith(_ONNX) and path in {"", each})
    own = [each for each in found if PurePosixPath(each).stem == PurePosixPath(short).name]
    chosen = found if len(found) == 1 else own
    if len(chosen) != 1:
        what = (
            f"{len(found)} models ({', '.join(found[:_SHOWN])}); name one: {repository_name}:PATH"
            if found
            else "no .onnx"
        )
        model.error = f"{repository_name} has {what}"
        return model
    main = PurePosixPath(chosen[0])
    model.sources = [files[chosen[0]]]
    model.sources += [file for each, file in sorted(files.items()) if _is_external(PurePosixPath(each), main)]
    model.known = ZooModel(file=files[chosen[0]].facts, archive=None, opset=None, original=False)
    return model


def _is_external(path: PurePosixPath, model: PurePosixPath) -> bool:
    """Whether a file beside a model is its external data, by its name."""
    if path.parent != model.parent or path == model:
        return False
    return path.name.startswith(model.name) or path.name in {f"{model.stem}{suffix}" for suffix in _EXTERNAL}


def _fetch(models: Sequence[_Model], hub: Hub | None, fetching: Fetching) -> None:
    wanted: dict[Path, tuple[_Model, Wanted]] = {}
    for model in models:
        for target, source in model.targets():
            try:
                if model.error is None and not fetching.folder.has(target, source.facts):
                    wanted[target] = model, _wanted(model, target, source, hub, fetching)
            except ZooError as error:
                model.error = str(error)
    needed = sum((each.byte or 0) - _size(each.part) for _, each in wanted.values())
    fetching.folder.check_room(max(needed, 0))
    for target, result in fetch_all([each for _, each in wanted.values()], fetching).items():
        if not isinstance(result, Arrived):
            model = wanted[target][0]
            model.error = str(result).removeprefix(f"{model.name}: ")


def _wanted(model: _Model, target: Path, source: HubFile, hub: Hub | None, fetching: Fetching) -> Wanted:
    if hub is None:
        raise ZooError("the hub was not asked")
    is_model = target == model.file
    return Wanted(
        name=model.name if is_model else f"{model.name}, {target.name}",
        target=target,
        part=fetching.folder.part(target),
        identity=source.identity,
        locate=lambda: hub.locate(source),
        byte=source.facts.byte if not is_model else model.known.file.byte,
        sha256=source.facts.sha256 if not is_model else model.known.file.sha256,
    )


def _get_data(
    models: Sequence[_Model],
    source: str | None,
    hub: Hub | None,
    archives: Mapping[str, HubFile],
    fetching: Fetching,
    result: Pulled,
) -> None:
    bare = [
        DataWanted(
            name=model.name, folder=model.folder, model_sha256=model.known.file.sha256, archive=model.known.archive
        )
        for model in models
        if not has_data(model.folder)
    ]
    if source is not None:
        offers = offers_of(source, bare)
    elif hub is not None:
        asked = hub
        offers = [
            [Offer(wanted=each, place=lambda file=file: asked.locate(file), identity=file.identity)]  # type: ignore[misc]
            for each in bare
            if (file := archives.get(each.name)) is not None
        ]
    else:
        offers = []
    report = add_data(offers, fetching)
    result.failures += report.failures
    result.notes += report.notes


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
