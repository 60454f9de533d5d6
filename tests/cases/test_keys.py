"""A key of a model list is declared once."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import jsonschema
import pytest

from pytest_ortperf.cases import entry
from pytest_ortperf.cases.issues import Issues, Place
from pytest_ortperf.cases.json_values import COUNT, FLAG, TEXT, list_of, number
from pytest_ortperf.cases.keys import json_schema, keys_of, object_kind
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.model_list import schema_text

ENTRY = {"name": "a", "path": "a.onnx"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelWithBudget(Model):
    """A model with one key more."""

    budget_j: Annotated[
        float | None, number(above=0), "Energy that a run may take, in joules.", {"name": "energy_budget"}
    ] = None


@pytest.fixture
def _more_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "Model", ModelWithBudget)


@pytest.mark.usefixtures("_more_keys")
def test_a_declared_key_is_read(read: Callable[[Any], tuple[ModelWithBudget, ...]]) -> None:
    given, absent = read([{**ENTRY, "energy_budget": 3}, {**ENTRY, "name": "b"}])

    assert (given.budget_j, absent.budget_j) == (3.0, None)


@pytest.mark.usefixtures("_more_keys")
def test_a_declared_key_is_checked_and_suggested(issues_of: Callable[[Any], list[str]]) -> None:
    known = ", ".join(entry.entry_keys())

    assert "energy_budget" in known
    assert issues_of([{**ENTRY, "energy_budget": 0, "energy_bugdet": 1}]) == [
        "models[0] 'a': energy_budget: is 0; it must be a number above 0",
        f"models[0] 'a': unknown key 'energy_bugdet'; did you mean 'energy_budget'? Known keys are {known}",
    ]


@pytest.mark.usefixtures("_more_keys")
def test_a_declared_key_is_in_the_schema() -> None:
    schema = json.loads(schema_text())

    assert schema["$defs"]["entry"]["properties"]["energy_budget"] == {
        "description": "Energy that a run may take, in joules.",
        "type": "number",
        "exclusiveMinimum": 0,
    }
    assert [jsonschema.Draft202012Validator(schema).is_valid([{**ENTRY, "energy_budget": it}]) for it in (3, 0)] == [
        True,
        False,
    ]


def test_a_key_that_is_not_declared_is_unknown(issues_of: Callable[[Any], list[str]]) -> None:
    assert issues_of([{**ENTRY, "energy_budget": 3}]) == [
        "models[0] 'a': unknown key 'energy_budget'; known keys are " + ", ".join(entry.entry_keys())
    ]


@dataclass(frozen=True, kw_only=True)
class Lamp:
    """What a rule declares."""

    watts: Annotated[int, COUNT, "Power."]
    colours: Annotated[tuple[str, ...], list_of(TEXT, "colours"), "What it can show."] = ()
    is_dim: Annotated[bool, FLAG, "Whether it can be dimmed.", {"name": "dim"}] = False
    serial: str = ""


LAMP = object_kind("lamp", keys_of(Lamp), Lamp, meaning="A lamp.", needs=("shows nothing", ["colours"]))


def test_an_object_reports_each_issue_in_order_and_is_not_made() -> None:
    issues = Issues("lamps.json")

    assert LAMP.read({"wats": 1, "serial": "x", "colours": ["red", 2]}, Place(issues, "lamp")) is None
    assert issues.lines == [
        "lamp: unknown key 'wats'; did you mean 'watts'? Known keys are watts, colours, dim",
        "lamp: unknown key 'serial'; known keys are watts, colours, dim",
        "lamp: colours[1]: is 2; it must be a text that is not empty",
        "lamp: missing key 'watts'",
    ]


def test_an_object_is_made_of_its_fields() -> None:
    issues = Issues("lamps.json")

    assert LAMP.read({"watts": 5, "dim": True}, Place(issues, "lamp")) == Lamp(watts=5, is_dim=True)
    assert issues.lines == ["lamp: shows nothing; give at least one of colours"]


def test_a_schema_has_one_definition_of_each_kind_with_a_name() -> None:
    definitions: dict[str, Any] = {}

    assert json_schema({"items": LAMP}, definitions) == {"items": {"$ref": "#/$defs/lamp"}}
    assert definitions == {
        "lamp": {
            "description": "A lamp.",
            "type": "object",
            "properties": {
                "watts": {"description": "Power.", "$ref": "#/$defs/count"},
                "colours": {
                    "description": "What it can show.",
                    "type": "array",
                    "items": {"$ref": "#/$defs/text"},
                    "minItems": 1,
                },
                "dim": {"description": "Whether it can be dimmed.", "type": "boolean", "default": False},
            },
            "additionalProperties": False,
            "required": ["watts"],
            "anyOf": [{"required": ["colours"]}],
        },
        "count": {"type": "integer", "minimum": 1},
        "text": {"type": "string", "pattern": r"\S"},
    }
