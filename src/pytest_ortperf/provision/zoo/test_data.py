"""Test data for models that came without: taken from archives in a folder, at an address, or on the hub."""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_ortperf.provision.zoo.archives import ArchiveError, archive_stem, unpack
from pytest_ortperf.provision.zoo.catalogue import FileFacts, ZooError
from pytest_ortperf.provision.zoo.downloads import Fetching, fetch_all
from pytest_ortperf.provision.zoo.folder import ModelFolder, file_sha256
from pytest_ortperf.provision.zoo.transfer import Address, Arrived, TransferError, Wanted, without_query

_DATA = "test_data"
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class DataWanted:
    """A model that has no test data yet."""

    name: str
    folder: Path
    model_sha256: str | None
    archive: FileFacts | None
    """The zoo's own archive, where there was one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An archive that may hold the test data of a model."""

    wanted: DataWanted
    place: Path | Callable[[], Address]
    identity: str


@dataclass(slots=True)
class DataReport:
    """What became of the test data."""

    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def has_data(folder: Path) -> bool:
    """Whether test data lies in a model's folder."""
    return folder.is_dir() and any(path.name.lower().startswith(_DATA) for path in folder.iterdir())


def check_source(source: str) -> None:
    """See that archives can be looked for in a folder, before anything else is done.

    Raises:
        ZooError: If it is neither an address nor there.
    """
    if not is_address(source) and not Path(source).exists():
        raise ZooError(f"--with-data={source}: no such folder; name one with archives such as mnist-8.tar.gz")


def offers_of(source: str, models: Sequence[DataWanted]) -> list[list[Offer]]:
    """Return for each model the archives of a folder or address that may be its own, the likeliest first."""
    if is_address(source):
        return [_at_address(source, model) for model in models]
    root = Path(source)
    found = _in_folder(root)
    return [
        [Offer(wanted=model, place=path, identity=str(path)) for path in found.get(model.name, [])] for model in models
    ]


def is_address(text: str) -> bool:
    """Whether a text is an address of the web rather than a path."""
    return urllib.parse.urlsplit(text).scheme.lower() in {"http", "https"}


def add_data(offers: Sequence[Sequence[Offer]], fetching: Fetching) -> DataReport:
    """Get each model's archive, check it, and put its test data beside the model; offers of one model are alternatives.

    Raises:
        ZooError: If a file cannot be written.
    """
    report = DataReport()
    left = [list(alternatives) for alternatives in offers if alternatives]
    while left:
        now = [alternatives.pop(0) for alternatives in left]
        archives = _fetched([offer for offer in now if callable(offer.place)], fetching)
        again = []
        for offer, alternatives in zip(now, left, strict=True):
            archive = archives.get(offer.wanted.name) if callable(offer.place) else offer.place
            if isinstance(archive, TransferError) and archive.status == _NOT_FOUND and alternatives:
                again.append(alternatives)
            elif isinstance(archive, Path):
                _use(archive, offer, fetching.folder, report)
            else:
                report.failures.append(f"test data of {archive}")
        left = again
    return report


def _at_address(source: str, model: DataWanted) -> list[Offer]:
    """Return the zoo's path below the address, then the file name alone; or the address itself, of one archive."""
    base, _, query = source.partition("?")
    if (stem := archive_stem(base.rsplit("/", 1)[-1])) is not None:
        paths = [""] if stem == model.name else []
    else:
        path = model.archive.path if model.archive else f"{model.name}.tar.gz"
        paths = [f"/{path}", f"/{path.rsplit('/', 1)[-1]}"]
    urls = [base.rstrip("/") + path + (f"?{query}" if query else "") for path in paths]
    return [Offer(wanted=model, place=_always(url), identity=without_query(url)) for url in urls]


def _always(url: str) -> Callable[[], Address]:
    return lambda: Address(url=url)


def _in_folder(root: Path) -> dict[str, list[Path]]:
    if root.is_file():
        return {archive_stem(root.name) or root.stem: [root]}
    found: dict[str, list[Path]] = {}
    for path in sorted(_files(root)):
        stem = archive_stem(path.name)
        if stem is not None:
            found.setdefault(stem, []).append(path)
    return found


def _files(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        yield from (Path(folder, name) for name in names if not name.startswith("."))


def _fetched(offers: Sequence[Offer], fetching: Fetching) -> Mapping[str, Path | ZooError]:
    wanted: dict[str, Wanted] = {}
    found: dict[str, Path | ZooError] = {}
    for offer in offers:
        name, facts = offer.wanted.name, offer.wanted.archive
        target = fetching.folder.archive(f"{name}.tar.gz")
        known = facts or FileFacts(path=target.name, byte=None, sha256=None)
        if not callable(offer.place):
            continue
        if facts is not None and fetching.folder.has(target, facts):
            found[name] = target
            continue
        wanted[name] = Wanted(
            name=f"{name}.tar.gz",
            target=target,
            part=fetching.folder.part(target),
            identity=offer.identity,
            locate=offer.place,
            byte=known.byte,
            sha256=known.sha256,
        )
    results = fetch_all(list(wanted.values()), fetching)
    for name, each in wanted.items():
        result = results[each.target]
        found[name] = each.target if isinstance(result, Arrived) else result
    return found


def _use(archive: Path, offer: Offer, folder: ModelFolder, report: DataReport) -> None:
    """Unpack an archive and move its test data beside the model."""
    name, facts = offer.wanted.name, offer.wanted.archive
    try:
        if facts is None:
            report.notes.append(f"{name}: there is no checksum for {offer.identity}; its test data are used")
        elif not callable(offer.place) and file_sha256(archive) != facts.sha256:
            report.notes.append(
                f"{name}: {archive} is not the zoo's own archive, by its checksum; its test data are used"
            )
        with folder.unpacking() as work:
            unpack(archive, work, name=archive.name, room=folder.check_room)
            _move(work, offer, report)
    except (ArchiveError, OSError) as error:
        report.failures.append(f"test data of {name}: {getattr(error, 'strerror', None) or error}")
    finally:
        if callable(offer.place):
            archive.unlink(missing_ok=True)


def _move(work: Path, offer: Offer, report: DataReport) -> None:
    name, target = offer.wanted.name, offer.wanted.folder
    holders = sorted({path.parent for path in work.rglob(f"{_DATA}*")}, key=lambda path: (len(path.parts), path))
    if not holders:
        report.failures.append(f"test data of {name}: {offer.identity} holds none")
        return
    models = sorted(work.rglob("*.onnx"))
    known = offer.wanted.model_sha256
    if models and known is not None and known not in {file_sha256(path) for path in models}:
        report.notes.append(
            f"{name}: the model in {offer.identity} is not the one from the hub; its test data are used"
        )
    for path in sorted(holders[0].glob(f"{_DATA}*")):
        if not (target / path.name).exists():
            path.rename(target / path.name)
