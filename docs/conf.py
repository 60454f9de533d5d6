"""Sphinx settings; what is said of options, keys, failures and columns is written from the package's own tables."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).parent
PROJECT = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
GENERATED = HERE / "_build" / "generated"

project = PROJECT["name"]
release = PROJECT["version"]
copyright = "the pytest-ortperf contributors"  # noqa: A001
extensions = ["myst_parser"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
nitpicky = True
html_theme = "furo"
html_title = f"{project} {release}"


def options_page() -> str:
    """Return each option as a definition: flag, ini twin, meaning, default; by group, as in `pytest --help`."""
    # Imported here, because a build that cannot import the package must fail with that reason.
    from pytest_ortperf.settings.option_table import GROUP_TITLES, OPTIONS

    parts = []
    for group, title in GROUP_TITLES.items():
        parts.append(f"## {title.capitalize()}\n")
        for option in (option for option in OPTIONS if option.group == group):
            choices = option.value.choices
            value = "{" + ",".join(choices) + "}" if choices else option.value.metavar
            given = f"[={value}]" if option.value.alone else f"={value}"
            flag = f"{option.flag}{given}" if value else option.flag
            text = option.help[0].upper() + option.help[1:]
            parts.append(f"`{flag}`\n: {text}.\n  Default: {option.default}. Ini: `{option.ini}`.\n")
    return "\n".join(parts)


KEY_LINKS = {
    "source": "#sources",
    "tolerance": "#tolerance",
    "inputs": "#inputs",
    "fp16": "#fp16",
    "session": "#session",
    "expect": "#expect",
    "skip": "#skip-and-xfail",
    "xfail": "#skip-and-xfail",
    "ep_options": "provider-options.md",
}
"""What more there is to read about a key of a model list."""


def model_list_tables() -> dict[str, str]:
    """Return a table of the keys of each object in a model list, by the object's name."""
    from pytest_ortperf.cases import entry, expectations, model, rules
    from pytest_ortperf.cases.keys import keys_of

    shared = keys_of(model.ModelDefaults)
    tables = {
        "entry": {name: key for name, key in entry.entry_keys().items() if name not in shared},
        "defaults": shared,
        "tolerance": rules.TOLERANCE_KEYS,
        "input": keys_of(rules.InputRule),
        "fp16": keys_of(rules.Fp16Rule),
        "dim_range": keys_of(rules.DimRange),
        "session": keys_of(rules.SessionRule),
        "expect": expectations.EXPECT_KEYS,
        "condition": rules.XFAIL_KEYS,
        "original": {**entry.ORIGINAL_KEYS, **entry.ROOT_KEYS},
    }
    pages = {}
    for table, keys in tables.items():
        rows = ["| key | value | meaning |", "|---|---|---|"]
        for name, key in keys.items():
            link = KEY_LINKS.get(name) if table in {"entry", "defaults"} else None
            value = re.sub(r'(\{.*\}|"[^"]*")', r"`\1`", key.kind.allowed)
            default = f" Default: `{json.dumps(key.default).strip(chr(34))}`." if key.default is not None else ""
            rows.append(f"| {f'[`{name}`]({link})' if link else f'`{name}`'} | {value} | {key.meaning}{default} |")
        pages[table] = "\n".join([*rows, ""])
    return pages


def failures_page() -> str:
    """Return the words that a failure's `kind` and `stage` are taken from."""
    from pytest_ortperf.records.record import FAILURE_KINDS, STAGES

    kinds = ", ".join(f"`{kind}`" for kind in FAILURE_KINDS)
    stages = ", ".join(f"`{stage}`" for stage in STAGES)
    return f"Kinds: {kinds}.\n\nStages, in the order of the flow: {stages}.\n"


KINDS = {
    "bool": "true, false",
    "int": "whole number",
    "size": "bytes",
    "pointer": "address",
    "absent": "C and C++ only",
}


def provider_options_page() -> str:
    """Return a table of options per provider."""
    from pytest_ortperf.cases.providers import PROVIDERS

    parts = []
    for name, table in ((row.full_name, row.options) for row in PROVIDERS if row.options):
        title = name.removesuffix("ExecutionProvider").replace("Tensorrt", "TensorRT")
        rows = ["| option | value | default | since | |", "|---|---|---|---|---|"]
        for row in table.options.values():
            value = ", ".join(f"`{choice}`" for choice in row.choices) or KINDS.get(row.kind, row.kind)
            since = ".".join(map(str, row.first)) if row.first else ""
            rows.append(f"| `{row.key}` | {value} | {row.default} | {since} | {row.note} |")
        parts.append("\n".join([f"## {title}\n", *rows, ""]))
    return "\n".join(parts)


def providers_page() -> str:
    """Return a table of the execution providers, a row each."""
    from pytest_ortperf.cases.providers import PROVIDERS, short_name

    rows = [
        "| name | full name | device | gains against | companions | chooses the device | seen |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in PROVIDERS:
        companions = ", ".join(f"`{short_name(name)}`" for name in row.companions)
        option = f"`{row.device_option}`" if row.device_option else ""
        names = ", ".join(f"`{name}`" for name in (row.name, *row.aliases))
        cells = [names, f"`{row.full_name}`", row.device, f"`{row.reference}`"]
        rows.append(f"| {' | '.join([*cells, companions, option, row.seen])} |")
    found = dict.fromkeys(name for row in PROVIDERS for name in row.groups)
    groups = [f"- `{name}`: " + ", ".join(f"`{it.name}`" for it in PROVIDERS if name in it.groups) for name in found]
    return "\n".join([*rows, "", "Groups, which `--ortperf-ep` takes as names too:", "", *groups, ""])


def machine_checks_page() -> str:
    """Return a table of the machine checks, those of the run first."""
    from pytest_ortperf.records.environment.machine_catalogue import CHECKS

    rows = ["| check | looks at | when | off | why it matters | try |", "|---|---|---|---|---|---|"]
    for check in sorted(CHECKS, key=lambda check: check.when != "run"):
        cells = [f"`{check.id}`", check.looks_at, check.when, check.off, check.why, check.advice]
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join([*rows, ""])


def quantities_page() -> str:
    """Return a table per group of measured quantities."""
    from pytest_ortperf.quantities import QUANTITIES, Drift

    parts = []
    for group in dict.fromkeys(each.group for each in QUANTITIES):
        rows = ["| name | unit | what it is | JUnit property | limit | compared as |", "|---|---|---|---|---|---|"]
        for each in (each for each in QUANTITIES if each.group == group):
            junit, limit = (
                f"`{name}`" if name else "" for name in (each.junit and f"ortperf.{each.junit}", each.expect)
            )
            rule = each.comparison
            topic = "" if rule is None else "accuracy" if isinstance(rule, Drift) else rule.topic
            rows.append(f"| `{each.name}` | {each.unit} | {each.meaning} | {junit} | {limit} | {topic} |")
        parts.append("\n".join([f"## {group.title}\n", *rows, ""]))
    return "\n".join(parts)


def reports_page() -> str:
    """Return a list of the reports that a run writes."""
    from pytest_ortperf.reports.writers import WRITERS

    return "\n".join(f"- {writer.name}: `{writer.files}`" for writer in WRITERS if writer.files) + "\n"


def notes_page() -> str:
    """Return a table of the letters that stand beside latencies."""
    from pytest_ortperf.reports.terminal.notes import LETTERS

    rows = [f"| `{letter}` | {text} |" for letter, text in LETTERS.items()]
    return "\n".join(["| letter | meaning |", "|---|---|", *rows, ""])


def column_tables() -> dict[str, str]:
    """Return a table of the columns of each CSV file with what they mean, by the file's name."""
    from pytest_ortperf.reports.tables import columns
    from pytest_ortperf.reports.tables.accuracy_columns import ACCURACY
    from pytest_ortperf.reports.tables.check_columns import CHECKS
    from pytest_ortperf.reports.tables.meanings import meaning_of

    tables = {
        "origin": columns.ORIGIN,
        "fail": columns.FAIL,
        "success": columns.SUCCESS,
        "latency_group": columns.LATENCY_GROUP,
        "metrics": columns.METRICS,
        "op_metrics": columns.OP_METRICS,
        "session": columns.SESSION,
        "accuracy": ACCURACY,
        "checks": CHECKS,
    }
    pages = {}
    for name, table in tables.items():
        rows = [f"| `{column.name}` | {meaning_of(column.name)} |" for column in table]
        pages[name] = "\n".join(["| column | meaning |", "|---|---|", *rows, ""])
    return pages


def write_generated(_app: Sphinx) -> None:
    """Write the pages that are not written by hand, for the pages that include them."""
    GENERATED.mkdir(parents=True, exist_ok=True)
    pages = {
        "options": options_page(),
        "failures": failures_page(),
        "provider_options": provider_options_page(),
        "providers": providers_page(),
        "machine_checks": machine_checks_page(),
        "quantities": quantities_page(),
        "reports": reports_page(),
        "notes": notes_page(),
    }
    pages |= {f"model_list_{name}": text for name, text in model_list_tables().items()}
    pages |= {f"columns_{name}": text for name, text in column_tables().items()}
    for name, text in pages.items():
        (GENERATED / f"{name}.md").write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Let Sphinx call `write_generated` before it reads the first page."""
    app.connect("builder-inited", write_generated)
