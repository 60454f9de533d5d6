"""Archives of models at any address, as the ONNX Runtime script took them: each is unpacked into its own folder."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_ortperf.cases.issues import shown_path
from pytest_ortperf.cases.names import name_issue
from pytest_ortperf.cases.new_list import data_beside, find_models
from pytest_ortperf.errors import ModelListError
from pytest_ortperf.provision.zoo.archives import SUFFIXES, Limits, archive_stem, is_archive, unpack
from pytest_ortperf.provision.zoo.catalogue import FileFacts, ZooError
from pytest_ortperf.provision.zoo.downloads import Fetching, fetch_all
from pytest_ortperf.provision.zoo.folder import ModelFolder, file_sha256
from pytest_ortperf.provision.zoo.list_file import ListedEntry
from pytest_ortperf.provision.zoo.test_data import is_address
from pytest_ortperf.provision.zoo.transfer import Address, Arrived, Wanted, without_query

_LINKS_AT_MOST = 1 << 20
_LFS_MARK = b"version https://git-lfs"
_HASH = re.compile(r"sha256=([0-9a-fA-F]{64})")
_NOT_IN_FOLDERS = re.compile(r"[^\w.+-]")
_DOWNLOADED = ".file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where an archive lies."""

    place: str
    """An address, or a path."""

    sha256: str | None = None

    @property
    def shown(self) -> str:
        """Where it lies, without a signature in its address, which may be another one each time."""
        return without_query(self.place) if is_address(self.place) else self.place

    @property
    def file_name(self) -> str:
        """The last part of it, fit for a file's name."""
        path = urllib.parse.urlsplit(self.place).path if is_address(self.place) else self.place
        last = urllib.parse.unquote(path.rstrip("/").rsplit("/", 1)[-1])
        return _NOT_IN_FOLDERS.sub("_", last).lstrip(".") or "models"

    @property
    def name(self) -> str:
        """The archive's name without its suffix."""
        return archive_stem(self.file_name) or self.file_name


@dataclass(slots=True)
class Unpacked:
    """What came out of archives, and what did not."""

    entries: list[ListedEntry] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    checksums: list[tuple[str, str]] = field(default_factory=list)
    """Archives that nobody gave a checksum for, with the one they have."""


def get_links(
    sources: Sequence[str], fetching: Fetching, *, every_model: bool = False, limits: Limits | None = None
) -> Unpacked:
    """Get archives, and return what is to be listed and told.

    Args:
        sources: Addresses and paths of archives, and of text files with one of them a line.
        fetching: How and where to.
        every_model: Whether all models of an archive count, or the first by path alone.
        limits: What an archive may hold.

    Raises:
        ZooError: If a source cannot be read, or a file not be written.
    """
    result = Unpacked()
    with fetching.folder.held(fetching.status.tell):
        links = list(dict.fromkeys(_read(sources, fetching)))
        _check_names(links)
        places = {link: _check_place(link, fetching.folder) for link in links}
        left = [link for link in links if places[link] is None]
        archives = _fetched([link for link in left if is_address(link.place)], fetching)
        for link in links:
            try:
                found = places[link] or archives.get(link) or Path(link.place)
                if isinstance(found, ZooError):
                    raise found
                if link in left:
                    _unpack(link, found, fetching, every_model=every_model, limits=limits, result=result)
                result.entries += _entries(fetching.folder.path / link.name, every_model=every_model)
            except (ZooError, ModelListError) as error:
                result.failures.append(str(error))
            except OSError as error:
                raise ZooError(f"{link.name}: not unpacked: {error.strerror or error}") from error
    return result


def _read(sources: Sequence[str], fetching: Fetching) -> Iterator[Link]:
    """Yield the archives that the sources are or name."""
    for source in sources:
        link = _link(source)
        if is_address(link.place):
            if archive_stem(link.file_name) is None:
                yield from _read_unknown(link, fetching)
            else:
                yield link
            continue
        path = Path(link.place)
        if not path.is_file():
            raise ZooError(f"{source}: no such file; name a file of links, an archive, or an address")
        if is_archive(path):
            yield replace(link, place=str(path.absolute()))
        else:
            yield from _lines(path, source, base=path.parent)


def _read_unknown(link: Link, fetching: Fetching) -> Iterator[Link]:
    """Get what does not look like an archive by its address, and look at its content."""
    if isinstance(_check_place(link, fetching.folder), Path):
        yield link
        return
    target = fetching.folder.archive(f"{link.file_name}{_DOWNLOADED}")
    target.unlink(missing_ok=True)
    result = fetch_all([_wanted(link, target, fetching)], fetching)[target]
    if isinstance(result, ZooError):
        raise result
    if not is_archive(target):
        yield from _lines(target, link.shown, base=None)
        target.unlink()
    else:
        target.replace(fetching.folder.archive(link.file_name))
        fetching.folder.remember(fetching.folder.archive(link.file_name), result.sha256, link.shown)
        yield link


def _lines(path: Path, source: str, *, base: Path | None) -> Iterator[Link]:
    if path.stat().st_size > _LINKS_AT_MOST:
        raise ZooError(f"{source}: is neither an archive nor a file of links")
    content = path.read_bytes()
    if content.startswith(_LFS_MARK):
        raise ZooError(f"{source}: {_pointer_text()}")
    lines = [line.strip() for line in content.decode("utf-8", "replace").splitlines()]
    found = 0
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        link = _link(line)
        local = base / link.place if base is not None and "\0" not in line and not is_address(line) else None
        if local is not None and local.is_file():
            link = replace(link, place=str(local.absolute()))
        elif not is_address(link.place):
            what = f"{line[:60]!r} is neither an address nor the path of an archive"
            raise ZooError(
                f"{source}, line {number}: {what}; write an address a line, such as https://HOST/mnist-8.tar.gz"
            )
        found += 1
        yield link
    if not found:
        raise ZooError(f"{source}: holds no links; write an address a line")


def _link(text: str) -> Link:
    """Return a link; `#sha256=...` at its end is the archive's checksum."""
    place, _, fragment = text.partition("#")
    match = _HASH.fullmatch(fragment)
    if fragment and match is None and is_address(text):
        raise ZooError(f"{text}: what follows # must be sha256= and 64 hexadecimal digits")
    return Link(place=place if match or is_address(text) else text, sha256=match[1].lower() if match else None)


def _check_names(links: Sequence[Link]) -> None:
    places: dict[str, str] = {}
    for link in links:
        other = places.setdefault(link.name, link.place)
        if other != link.place:
            raise ZooError(f"{link.shown} and {other} would both be unpacked into {link.name}; rename one of the files")
        if issue := name_issue(link.name):
            raise ZooError(f"{link.shown}: the name {link.name!r} {issue}; rename the file")


def _check_place(link: Link, folder: ModelFolder) -> Path | ZooError | None:
    """Return the folder of an archive that is unpacked already, or why it cannot be; `None` if it is to be."""
    target = folder.path / link.name
    known = folder.unpacked(target)
    if known is not None and link.sha256 in {None, known["sha256"]} and known["source"] == link.shown:
        return target
    if target.exists():
        what = f"holds what was unpacked from {known['source']}" if known else "is there already, from elsewhere"
        return ZooError(f"{link.shown}: {shown_path(target)} {what}; move or delete it")
    return None


def _fetched(links: Sequence[Link], fetching: Fetching) -> dict[Link, Path | ZooError]:
    found: dict[Link, Path | ZooError] = {}
    wanted: dict[Link, Wanted] = {}
    for link in links:
        target = fetching.folder.archive(link.file_name)
        facts = FileFacts(path=link.file_name, byte=None, sha256=link.sha256)
        try:
            is_there = fetching.folder.has(target, facts)
        except ZooError:
            target.unlink(missing_ok=True)
            is_there = False
        if is_there:
            found[link] = target
        else:
            wanted[link] = _wanted(link, target, fetching)
    results = fetch_all(list(wanted.values()), fetching)
    for link, each in wanted.items():
        result = results[each.target]
        found[link] = each.target if isinstance(result, Arrived) else result
    return found


def _wanted(link: Link, target: Path, fetching: Fetching) -> Wanted:
    address = Address(url=link.place)
    return Wanted(
        name=link.name,
        target=target,
        part=fetching.folder.part(target),
        identity=link.shown,
        locate=lambda: address,
        sha256=link.sha256,
    )


def _unpack(
    link: Link, archive: Path, fetching: Fetching, *, every_model: bool, limits: Limits | None, result: Unpacked
) -> None:
    folder = fetching.folder
    is_ours = archive.is_relative_to(folder.archive(""))
    try:
        sha256 = file_sha256(archive)
        if link.sha256 not in {None, sha256}:
            raise ZooError(f"{link.shown}: has SHA-256 {sha256}, and should have {link.sha256}; not unpacked")
        if not is_archive(archive):
            with archive.open("rb") as file:
                is_pointer = file.read(len(_LFS_MARK)) == _LFS_MARK
            raise ZooError(f"{link.shown}: {_pointer_text() if is_pointer else _no_archive_text()}")
        with folder.unpacking() as work:
            content = work / "content"
            content.mkdir()
            unpack(archive, content, name=link.name, limits=limits, room=folder.check_room)
            if not _entries(content, every_model=every_model):
                raise ZooError(f"{link.shown}: holds no .onnx file; not unpacked")
            content.rename(folder.path / link.name)
        folder.remember(folder.path / link.name, sha256, link.shown)
        if link.sha256 is None and is_address(link.place):
            result.checksums.append((link.shown, sha256))
    finally:
        if is_ours:
            archive.unlink(missing_ok=True)


def _entries(folder: Path, *, every_model: bool) -> list[ListedEntry]:
    """Return the models of an unpacked archive."""
    if every_model:
        models, _ = find_models(folder)
        name = folder.name if len(models) == 1 else None
        return [
            ListedEntry(name=name or f"{folder.name}/{each.name}", path=each.path, test_data=each.test_data)
            for each in models
        ]
    found = (path for path in folder.rglob("*") if path.name.lower().endswith(".onnx") and path.is_file())
    paths = sorted(found, key=lambda path: path.relative_to(folder).as_posix())
    if not paths:
        return []
    first = data_beside(paths[0])
    return [ListedEntry(name=folder.name, path=first.path, test_data=first.test_data)]


def _pointer_text() -> str:
    return (
        "is a Git LFS pointer instead of a file: GitHub no longer serves the zoo's files. ortperf zoo pull gets the "
        "models from the hub"
    )


def _no_archive_text() -> str:
    return f"is no archive; {', '.join(SUFFIXES)} are known"
