"""ONNX Runtime from source: a small repository stands in, whose build.sh makes a real wheel."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import pytest_ortperf
from provision.local_index import write_wheel
from pytest_ortperf.cli import main
from pytest_ortperf.errors import OrtPerfError, SettingsError
from pytest_ortperf.provision.ort_build import BuildRequest, BuiltWheel, OrtBuilds
from pytest_ortperf.provision.pip_program import ProvisionError

BUILD_SH = r"""#!/usr/bin/env bash
set -euo pipefail
echo "flags: $*"
echo "$*" >>"${STANDIN_BUILDS:-/dev/null}"
if [ "$(id -u)" = 0 ] && [[ " $* " != *" --allow_running_as_root "* ]]; then
  echo "Running as root is not allowed"
  exit 1
fi
cat cmake/deps.txt
while (($#)); do
  case $1 in
    --build_dir) build_dir=$2 ;;
    --config) config=$2 ;;
    --broken)
      for number in $(seq 100); do echo "[ $number%] Building CXX object $number"; done
      echo "provider.cc:7: error: planted"
      exit 3
      ;;
    --no_dist) exit 0 ;;
    --slow) sleep "$2" ;;
  esac
  shift
done
echo "[100%] Built target onnxruntime"
mkdir -p "$build_dir/$config/dist"
cd package
info=$(echo *.dist-info)
python3 -m zipfile -c "$build_dir/$config/dist/${info%.dist-info}-py3-none-any.whl" onnxruntime "$info"
"""
PARSER = "a" * 40


class Standin:
    """A git repository in place of ONNX Runtime's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.archives = folder.parent / "archives"
        self.archives.mkdir()
        (folder / "cmake").mkdir(parents=True)
        (folder / "build.sh").write_text(BUILD_SH)
        old = "0" * 40
        (folder / "cmake/deps.txt").write_text(
            f"re2;{self.archives.as_uri()}/{old}.zip;{old}\nonnx_tensorrt;{self.archives.as_uri()}/{old}.zip;{old}\n"
        )
        self.git("init", "--quiet", "--initial-branch=main")
        self.first = self.commit("1.90.0")

    @property
    def url(self) -> str:
        return self.folder.as_uri()

    def git(self, *arguments: str) -> str:
        user = ["-c", "user.name=test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(self.folder), *user, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, version: str) -> str:
        """Commit the package of a version; return the commit."""
        for path in (self.folder / "package").glob("*.dist-info/*"):
            path.unlink()
        for path in (self.folder / "package").glob("*.dist-info"):
            path.rmdir()
        wheel = write_wheel(self.folder.parent / "made", version)
        unpack = [sys.executable, "-m", "zipfile", "-e", wheel, self.folder / "package"]
        subprocess.run(unpack, check=True)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", version)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def standin(tmp_path: Path) -> Standin:
    return Standin(tmp_path / "onnxruntime")


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file to which the stand-in adds a line for each build."""
    path = tmp_path / "builds"
    path.touch()
    monkeypatch.setenv("STANDIN_BUILDS", str(path))
    return path


class Builder:
    """Builds into a cache of the test's own, and keeps what was said."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.told: list[str] = []
        self.shown: list[str] = []

    def wheel(self, checkout: str | Path, **more: object) -> BuiltWheel:
        builds = OrtBuilds(self.told.append, self.shown.append, self.cache, 10)
        return builds.wheel(BuildRequest(checkout=str(checkout), **more))  # type: ignore[arg-type]


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path / "cache")


def count(builds: Path) -> int:
    return len(builds.read_text().splitlines())


def test_a_branch_is_fetched_built_kept_and_found_again(standin: Standin, builds: Path, builder: Builder) -> None:
    built = builder.wheel(standin.url, branch="main")
    assert built.commit == standin.first
    assert built.path.name == "onnxruntime-1.90.0-py3-none-any.whl"
    assert built.path.is_relative_to(builder.cache / "artifacts")
    flags = builds.read_text().split()
    assert flags[2:7] == ["--config", "Release", "--build_wheel", "--parallel", "--skip_tests"]
    assert builder.told[0] == f"onnxruntime {standin.first[:10]}: fetching from {standin.url}"
    assert any(": 0 min, 100%: [100%] Built target onnxruntime" in line for line in builder.shown)
    assert builder.shown[-1] == ""

    assert builder.wheel(standin.url, branch="main").path == built.path
    assert builder.wheel(standin.url, commit=standin.first).path == built.path
    assert builder.wheel(standin.url).path == built.path
    assert count(builds) == 1
    assert builder.told[-1] == f"onnxruntime {standin.first[:10]}: built before with these flags: {built.path}"


def test_another_commit_and_other_flags_are_built_anew(standin: Standin, builds: Path, builder: Builder) -> None:
    first = builder.wheel(standin.url, branch="main")
    second = standin.commit("1.91.0")
    built = builder.wheel(standin.url, branch="main")
    assert (built.commit, built.path.name) == (second, "onnxruntime-1.91.0-py3-none-any.whl")
    flagged = builder.wheel(standin.url, branch="main", flags=("--use_openvino", "CPU"))
    assert flagged.path != built.path
    assert builds.read_text().splitlines()[-1].split()[7:9] == ["--use_openvino", "CPU"]
    assert builder.wheel(standin.url, branch="main", config="Debug").path.is_file()
    assert count(builds) == 4
    assert builder.wheel(standin.url, commit=standin.first).path == first.path
    assert count(builds) == 4


def test_a_tag_is_the_commit_that_it_names(standin: Standin, builder: Builder) -> None:
    standin.git("tag", "--annotate", "--message", "released", "v1.90.0")
    standin.commit("1.91.0")
    assert builder.wheel(standin.url, branch="v1.90.0").commit == standin.first


def test_a_failing_build_shows_its_end_and_where_its_log_is(standin: Standin, builder: Builder) -> None:
    with pytest.raises(ProvisionError) as caught:
        builder.wheel(standin.url, flags=("--broken",))
    first, *last, place = str(caught.value).splitlines()
    assert first == "build.sh failed with exit status 3 after 0.0 min. Its last lines:"
    assert last[-1] == "  provider.cc:7: error: planted"
    assert len(last) == 20
    log = Path(place.removeprefix("The whole log: "))
    assert log.read_text().count("Building CXX") == 100
    # nothing half is kept
    assert list((builder.cache / "artifacts").iterdir()) == []


def test_a_build_that_leaves_no_wheel_says_so(standin: Standin, builder: Builder) -> None:
    with pytest.raises(ProvisionError, match=r"build\.sh left 0 wheels in .*/Release/dist\. Its last lines:"):
        builder.wheel(standin.url, flags=("--no_dist",))


def test_a_checkout_is_built_as_it_is(standin: Standin, builds: Path, builder: Builder) -> None:
    built = builder.wheel(standin.folder)
    assert builder.wheel(standin.folder).path == built.path
    assert count(builds) == 1
    (standin.folder / "changed.cc").touch()
    anew = builder.wheel(standin.folder)
    assert builder.wheel(standin.folder).path != anew.path
    assert count(builds) == 3
    assert builder.told[-1].startswith(f"onnxruntime {standin.first[:10]} with uncommitted changes: built ")
    assert standin.git("status", "--porcelain") == "?? changed.cc"


def test_a_branch_of_a_checkout_leaves_the_checkout_alone(standin: Standin, builder: Builder) -> None:
    standin.git("checkout", "--quiet", "-b", "faster")
    faster = standin.commit("1.91.0")
    standin.git("checkout", "--quiet", "main")
    (standin.folder / "build.sh").write_text("exit 1\n")
    assert builder.wheel(standin.folder, branch="faster").commit == faster
    assert builder.wheel(standin.folder, commit=faster[:8]).path.name == "onnxruntime-1.91.0-py3-none-any.whl"
    assert standin.git("rev-parse", "--abbrev-ref", "HEAD") == "main"


def test_a_commit_of_the_parser_takes_the_place_of_that_of_the_source(
    standin: Standin, builds: Path, builder: Builder, tmp_path: Path
) -> None:
    (standin.archives / f"{PARSER}.zip").write_bytes(b"an archive")
    homes = {"cuda_home": tmp_path, "tensorrt_home": tmp_path}
    builder.wheel(standin.folder, parser=PARSER, **homes)
    (log,) = builder.cache.rglob("build.log")
    digest = hashlib.sha1(b"an archive", usedforsecurity=False).hexdigest()
    uri, old = standin.archives.as_uri(), "0" * 40
    assert log.read_text().splitlines()[1:3] == [
        f"re2;{uri}/{old}.zip;{old}",
        f"onnx_tensorrt;{uri}/{PARSER}.zip;{digest}",
    ]
    assert "--use_tensorrt_oss_parser" in builds.read_text()
    assert standin.git("status", "--porcelain") == ""
    # and the next build has the source's own again
    builder.wheel(standin.folder, branch="main", parser="", **homes)
    assert (
        f"onnx_tensorrt;{uri}/{old}.zip;{old}"
        in max(builder.cache.rglob("build.log"), key=lambda path: path.stat().st_mtime_ns).read_text()
    )
    with pytest.raises(ProvisionError, match=r"cannot be read: .* Is the commit right\?"):
        builder.wheel(standin.folder, parser="b" * 40, **homes)


def test_two_builds_of_one_source_follow_each_other(standin: Standin, builds: Path, builder: Builder) -> None:
    other = Builder(builder.cache)
    thread = threading.Thread(target=other.wheel, args=(standin.url,), kwargs={"flags": ("--slow", "0.3")})
    thread.start()
    while not builds.read_text():
        thread.join(0.01)
    builder.wheel(standin.url, flags=("--slow", "0"))
    thread.join()
    assert any("waiting for another build in" in line for line in builder.told)
    assert count(builds) == 2


def test_homes_become_flags_of_build_sh(tmp_path: Path) -> None:
    for name in ("cuda-13.0", "cudnn", "tensorrt"):
        (tmp_path / name).mkdir()
    (tmp_path / "cuda").symlink_to("cuda-13.0")
    whole = BuildRequest(
        cuda_home=tmp_path / "cuda", cudnn_home=tmp_path / "cudnn", tensorrt_home=tmp_path / "tensorrt", parser=""
    )
    assert whole.options[5:] == [
        *["--use_cuda", "--cuda_home", f"{tmp_path}/cuda-13.0", "--cudnn_home", f"{tmp_path}/cudnn"],
        *["--use_tensorrt", "--tensorrt_home", f"{tmp_path}/tensorrt", "--use_tensorrt_oss_parser"],
    ]
    assert BuildRequest(cuda_home=tmp_path / "cuda").options[-2:] == ["--cudnn_home", f"{tmp_path}/cuda-13.0"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"tensorrt_home": Path("/usr")}, "--tensorrt-home needs --cuda-home: TensorRT is built together with CUDA"),
        ({"cudnn_home": Path("/usr")}, "--cudnn-home needs --cuda-home"),
        ({"parser": ""}, "--oss-parser needs --tensorrt-home"),
        ({"cuda_home": Path("/not/there")}, "--cuda-home=/not/there: there is no such folder"),
        ({"branch": "gone"}, "{url} has no branch or tag gone"),
        ({"commit": "abc1234"}, "--commit=abc1234: give all 40 digits; only a checkout knows short ones"),
    ],
)
def test_what_cannot_be_built_is_named(
    more: dict[str, object], message: str, standin: Standin, builder: Builder
) -> None:
    with pytest.raises(SettingsError) as caught:
        builder.wheel(standin.url, **more)
    assert str(caught.value) == message.format(url=standin.url)


def test_a_folder_that_is_no_checkout_is_named(standin: Standin, builder: Builder, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    messages = []
    standin.git("rm", "--quiet", "build.sh")
    standin.git("commit", "--quiet", "--message", "gone")
    for checkout, more in (
        ("not-there", {}),
        (empty, {"branch": "main"}),
        (standin.folder, {"branch": "gone"}),
        (standin.folder, {}),
    ):
        with pytest.raises(OrtPerfError) as caught:
            builder.wheel(checkout, **more)
        messages.append(str(caught.value))
    assert messages == [
        "not-there: there is no such folder; give a checkout or the address of a git repository",
        f"{empty} is no git checkout",
        f"{standin.folder} has no branch or commit gone; fetch it first",
        f"{standin.folder} is no ONNX Runtime: it holds no build.sh",
    ]


def test_an_address_that_cannot_be_reached_is_told_in_gits_words(builder: Builder, tmp_path: Path) -> None:
    with pytest.raises(ProvisionError, match=r"git ls-remote file:///.*/gone HEAD .* failed: .+"):
        builder.wheel((tmp_path / "gone").as_uri())


def test_the_command_copies_the_wheel(
    standin: Standin, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORTPERF_ONNXRUNTIME_REPOSITORY", standin.url)
    wheels = tmp_path / "wheels"
    command = ["ort", "build", "--branch=main", f"--wheel-to={wheels}", f"--cache={tmp_path / 'cache'}"]
    assert main([*command, "--", "--use_openvino", "CPU"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{wheels / 'onnxruntime-1.90.0-py3-none-any.whl'}\n"
    assert Path(out.strip()).is_file()
    assert " building; log: " in err
    (log,) = (tmp_path / "cache").rglob("build.log")
    assert " --skip_tests --use_openvino CPU" in log.read_text()
    assert main([*command, "--", "--broken"]) == 2
    assert "provider.cc:7: error: planted\nThe whole log: " in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_makes_an_environment_with_what_was_built(
    standin: Standin, builds: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-m", "pytest_ortperf.cli", "ort", "build", str(standin.folder)]
    environment = {**os.environ, "PYTHONPATH": str(Path(pytest_ortperf.__file__).parents[1])}
    pythons = []
    for _ in range(2):
        done = subprocess.run(
            [*command, f"--cache={tmp_path / 'cache'}"], check=True, stdout=subprocess.PIPE, text=True, env=environment
        )
        pythons.append(done.stdout.strip())
    assert pythons[0] == pythons[1]
    assert count(builds) == 1
    shown = "import onnxruntime; print(onnxruntime.__version__)"
    assert subprocess.run([pythons[0], "-c", shown], check=True, capture_output=True, text=True).stdout == "1.90.0\n"
    assert ": built onnxruntime-1.90.0-py3-none-any.whl in 0.0 min" in capfd.readouterr().err
