"""A site in a real browser, opened from its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from history.dashboard.examples import make_site
from reports.page.browser import AXE, CHROMIUM, DRIVER, Browser

pytestmark = pytest.mark.slow

Open = Callable[..., None]
READY = "document.documentElement.dataset.ready === 'yes'"
ROWS = "return [...document.querySelectorAll('#{} tbody tr:not(.space)')].map((row) => [...row.cells].map((it) => it.textContent))"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_site(tmp_path_factory.mktemp("dashboard"))


@pytest.fixture(scope="module")
def hostile_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_site(tmp_path_factory.mktemp("hostile"), hostile=True)
