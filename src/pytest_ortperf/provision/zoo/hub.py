"""The zoo on the Hugging Face hub: what its repositories hold at one commit, and where a file can be fetched now.

There are two layouts: `legacy_models`, a mirror of the GitHub repository with its paths, and one repository per model.
The client `huggingface_hub` answers for repositories, checksums, logins and signed addresses. The bytes themselves come
by `transfer`, because the client cannot go on with a file that another process began.
"""

from __future__ import annotations

import importlib.util
import os
import re
import urllib.parse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pytest_ortperf.provision.addresses import model_hub, zoo_organisation
from pytest_ortperf.provision.zoo.catalogue import FileFacts, ZooError
from pytest_ortperf.provision.zoo.transfer import Address

LEGACY = "legacy_models"
MAIN = "main"
_PATHS_AT_ONCE = 100
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LIBRARY = "pytest-ortperf"
_TIMEOUT_S = 20.0

Answer = TypeVar("Answer")


class NotOnHubError(ZooError):
    """A repository, revision or file that the hub does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository of the hub at one commit."""

    name: str
    commit: str

    def __str__(self) -> str:
        return f"{self.name} at {self.commit[:12]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A file of a repository."""

    repository: Repository
    facts: FileFacts

    @property
    def identity(self) -> str:
        """What stays the same as long as its content does."""
        return f"hub:{self.repository.name}@{self.repository.commit}:{self.facts.path}"


class Hub:
    """Asks the hub, at the revision that was chosen."""

    def __init__(self, revision: str = MAIN) -> None:
        if importlib.util.find_spec("huggingface_hub") is None:
            raise ZooError("the hub needs huggingface_hub; install it with: pip install 'pytest-ortperf[zoo]'")
        # read once, when the client is imported; it would ask the hub for more than models
        os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
        from huggingface_hub import HfApi
        from huggingface_hub.utils import logging

        logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        self._endpoint = model_hub()
        self._api = HfApi(endpoint=self._endpoint, library_name=_LIBRARY)
        self._revision = revision
        self._repositories: dict[str, Repository] = {}

    def repository(self, name: str) -> Repository:
        """Return a repository with the commit that the chosen revision means there; it stays the same from then on.

        Args:
            name: Its name; without an organisation, the zoo's.

        Raises:
            NotOnHubError: If there is no such repository or revision.
            ZooError: If the hub cannot be asked.
        """
        whole = name if "/" in name else f"{zoo_organisation()}/{name}"
        if whole not in self._repositories:
            commit = self._revision
            if not _COMMIT.fullmatch(commit):
                found = self._asked(lambda: self._api.model_info(whole, revision=self._revision, expand=["sha"]), whole)
                commit = str(found.sha)
            self._repositories[whole] = Repository(name=whole, commit=commit)
        return self._repositories[whole]

    def files(self, repository: Repository, paths: Sequence[str]) -> dict[str, HubFile]:
        """Return those of the paths that a repository has.

        Raises:
            ZooError: As `repository`.
        """
        found: list[Any] = []
        for start in range(0, len(paths), _PATHS_AT_ONCE):
            some = list(paths[start : start + _PATHS_AT_ONCE])
            found += self._asked(
                lambda some=some: self._api.get_paths_info(  # type: ignore[misc]
                    repository.name, some, revision=repository.commit
                ),
                str(repository),
            )
        return _by_path(repository, found)

    def all_files(self, repository: Repository) -> dict[str, HubFile]:
        """Return every file of a repository.

        Raises:
            ZooError: As `repository`.
        """
        found = self._asked(
            lambda: list(self._api.list_repo_tree(repository.name, recursive=True, revision=repository.commit)),
            str(repository),
        )
        return _by_path(repository, found)

    def locate(self, file: HubFile) -> Address:
        """Return where a file can be fetched at this moment.

        Raises:
            ZooError: As `repository`.
        """
        from huggingface_hub import get_hf_file_metadata, hf_hub_url
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        repository = file.repository
        url = hf_hub_url(repository.name, file.facts.path, revision=repository.commit, endpoint=self._endpoint)
        metadata = self._asked(
            lambda: get_hf_file_metadata(url, timeout=_TIMEOUT_S, endpoint=self._endpoint, retry_on_errors=True),
            f"{repository}, {file.facts.path}",
        )
        location = urllib.parse.urljoin(url, metadata.location)
        headers = build_hf_headers(library_name=_LIBRARY)
        if urllib.parse.urlsplit(location).netloc != urllib.parse.urlsplit(url).netloc:
            # a signed address somewhere else: the login is not for it
            headers.pop("authorization", None)
        return Address(url=location, headers=headers)

    def _asked(self, ask: Callable[[], Answer], what: str) -> Answer:
        from huggingface_hub import errors

        try:
            return ask()
        except errors.OfflineModeIsEnabled as error:
            raise ZooError("HF_HUB_OFFLINE is set, so the hub is not asked; unset it") from error
        except errors.GatedRepoError as error:
            raise ZooError(f"{what}: access has to be granted on the hub first, and HF_TOKEN set") from error
        except errors.RepositoryNotFoundError as error:
            raise NotOnHubError(f"the hub has no repository {what}") from error
        except errors.RevisionNotFoundError as error:
            raise NotOnHubError(f"{what} has no revision {self._revision!r}") from error
        except errors.EntryNotFoundError as error:
            raise NotOnHubError(f"the hub does not have {what}") from error
        except errors.HFValidationError as error:
            raise NotOnHubError(f"{what!r} cannot be a repository's name") from error
        except Exception as error:  # the library beneath the client, and so its errors, change between versions
            raise ZooError(
                f"{self._endpoint} could not be asked about {what}: {_reason(error)}. Check the network; HF_ENDPOINT "
                f"names a mirror, and proxies are taken from the environment."
            ) from error


def _by_path(repository: Repository, found: Iterable[Any]) -> dict[str, HubFile]:
    files = {}
    for each in found:
        if (size := getattr(each, "size", None)) is None:  # a folder
            continue
        lfs = getattr(each, "lfs", None)
        facts = FileFacts(path=each.path, byte=size if lfs is None else lfs.size, sha256=lfs and lfs.sha256)
        files[each.path] = HubFile(repository=repository, facts=facts)
    return files


def _reason(error: BaseException) -> str:
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
