"""The page about model lists tells every key that is read."""

import re
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_ortperf.cases.entry import ORIGINAL_KEYS, ROOT_KEYS, entry_keys
from pytest_ortperf.cases.expectations import EXPECT_KEYS
from pytest_ortperf.cases.keys import keys_of
from pytest_ortperf.cases.model import ModelDefaults
from pytest_ortperf.cases.rules import SKIP_KEYS, TOLERANCE_KEYS, XFAIL_KEYS, DimRange, Fp16Rule, InputRule, SessionRule

DOCS = Path(__file__).parents[2] / "docs"
TABLES = runpy.run_path(str(DOCS / "conf.py"))["model_list_tables"]()
PAGE = re.sub(
    r"^```{include} \.\./_build/generated/model_list_(\w+)\.md\n```$",
    lambda match: TABLES[match[1]],
    (DOCS / "reference" / "models-json.md").read_text(encoding="utf-8"),
    flags=re.MULTILINE,
)
SECTIONS = dict(re.findall(r"^## (.+?)$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
OWN_KEYS = entry_keys().keys() - keys_of(ModelDefaults).keys()


@pytest.mark.parametrize(
    ("section", "keys"),
    [
        ("Keys of an entry", OWN_KEYS),
        ("Keys of an entry and of defaults", keys_of(ModelDefaults)),
        ("Keys of an entry and of defaults", keys_of(DimRange)),
        ("Tolerance", TOLERANCE_KEYS),
        ("Inputs", keys_of(InputRule)),
        ("fp16", keys_of(Fp16Rule)),
        ("Session", keys_of(SessionRule)),
        ("Expect", EXPECT_KEYS),
        ("Skip and xfail", SKIP_KEYS),
        ("Skip and xfail", XFAIL_KEYS),
        ("The original list", {**ORIGINAL_KEYS, **ROOT_KEYS}),
    ],
)
def test_each_key_is_told_in_its_section(section: str, keys: Mapping[str, Any]) -> None:
    assert [key for key in keys if not re.search(rf"[`\"]{key}[`\"]", SECTIONS[section])] == []


def test_the_keys_of_the_defaults_are_told_and_no_others() -> None:
    assert "may hold [the keys that every model can have](#keys-of-an-entry-and-of-defaults)" in PAGE
    rows = re.findall(r"^\| \[?`(\w+)`", TABLES["defaults"], re.MULTILINE)
    assert set(rows) == set(keys_of(ModelDefaults))


def test_every_table_is_on_the_page_and_every_include_is_a_table() -> None:
    assert [name for name, table in TABLES.items() if table not in PAGE] == []
    assert "generated/" not in PAGE
