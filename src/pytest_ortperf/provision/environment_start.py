"""Runs as every interpreter of `ortperf ort use` starts: adds the packages it shares, and marks it as in use.

A copy of this file lies in the environment; it needs the standard library only.
"""

import fcntl
import os
import site
import sys

_ROOT = os.path.dirname(sys.prefix)  # noqa: PTH120 - pathlib would double the time this takes
_FACTS = f"{_ROOT}/facts.json"

for _number in sorted(os.listdir(f"{_ROOT}/shared")):  # noqa: PTH208
    site.addsitedir(f"{_ROOT}/shared/{_number}/site-packages")

try:
    # the cache never removes an artifact whose facts are locked; the lock ends with this process
    fcntl.flock(os.open(_FACTS, os.O_RDONLY), fcntl.LOCK_SH | fcntl.LOCK_NB)
    os.utime(_FACTS)
except OSError:
    pass  # not finished yet, or shared by another user for reading
