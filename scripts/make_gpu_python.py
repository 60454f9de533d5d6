"""Make an isolated Python that has a bundle's ONNX Runtime and everything else this Python has.

    python3 scripts/make_gpu_python.py BUNDLE FOLDER

BUNDLE holds `ort.tar.xz`, an unpacked onnxruntime-gpu, and `wheels/`. FOLDER becomes a virtual environment without
access to any other `site-packages`: the wheels and the bundle lie in it, the rest of this Python's packages are links.
Packages of ONNX Runtime are not linked, so that exactly one distribution of it can be seen. This repository's own
package is there as an editable install would make it; no build tool is needed. Runs on the standard library alone.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
from collections.abc import Iterator, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
INSTALLED = re.compile(r"(?P<name>[\w.]+)-(?P<version>[^-]+).*\.(?:dist|egg)-info")
LEFT_OUT = re.compile(r"onnxruntime|pytest_ortperf|__pycache__|__editable__", re.IGNORECASE)
PACKAGE_FOLDERS = ("site-packages", "dist-packages")


def make_python(bundle: Path, folder: Path) -> Path:
    """Return the new Python's executable.

    Raises:
        SystemExit: If the bundle is not one, or a package that the plugin needs is in neither place.
    """
    archive = bundle / "ort.tar.xz"
    if not archive.is_file():
        sys.exit(f"{bundle}: holds no ort.tar.xz; give the folder that the bundle was made in")
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, symlinks=True, with_pip=False)
    site = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    # pip before the links: it would leave a linked package as it is
    install_wheels(sorted(bundle.glob("wheels/*.whl")), site)
    with tarfile.open(archive, "r:xz") as file:
        file.extractall(site, filter="data")
    link_packages(site)
    add_own_package(site)
    require_dependencies(site)
    return folder / "bin" / "python"


def install_wheels(wheels: Sequence[Path], site: Path) -> None:
    """Install wheels into a folder without looking anywhere else."""
    if wheels:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
        subprocess.run([*pip, "--target", str(site), *map(str, wheels)], check=True)  # noqa: S603 - a fixed command


def link_packages(site: Path) -> None:
    """Link what this Python has and the folder has not, the first on `sys.path` first."""
    names = {distribution_name(path) for path in site.iterdir()}
    for folder in package_folders():
        for path in sorted(folder.iterdir()):
            target = site / path.name
            other = distribution_name(path) in names and INSTALLED.fullmatch(path.name)
            if not (LEFT_OUT.match(path.name) or target.exists() or other):
                target.symlink_to(path)
        names |= {distribution_name(path) for path in folder.iterdir()}


def package_folders() -> Iterator[Path]:
    """Yield the folders of this Python that hold installed packages."""
    for entry in dict.fromkeys(sys.path):
        path = Path(entry)
        if path.name in PACKAGE_FOLDERS and path.is_dir():
            yield path


def distribution_name(path: Path) -> str:
    """Return the normalised name of a metadata folder's distribution; of anything else its file name."""
    match = INSTALLED.fullmatch(path.name)
    return normalised(match["name"]) if match else path.name


def add_own_package(site: Path) -> None:
    """Put the sources on the path, with the metadata by which pytest finds the plugin."""
    project = own_project()
    metadata = site / f"pytest_ortperf-{project['version']}.dist-info"
    metadata.mkdir()
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (metadata / "METADATA").write_text(head, encoding="utf-8")
    groups = {"console_scripts": project["scripts"], **project["entry-points"]}
    lines = [
        line
        for group, names in groups.items()
        for line in (f"[{group}]", *(f"{name} = {target}" for name, target in names.items()))
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (site / "pytest_ortperf.pth").write_text(f"{ROOT / 'src'}\n", encoding="utf-8")


def require_dependencies(site: Path) -> None:
    """End with the list of the packages that are missing or too old."""
    from packaging.requirements import Requirement

    found = {normalised(item.name): item.version for item in distributions(path=[str(site)])}
    wrong = []
    for text in own_project()["dependencies"]:
        requirement = Requirement(text)
        version = found.get(normalised(requirement.name))
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{text} (found: {version})")
    if wrong:
        sys.exit(f"wheels missing in the bundle's wheels/: {', '.join(wrong)}; and what those depend on")


def own_project() -> dict[str, Any]:
    """Return the table `project` of this repository."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project


def normalised(name: str) -> str:
    """Return a distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Make the Python that the command line asks for and print its path."""
    parser = argparse.ArgumentParser(description="Make an isolated Python with a bundle's ONNX Runtime.")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    print(make_python(given.bundle, given.folder.absolute()))


if __name__ == "__main__":
    main()
