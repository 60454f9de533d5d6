"""The pages written by hand against the tables of the code: no key is missing, no option made up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_ortperf.cases.entry import DEFAULT_KEYS, ENTRY_KEYS, ORIGINAL_KEYS, ROOT_KEY
from pytest_ortperf.cases.expectations import EXPECT_KEYS
from pytest_ortperf.cases.rules import FP16_KEYS, INPUT_KEYS, SESSION_KEYS, SKIP_KEYS, TOLERANCE_KEYS, XFAIL_KEYS
from pytest_ortperf.option_table import OPTIONS

ROOT = Path(__file__).parents[2]
MODEL_LISTS = (ROOT / "docs/reference/models-json.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


def sections() -> dict[str, str]:
    """Return the text of each section of the page about model lists, by its heading."""
    parts = re.split(r"^## (.*)$", MODEL_LISTS, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize(
    ("heading", "keys"),
    [
        ("Keys of an entry", ENTRY_KEYS),
        ("Tolerance", TOLERANCE_KEYS),
        ("Inputs", INPUT_KEYS),
        ("fp16", FP16_KEYS),
        ("Session", SESSION_KEYS),
        ("Expect", EXPECT_KEYS),
        ("Skip and xfail", {**SKIP_KEYS, **XFAIL_KEYS}),
        ("The original list", {**ORIGINAL_KEYS, ROOT_KEY: None}),
    ],
)
def test_every_key_of_a_model_list_is_on_its_page(heading: str, keys: Mapping[str, object]) -> None:
    text = sections()[heading]
    assert [key for key in keys if not re.search(rf"""[`"]{key}[`"]""", text)] == []


def test_the_keys_that_defaults_may_hold_are_listed() -> None:
    (sentence,) = re.findall(r"^`defaults` may hold (.*?)\. ", MODEL_LISTS, flags=re.MULTILINE)
    assert re.findall(r"`(\w+)`", sentence) == sorted(DEFAULT_KEYS)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_option_that_a_page_names_exists(path: Path) -> None:
    flags = {option.flag for option in OPTIONS}
    named = set(re.findall(r"--ortperf-[a-z0-9-]*[a-z0-9]", path.read_text(encoding="utf-8")))
    assert named - flags == set()
