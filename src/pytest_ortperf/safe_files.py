"""Files of others, opened so that none can hang or fill a process: regular files alone, and no more than is wanted."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from io import BufferedReader
from pathlib import Path

_NAMES_TRIED = 100
_MOUNT_POINT = 4
_NETWORK = ("afs", "beegfs", "ceph", "cifs", "glusterfs", "gpfs", "lustre", "nfs", "orangefs", "panfs", "pvfs2", "smb")
_NETWORK_FUSE = tuple(f"fuse.{name}" for name in ("ceph", "gcsfuse", "glusterfs", "juicefs", "s3fs", "sshfs"))
"""What the names of network file systems begin with."""

SHOWN = 300
"""Characters of a name or a text of others that a message shows."""


def open_regular(path: Path) -> BufferedReader:
    """Open a file for reading; links are followed.

    Raises:
        OSError: If it cannot be opened, or is no regular file: reading a pipe, a device or a socket may never end.
    """
    try:
        # a pipe without a writer would be waited for
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except ValueError as error:  # a NUL character, or one that no file name can hold
        raise OSError(errno.EINVAL, f"its name holds a character that no file name can hold ({error})") from error
    kind = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(kind):
        os.close(descriptor)
        if stat.S_ISDIR(kind):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        raise OSError(errno.EINVAL, f"it is {_kind_text(kind)}, not a file")
    return os.fdopen(descriptor, "rb")


def read_regular(path: Path, most_byte: int) -> bytes:
    """Return what a file holds.

    Raises:
        OSError: As `open_regular`, or if it is larger.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        # no more than it has now: so much memory is taken before anything is read
        data = b"" if size > most_byte else file.read(size + 1)
        if size > most_byte or len(data) > most_byte:
            raise OSError(errno.EFBIG, f"it has {max(size, len(data)):,} bytes, and at most {most_byte:,} are read")
        return data


def shortened(text: str, most: int = SHOWN) -> str:
    """Return a text of others for a message: its beginning, and how long it is, where it is long."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"


def private_folder(name: str) -> Path | None:
    """Return this user's folder of a name among the temporary ones, made now if there is none.

    Where somebody else has taken the name, it gets a number: the same one for all processes of the user.

    Returns:
        `None` if none can be made.
    """
    base = Path(tempfile.gettempdir())
    names = [f"{name}-{os.getuid()}", *(f"{name}-{os.getuid()}-{number}" for number in range(1, _NAMES_TRIED))]
    return next((base / each for each in names if _is_made_private(base / each)), None)


def _is_made_private(folder: Path) -> bool:
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            return False
        folder.chmod(0o700)
    except OSError:
        return False
    return True


def network_file_system(path: Path) -> str | None:
    """Return the type of the network file system that a path is on; `None` for a local one, or where nothing tells.

    On some of these, `flock` succeeds for everybody.
    """
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        path = path.resolve()
    except OSError:
        return None
    best, kind = 0, ""
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split()
        place = Path(fields[_MOUNT_POINT].replace("\\040", " "))
        # the last one mounted at a place is the one that is seen
        if path.is_relative_to(place) and len(place.parts) >= best:
            best, kind = len(place.parts), after.split()[0]
    return kind if kind.startswith((*_NETWORK, *_NETWORK_FUSE)) else None


def _kind_text(mode: int) -> str:
    kinds = (
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((text for is_kind, text in kinds if is_kind(mode)), "something else")
