"""What the repository promises as a whole: its files, its versions, and what must never be in it."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# Put together here, so that this file does not hold what it looks for.
PRIVATE = {
    "package registry or its options": "|".join(
        (
            "pypi" + r"\.org",
            "python" + "hosted",
            "--(extra-)?index" + "-url",
            "--find" + "-links",
            "--trusted" + "-host",
        )
    ),
    "link to a wheel": r"https?://\S+\." + "whl",
    "path of a development machine": "|".join(
        "(?<![\\w.])" + path for path in ("/wo" + "rk/", "/ro" + r"ot/", "/ho" + r"me/\w", "/tm" + "p/v/")
    ),
}


def tracked_texts() -> list[tuple[str, str]]:
    """Return name and text of each text file under version control, but for those of others that stay as they are."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S607
    names = [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file() and "/vendor/" not in name]
    contents = [(name, (ROOT / name).read_bytes()) for name in names]
    return [(name, data.decode()) for name, data in contents if is_text(data)]


def is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


@pytest.mark.parametrize("what", PRIVATE)
def test_no_file_holds_an_address_that_only_exists_elsewhere(what: str) -> None:
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, text in tracked_texts()
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(PRIVATE[what], line)
    ]
    assert found == []


def test_text_files_end_with_one_newline_and_no_line_with_a_space() -> None:
    wrong = [
        name
        for name, text in tracked_texts()
        if text and (not text.endswith("\n") or text.endswith("\n\n") or re.search(r"[ \t]$", text, re.MULTILINE))
    ]
    assert wrong == []


def test_constraints_are_exact_versions_and_nothing_else() -> None:
    comment, *pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert comment.startswith("# ")
    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)] == []


def test_every_dependency_for_development_is_pinned() -> None:
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {normalised(pin) for pin in pins if not pin.startswith("#")}
    extras = PROJECT["optional-dependencies"]
    asked = [*PROJECT["dependencies"], *extras["cpu"], *extras["dev"], *extras["docs"]]
    assert {normalised(requirement) for requirement in asked} - pinned == set()


def normalised(requirement: str) -> str:
    """Return the name of a requirement as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=!~;]", requirement)[0]).lower()


def test_installed_version_is_that_of_pyproject() -> None:
    try:
        installed = version(PROJECT["name"])
    except PackageNotFoundError:
        pytest.skip(f"{PROJECT['name']} is not installed in this environment")
    assert installed == PROJECT["version"]


def test_changelog_goes_from_unreleased_down_to_versions_that_exist() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first, *released = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert first == "[Unreleased]"
    assert [heading for heading in released if not re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading)] == []
    numbers = [tuple(map(int, re.findall(r"\d+", heading)[:3])) for heading in released]
    assert numbers == sorted(numbers, reverse=True)
    assert all(number <= tuple(map(int, PROJECT["version"].split("."))) for number in numbers)


@pytest.mark.parametrize(
    "name",
    [
        ".ci/run",
        ".github/workflows/ci.yml",
        ".pre-commit-config.yaml",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "Makefile",
        "README.md",
        "constraints.txt",
        "docs/index.md",
        "models.json",
        "src/pytest_ortperf/py.typed",
    ],
)
def test_file_exists(name: str) -> None:
    assert (ROOT / name).is_file()


def test_make_lists_every_target() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^\.PHONY: ([a-z -]+)$", text, re.MULTILINE)[0].split()
    shown = subprocess.run(["make", "-s", "help"], cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S607
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert [line[1] for line in lines] == targets
    assert [line for line in lines if line[0] != "make" or len(line) < 4] == []


@pytest.mark.slow
def test_the_wheel_holds_what_pages_and_images_are_made_of(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name.partition("/")[2] for name in archive.namelist()}
    package = ROOT / "src" / "pytest_ortperf"
    folders = [found for kind in ("assets", "templates", "vendor") for found in package.rglob(kind)]
    needed = {str(path.relative_to(package)) for folder in folders for path in folder.iterdir()}
    assert len(needed) > 30
    needed.add("provision/zoo/onnx_models.json")
    needed |= {f"provision/docker/{path.name}" for path in (ROOT / "deploy/docker").iterdir()}
    assert needed <= held
