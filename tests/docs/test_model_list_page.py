"""The page about model lists tells every key that is read."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pytest_ortperf.cases.dimension_rules import RANGE_KEYS

from pytest_ortperf.cases.entry import DEFAULT_KEYS, ENTRY_KEYS, ORIGINAL_KEYS, ROOT_KEY
from pytest_ortperf.cases.expectations import EXPECT_KEYS
from pytest_ortperf.cases.rules import (
    FP16_KEYS,
    INPUT_KEYS,
    SESSION_KEYS,
    SKIP_KEYS,
    TOLERANCE_KEYS,
    XFAIL_KEYS,
)

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "models-json.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize(
    ("section", "keys"),
    [
        ("Keys of an entry", ENTRY_KEYS),
        ("Keys of an entry", RANGE_KEYS),
        ("Tolerance", TOLERANCE_KEYS),
        ("Inputs", INPUT_KEYS),
        ("fp16", FP16_KEYS),
        ("Session", SESSION_KEYS),
        ("Expect", EXPECT_KEYS),
        ("Skip and xfail", SKIP_KEYS),
        ("Skip and xfail", XFAIL_KEYS),
        ("The original list", {**ORIGINAL_KEYS, ROOT_KEY: None}),
    ],
)
def test_each_key_is_told_in_its_section(section: str, keys: Mapping[str, Any]) -> None:
    assert [key for key in keys if not re.search(rf"[`\"]{key}[`\"]", SECTIONS[section])] == []


def test_the_keys_of_the_defaults_are_told_and_no_others() -> None:
    (sentence,) = re.findall(r"^`defaults` may hold (.*?)\. ", PAGE, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", sentence)) == set(DEFAULT_KEYS)
