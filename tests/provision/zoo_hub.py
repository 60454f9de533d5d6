"""A Hugging Face hub on this machine: its API, and the storage host that it sends downloads to, each with faults.

The client that talks to it is the real `huggingface_hub`. Answers have the form of the real hub's: repositories at a
commit, LFS checksums, a redirect to a signed address on another host, byte ranges with `If-Range`.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_SIGNATURE = "Signature=valid"


@dataclass
class Fault:
    """What goes wrong with one file; the counters count down."""

    cut_at: int | None = None
    """The connection ends after so many bytes of the file."""

    hang_at: int | None = None
    """Nothing more is sent after so many bytes."""

    times: int = 1
    status: int | None = None
    wrong: bool = False
    """Other content of the same length is sent, by storage and checksums alike stay as they were."""

    pause_s: float = 0.0
    """Before each 16 KiB."""

    no_ranges: bool = False
    chunked: bool = False
    etag: str | None = None
    """Instead of the checksum."""


@dataclass
class Request:
    """What was asked of the storage host."""

    path: str
    range_start: int
    sent: int = 0
    has_login: bool = False


@dataclass
class LocalHub:
    """Repositories by name, each with its files by path."""

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    """By path in the repository; also by path of plain files."""

    plain: dict[str, bytes] = field(default_factory=dict)
    """Files at addresses of their own, which no hub knows."""

    redirects: dict[str, str] = field(default_factory=dict)
    """From paths of plain files to other addresses."""

    checksums: dict[str, str] = field(default_factory=dict)
    """What the hub claims of a path instead of the truth."""

    requests: list[Request] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """Paths of the hub's API."""

    release: threading.Event = field(default_factory=threading.Event)
    endpoint: str = ""
    storage: str = ""

    def started(self) -> dict[str, list[int]]:
        """Return where each request for bytes began, by path."""
        found: dict[str, list[int]] = {}
        for request in self.requests:
            found.setdefault(request.path, []).append(request.range_start)
        return found


@contextmanager
def running(hub: LocalHub) -> Iterator[LocalHub]:
    """Let a hub answer, on one port, and its storage host, on another."""
    servers = []
    for handler in (_Hub, _Storage):
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (handler,), {"hub": hub}))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
    # another host than the hub, by its name
    hub.endpoint, hub.storage = (
        f"http://{host}:{server.server_address[1]}"
        for host, server in zip(("127.0.0.1", "localhost"), servers, strict=True)
    )
    try:
        yield hub
    finally:
        hub.release.set()
        for server in servers:
            server.shutdown()
            server.server_close()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: LocalHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer_json(self, value: Any) -> None:
        self.answer(200, json.dumps(value).encode(), Content_Type="application/json")


class _Hub(_Handler):
    def do_GET(self) -> None:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        self.hub.asked.append(path)
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            self._api("/".join(parts[2:4]), parts[4:])
            return
        name, rest = "/".join(parts[:2]), parts[2:]
        if rest[:1] == ["resolve"]:
            self._resolve(name, "/".join(rest[2:]))
            return
        self.answer(404)

    do_HEAD = do_GET  # noqa: N815 - as the library calls it

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        form = urllib.parse.parse_qs(self.rfile.read(length).decode())
        parts = urllib.parse.unquote(self.path).strip("/").split("/")
        self.hub.asked.append(self.path)
        files = self._files("/".join(parts[2:4]), parts[5])
        if files is not None:
            self.answer_json([self._facts(path, files[path]) for path in form["paths"] if path in files])

    def _api(self, name: str, rest: list[str]) -> None:
        revision = rest[1] if len(rest) > 1 else "main"
        files = self._files(name, revision)
        if files is None:
            return
        if rest[:1] == ["tree"]:
            self.answer_json([self._facts(path, content) for path, content in files.items()])
        else:
            self.answer_json({"id": name, "sha": COMMIT})

    def _files(self, name: str, revision: str) -> dict[str, bytes] | None:
        if name not in self.hub.repositories:
            self.answer(404, X_Error_Code="RepoNotFound")
            return None
        if revision not in {"main", COMMIT}:
            self.answer(404, X_Error_Code="RevisionNotFound")
            return None
        return self.hub.repositories[name]

    def _facts(self, path: str, content: bytes) -> dict[str, Any]:
        found: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": "0" * 40}
        if path.endswith((".onnx", ".gz", ".data")):
            digest = self.hub.checksums.get(path) or sha256(content)
            found["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 130}
        return found

    def _resolve(self, name: str, path: str) -> None:
        files = self.hub.repositories.get(name, {})
        fault = self.hub.faults.get(path, Fault())
        if path not in files or fault.status == 404:
            self.answer(404, X_Error_Code="EntryNotFound")
            return
        facts = self._facts(path, files[path])
        if "lfs" not in facts:
            # small files come from the hub itself
            if self.command == "GET":
                self.hub.requests.append(Request(path, 0, len(files[path]), has_login="Authorization" in self.headers))
            self.answer(200, files[path], ETag='"blob"', X_Repo_Commit=COMMIT)
            return
        query = f"path={urllib.parse.quote(f'{name}/{path}')}&{_SIGNATURE}"
        etag = facts["lfs"]["oid"] if "lfs" in facts else facts["oid"]
        self.answer(
            302,
            Location=f"{self.hub.storage}/object?{query}",
            X_Linked_ETag=f'"{etag}"',
            X_Linked_Size=str(facts["size"]),
            X_Repo_Commit=COMMIT,
        )


class _Storage(_Handler):
    def do_GET(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        if parts.path == "/object":
            if _SIGNATURE not in parts.query:
                self.answer(403)
                return
            whole = urllib.parse.parse_qs(parts.query)["path"][0]
            organisation, repository, path = whole.split("/", 2)
            content: bytes | None = self.hub.repositories[f"{organisation}/{repository}"].get(path)
        else:
            path = urllib.parse.unquote(parts.path)
            if path in self.hub.redirects:
                self.answer(302, Location=self.hub.redirects[path])
                return
            content = self.hub.plain.get(path)
        if content is None:
            self.answer(404)
            return
        self._send(path, content, self.hub.faults.get(path, Fault()))

    def _send(self, path: str, content: bytes, fault: Fault) -> None:
        if fault.status is not None and fault.times > 0:
            fault.times -= 1
            self.answer(fault.status, Retry_After="0")
            return
        etag = f'"{fault.etag or sha256(content)[:16]}"'
        start = self._start(etag, len(content), fault)
        request = Request(path, start, has_login="Authorization" in self.headers)
        self.hub.requests.append(request)
        if start >= len(content) > 0 and start:
            self.answer(416, Content_Range=f"bytes */{len(content)}")
            return
        if fault.wrong:
            content = bytes(len(content))
        self.send_response(206 if start else 200)
        self.send_header("ETag", etag)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if fault.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self._body(content, start, fault, request)

    def _start(self, etag: str, size: int, fault: Fault) -> int:
        wanted = self.headers.get("Range", "")
        condition = self.headers.get("If-Range")
        if not wanted or fault.no_ranges or condition not in {None, etag}:
            return 0
        return min(int(wanted.removeprefix("bytes=").rstrip("-")), size)

    def _body(self, content: bytes, start: int, fault: Fault, request: Request) -> None:
        at, step = start, 1 << 14
        limits = [limit for limit in (fault.cut_at, fault.hang_at) if limit is not None and fault.times > 0]
        end = min([len(content), *(limit for limit in limits if limit >= start)])
        while at < end:
            chunk = content[at : min(at + step, end)]
            if fault.pause_s:
                time.sleep(fault.pause_s)
            self._write(chunk, fault)
            at += len(chunk)
            request.sent = at - start
        if end < len(content):
            fault.times -= 1
            self.wfile.flush()
            if end == fault.hang_at:
                self.hub.release.wait(60)
            self.close_connection = True
            self.connection.close()
        elif fault.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _write(self, chunk: bytes, fault: Fault) -> None:
        if fault.chunked:
            chunk = b"%x\r\n%s\r\n" % (len(chunk), chunk)
        try:
            self.wfile.write(chunk)
        except OSError:  # the other side is gone
            self.close_connection = True
