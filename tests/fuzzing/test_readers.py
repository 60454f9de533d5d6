"""Whatever a file holds: a right result, or an error of ours; never a traceback, a hang or a file elsewhere."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fuzzing.readers import READERS, Reader
from pytest_ortperf.errors import OrtPerfError

EXAMPLES = int(os.environ.get("ORTPERF_FUZZ_EXAMPLES", "100"))
"""For each of the 10 readers."""

PIECES = st.sampled_from(
    [
        b"",
        b"\0",
        b"\xff" * 8,
        b"9" * 400,
        b"-1",
        b"1e999",
        b"null",
        b"[" * 5000,
        b"{}",
        b'""',
        b"\n",
        b"../",
        b"\x80" * 9,
    ]
) | st.binary(max_size=12)


@st.composite
def damaged(draw: st.DrawFn, sound: bytes) -> bytes:
    """Return a file with a few pieces of it replaced, or cut, or something else altogether."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    data = sound
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(data)))
        end = draw(st.integers(begin, min(len(data), begin + 16)))
        data = data[:begin] + draw(PIECES) + data[end:]
    return data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 9)) == 0 else data


def feed(reader: Reader, content: bytes, folder: Path) -> str | None:
    """Return why a file was refused; `None` if it was read. Nothing may appear outside its folder."""
    inner = folder / "inner"
    path = inner / reader.file
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    try:
        reader.read(path)
    except OrtPerfError as error:
        assert len(str(error)) < 20_000  # noqa: PT017
        return str(error)
    finally:
        assert [each.name for each in folder.iterdir()] == ["inner"]
        shutil.rmtree(inner)
    return None


@pytest.mark.parametrize("name", READERS)
def test_a_sound_file_is_read(name: str, tmp_path: Path) -> None:
    refused = feed(READERS[name], READERS[name].sound, tmp_path)
    assert refused is None or name == "pairs"


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_read_or_refused(name: str) -> None:
    reader = READERS[name]

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @example(content=b"")
    @given(content=damaged(reader.sound))
    def check(content: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            feed(reader, content, Path(folder))

    check()
