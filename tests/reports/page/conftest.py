"""A browser for tests of pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reports.page.browser import CHROMIUM, DRIVER, Browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no Chromium with chromedriver here")
    with Browser(tmp_path_factory.mktemp("browser")) as found:
        yield found
