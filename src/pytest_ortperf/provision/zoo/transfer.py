"""One file over HTTP: what breaks off goes on where it stopped, and only a whole, right file gets its final name.

A transfer writes to a part file, whose facts lie beside it. Both may be left by a process that was killed at any
moment: bytes are only ever appended, and the checksum is computed over all of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pytest_ortperf.provision.zoo.catalogue import ZooError

JOBS = 4
"""Files fetched at once."""

STALLED_S = 30.0
"""A connection that sends nothing for this long is opened anew."""

ATTEMPTS = 6
"""In a row, without a byte more."""

_CHUNK = 1 << 18
_LONGEST_PAUSE_S = 20.0
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_OK, _PARTIAL, _RANGE_NOT_SATISFIABLE = 200, 206, 416


class TransferError(ZooError):
    """A file that did not come; the text says why, and what to do."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """What the server answered, where that is why."""


class Stopped(Exception):  # noqa: N818 - somebody wanted it
    """The transfer was called off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to ask for a file now."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A file to get."""

    name: str
    """For messages."""

    target: Path
    part: Path
    """Where it grows, on the target's file system."""

    identity: str
    """What stays the same as long as the content does, such as its address without signatures."""

    locate: Callable[[], Address]
    """Asked before each attempt: addresses may be valid for a short time only."""

    byte: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A file under its final name."""

    byte: int
    sha256: str
    note: str | None
    """Whether it went on where an earlier transfer stopped, or had to begin anew."""


@dataclass(slots=True)
class Watch:
    """Told how a transfer gets on; asked whether it should."""

    grown: Callable[[int, int | None], None] = lambda _have, _total: None
    """Bytes so far and in all."""

    stop: threading.Event = field(default_factory=threading.Event)
    stalled_s: float = STALLED_S
    room: Callable[[int], None] = lambda _byte: None
    """Raises if so many more bytes do not fit on the disk."""


def fetch(wanted: Wanted, watch: Watch) -> Arrived:
    """Get a file; return once it has its final name.

    Raises:
        TransferError: If it cannot be got, or is not what it should be.
        Stopped: If it was called off; what has come so far stays.
        OSError: If it cannot be written; what has come so far stays.
    """
    return _Transfer(wanted, watch).run()


class _Again(Exception):  # noqa: N818 - not the user's
    """An attempt that broke off and may be repeated."""

    def __init__(self, reason: str, pause_s: float | None = None) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


class _Transfer:
    def __init__(self, wanted: Wanted, watch: Watch) -> None:
        self._wanted = wanted
        self._watch = watch
        self._facts = wanted.part.with_name(f"{wanted.part.name}.json")
        self._hash = hashlib.sha256()
        self._have = 0
        self._total = wanted.byte
        self._validator: str | None = None
        self._note: str | None = None
        self._earlier = 0

    def run(self) -> Arrived:
        self._wanted.part.parent.mkdir(parents=True, exist_ok=True)
        self._take_up()
        self._transferred()
        if self._earlier and self._is_wrong():
            # bytes of an earlier transfer may be to blame
            self._note = "what was there of it was damaged; it was fetched anew"
            self._begin_anew()
            self._transferred()
        if self._is_wrong():
            self._drop()
            raise TransferError(
                f"{self._wanted.name}: came with SHA-256 {self._hash.hexdigest()} and {self._have} bytes; it should "
                f"have {self._wanted.sha256} and {self._wanted.byte or self._have} bytes. It was deleted; try another "
                f"source, or again later."
            )
        self._finish()
        return Arrived(byte=self._have, sha256=self._hash.hexdigest(), note=self._note)

    def _take_up(self) -> None:
        """Continue what an earlier transfer of the same content left, if that can be told."""
        try:
            size = self._wanted.part.stat().st_size
        except FileNotFoundError:
            return
        known = self._known_facts()
        self._validator = known.get("validator")
        if not size:
            return
        if known.get("identity") != self._identity or not (self._validator or self._wanted.sha256):
            self._begin_anew()
            self._note = f"began anew: nothing tells whether the {size} bytes from before belong to this file"
            return
        with self._wanted.part.open("rb") as part:
            while chunk := part.read(_CHUNK):
                self._hash.update(chunk)
                self._have += len(chunk)
        self._earlier = self._have
        self._note = f"went on after {self._have} bytes from before"

    def _known_facts(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            known = json.loads(self._facts.read_text("utf-8"))
            if isinstance(known, dict):
                return known
        return {}

    @property
    def _identity(self) -> str:
        return self._wanted.sha256 or self._wanted.identity

    def _transferred(self) -> None:
        """Repeat attempts until all bytes are there."""
        failures = 0
        while self._have != self._total or self._total is None:
            before = self._have
            try:
                self._attempt()
            except _Again as again:
                failures = 1 if self._have > before else failures + 1
                if failures >= ATTEMPTS:
                    raise TransferError(
                        f"{self._wanted.name}: {again}; {self._have} bytes are kept, and the same command goes on there"
                    ) from again
                pause_s = again.pause_s if again.pause_s is not None else min(2.0 ** (failures - 1), _LONGEST_PAUSE_S)
                if self._watch.stop.wait(pause_s):
                    raise Stopped from again
            else:
                self._total = self._have

    def _attempt(self) -> None:
        address = self._wanted.locate()
        headers = {"Accept-Encoding": "identity", **address.headers}
        if self._have:
            headers["Range"] = f"bytes={self._have}-"
            if self._validator:
                headers["If-Range"] = self._validator
        request = urllib.request.Request(address.url, headers=headers)  # noqa: S310 - checked by who made the address
        try:
            with _opener().open(request, timeout=self._watch.stalled_s) as response:
                self._read(response)
        except urllib.error.HTTPError as error:
            with error:
                self._refused(error)
        except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            if isinstance(reason, OSError) and not isinstance(reason, (TimeoutError, ConnectionError)):
                reason = reason.strerror or reason
            text = "nothing came for a while" if isinstance(reason, TimeoutError) else str(reason)
            raise _Again(f"{_host(address.url)}: {text or type(error).__name__}") from error

    def _refused(self, error: urllib.error.HTTPError) -> None:
        if error.code == _RANGE_NOT_SATISFIABLE and self._have:
            if error.headers.get("Content-Range") == f"bytes */{self._have}":
                return  # all was there already
            self._begin_anew()
            self._note = "began anew: the server has fewer bytes than were there from before"
            raise _Again("the range was refused", pause_s=0)
        text = f"{_host(error.url)} answers {error.code} {error.reason}"
        if error.code in _RETRIED:
            after = error.headers.get("Retry-After", "")
            raise _Again(text, pause_s=min(float(after), _LONGEST_PAUSE_S) if after.isdecimal() else None)
        way_out = {
            401: "; it wants a login: set HF_TOKEN for the hub",
            403: "; you may not read it: ask for access, or set HF_TOKEN for the hub",
            404: "; check the address",
        }.get(error.code, "")
        raise TransferError(f"{self._wanted.name}: {text} ({without_query(error.url)}){way_out}", error.code)

    def _read(self, response: Any) -> None:
        self._begin(response)
        length = response.headers.get("Content-Length", "")
        if length.isdecimal():
            end = self._have + int(length)
            if self._total not in {None, end}:
                raise TransferError(
                    f"{self._wanted.name}: the server announces {end} bytes, and it should have {self._total}; "
                    f"nothing was fetched. Try another source."
                )
            self._total = end
        if self._total is not None:
            self._watch.room(self._total - self._have)
        with self._wanted.part.open("ab") as part:
            self._copy(response, part)
        if self._total is not None and self._have < self._total:
            raise _Again("the connection broke off")

    def _begin(self, response: Any) -> None:
        """Take the server's word for where it begins, and remember what tells this content from another."""
        if response.status == _PARTIAL:
            match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if match and int(match[1]) == self._have and match[2] in {"*", str(self._total or match[2])}:
                self._total = self._total or (None if match[2] == "*" else int(match[2]))
                return
            self._begin_anew()
            raise _Again("the server sent another range than the one asked for", pause_s=0)
        if response.status != _OK:
            raise TransferError(f"{self._wanted.name}: the server answers {response.status} instead of the file")
        if self._have:
            self._begin_anew()
            self._note = "began anew: the server does not go on in the middle of this file, or has another one now"
        etag = response.headers.get("ETag", "")
        strong = etag if etag.startswith('"') else None
        self._validator = strong or response.headers.get("Last-Modified")
        self._facts.write_text(json.dumps({"identity": self._identity, "validator": self._validator}), "utf-8")

    def _copy(self, response: Any, part: IO[bytes]) -> None:
        while chunk := response.read1(_CHUNK):
            if self._watch.stop.is_set():
                raise Stopped
            if self._total is not None and self._have + len(chunk) > self._total:
                self._drop()
                raise TransferError(f"{self._wanted.name}: the server sends more than {self._total} bytes; deleted")
            part.write(chunk)
            part.flush()
            self._hash.update(chunk)
            self._have += len(chunk)
            self._watch.grown(self._have, self._total)

    def _begin_anew(self) -> None:
        # the facts go first: bytes that they do not describe are never gone on with
        self._drop()
        self._hash = hashlib.sha256()
        self._have = self._earlier = 0
        self._total = self._wanted.byte
        self._validator = None

    def _drop(self) -> None:
        self._facts.unlink(missing_ok=True)
        self._wanted.part.unlink(missing_ok=True)

    def _is_wrong(self) -> bool:
        wanted = self._wanted
        other_size = wanted.byte is not None and self._have != wanted.byte
        return other_size or (wanted.sha256 is not None and self._hash.hexdigest() != wanted.sha256)

    def _finish(self) -> None:
        self._wanted.target.parent.mkdir(parents=True, exist_ok=True)
        if not self._have:
            self._wanted.part.touch()
        with self._wanted.part.open("rb") as part:
            os.fsync(part.fileno())
        self._wanted.part.replace(self._wanted.target)
        self._facts.unlink(missing_ok=True)


class _Redirect(urllib.request.HTTPRedirectHandler):
    """Follows to other hosts without the credentials of the first, and to nothing but HTTP."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None and _origin(newurl) != _origin(req.full_url):
            new.remove_header("Authorization")
            new.remove_header("Cookie")
        return new


def _opener() -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirect(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _origin(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc


def without_query(url: str) -> str:
    """Return an address without what may hold a signature or a login, for messages and notes."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _host(url: str) -> str:
    return urllib.parse.urlsplit(url).netloc.rpartition("@")[2]
