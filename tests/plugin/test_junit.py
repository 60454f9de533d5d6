"""JUnit XML: it keeps to its schema whatever became of the cases, and a reader without a schema counts the same."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import pytest

from plugin.project import Project, junit_values
from plugin.test_runs import QUICK, wrong
from pytest_ortperf.reports.junit import class_name, finish_case

SCHEMA = Path(__file__).parents[1] / "data/junit/junit-10.xsd"

CRASH = """
import os, signal

def pytest_ortperf_before_first_run(case, session):
    if case.model.name == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
"""
FIXTURE = """
def test_two_models(ortperf):
    ortperf.validate("m.onnx", ep="cpu")
    ortperf.benchmark("m.onnx", ep="cpu")

def test_nothing_of_ours():
    assert True
"""


def mixed(project: Project) -> None:
    """Write a list whose cases pass, fail, are skipped, fail as expected and crash."""
    late = {"name": "late", "xfail": {"reason": "known", "modes": ["validate"]}, "test_data": "wrong"}
    hostile = {"name": "<script>=1+1 'שלום'", "group": '"><script>', "tags": ["odd"]}
    project.models("right", wrong(project), {"name": "no", "skip": "=not <b>now</b>"}, late, "dies", hostile)
    project.write("conftest.py", CRASH)


def check(project: Project, tests: int, failed: int, skipped: int) -> None:
    """Validate the file, and count with a reader that knows no schema."""
    etree = pytest.importorskip("lxml.etree", reason="needs the extra dev")
    junitparser = pytest.importorskip("junitparser", reason="needs the extra dev")
    path = project.path / "j.xml"
    etree.XMLSchema(etree.parse(SCHEMA)).assertValid(etree.parse(path))
    (suite,) = junitparser.JUnitXml.fromfile(str(path))
    cases = list(suite)
    found = [type(result).__name__ for case in cases for result in case.result]
    assert (len(cases), found.count("Failure"), found.count("Skipped")) == (tests, failed, skipped)
    assert (suite.tests, suite.failures, suite.skipped, suite.errors) == (tests, failed, skipped, 0)
    names = {each.name for each in suite.properties()}
    assert {"ortperf.run", "ortperf.started", "ortperf.onnxruntime", "ortperf.host", "ortperf.cpu"} <= names


@pytest.mark.parametrize("args", [(), pytest.param(("-n", "2"), marks=pytest.mark.slow)])
def test_cases_that_end_in_every_way(project: Project, args: Sequence[str]) -> None:
    mixed(project)
    result = project.run("--ortperf-ep=cpu", "--junit-xml=j.xml", *args)
    assert set(result.outcomes.values()) == {"passed", "failed", "skipped", "xfailed", "crashed"}
    check(project, tests=6, failed=2, skipped=2)
    cases = {case.attrib["name"]: case for case in project.junit().iter("testcase")}
    values = {name: junit_values(case) for name, case in cases.items()}
    hostile = "models.json::<script>=1+1 'שלום'::validate[cpu]"
    assert {name: values[hostile][f"ortperf.{name}"] for name in ("group", "tags", "line", "status")} == {
        "group": '"><script>',
        "tags": "odd",
        "line": "1",
        "status": "passed",
    }
    assert values["models.json::dies::validate[cpu]"]["ortperf.signal"] == "9"
    assert cases["models.json::right::validate[cpu]"].attrib["classname"] == "models.right"
    assert "\x1b" not in (project.path / "j.xml").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("place", ["models.json", "../elsewhere/zoo.json"])
def test_a_case_that_took_its_worker_along(project: Project, place: str) -> None:
    project.models({"name": "dies", "tags": ["odd"]}, "right")
    project.write("crash.py", CRASH)
    path = (project.path / place).resolve()
    path.parent.mkdir(exist_ok=True)
    (project.path / "models.json").rename(path)
    places = (f"--ortperf-models={path}", f"--ortperf-workspace={project.path}", "-p", "crash")
    result = project.run("--ortperf-ep=cpu", "--ortperf-isolation=none", *places, "-n", "1", "--junit-xml=j.xml")
    check(project, tests=2, failed=1, skipped=0)
    (lost,) = [case for case in project.junit().iter("testcase") if case.find("failure") is not None]
    values = junit_values(lost)
    assert {name: values[f"ortperf.{name}"] for name in ("status", "group", "tags", "line")} == {
        "status": "crashed",
        "group": path.stem,
        "tags": "odd",
        "line": "1",
    }
    assert {(record["group"], record["line"]) for record in result.records} >= {(path.stem, 1)}


@pytest.mark.slow
def test_a_run_with_a_baseline(project: Project) -> None:
    project.models("a", "b")
    project.run("--ortperf-ep=cpu", "--ortperf-results=earlier")
    project.models("a", {"name": "b", **{key: value for key, value in wrong(project).items() if key != "name"}})
    project.run("--ortperf-ep=cpu", "--ortperf-baseline=earlier", "--ortperf-fail-on=failures", "--junit-xml=j.xml")
    suite = project.junit()
    names = [case.attrib["name"] for case in suite.iter("testcase")]
    check(project, tests=len(names), failed=int(suite.attrib["failures"]), skipped=0)
    assert len(names) == 3
    assert {case.attrib["classname"] for case in suite.iter("testcase")} == {"models.a", "models.b"}


@pytest.mark.slow
@pytest.mark.parametrize("args", [(), ("-n", "2")])
def test_a_test_with_the_fixture(project: Project, args: Sequence[str]) -> None:
    project.write("test_it.py", FIXTURE)
    project.run(*QUICK, "--junit-xml=j.xml", *args, mode=None)
    check(project, tests=2, failed=0, skipped=0)
    ours, other = sorted(project.junit().iter("testcase"), key=lambda case: case.attrib["name"], reverse=True)
    assert other.find("system-out") is None
    values = junit_values(ours)
    assert (values["ortperf.mode"], values["ortperf.2.mode"]) == ("validate", "benchmark")
    assert values["ortperf.group"] == "test_it"


def test_the_older_family_has_properties_and_the_line_of_the_entry(project: Project) -> None:
    text = '[\n  {"name": "first", "path": "m.onnx"},\n  {"name": "a/b.1", "path": "m.onnx", "group": "zoo"}\n]\n'
    project.write("sub/zoo.json", text)
    project.run(
        *("--ortperf-models=sub/zoo.json", "--ortperf-ep=cpu", "--ortperf-dim=batch=2"),
        *("--junit-xml=j.xml", "-o", "junit_family=xunit1", "--junit-prefix=nightly"),
    )
    first, second = project.junit().iter("testcase")
    assert {name: second.attrib[name] for name in ("classname", "name", "file", "line")} == {
        "classname": "nightly.sub.zoo.a_b_1",
        "name": "sub/zoo.json::a/b.1::validate[cpu-batch=2]",
        "file": "sub/zoo.json",
        "line": "3",
    }
    assert first.attrib["line"] == "2"
    found = {each.attrib["name"]: each.attrib["value"] for each in second.iter("property")}
    assert (found["ortperf.dims"], found["ortperf.group"], found["ortperf.line"]) == ("batch=2", "zoo", "3")
    assert second.find("system-out") is None


@pytest.mark.parametrize(
    ("source", "model", "name"),
    [
        ("models.json", "resnet50", "models.resnet50"),
        ("perf/lists/zoo-1.2.json", "squeezenet1.1", "perf.lists.zoo-1_2.squeezenet1_1"),
        ("elsewhere.json-0a1b2c", "a", "elsewhere.a"),
        ("bert.onnx", "bert", "bert.bert"),
        ("zoo", "vision/resnet 50", "zoo.vision_resnet_50"),
    ],
)
def test_class_names_have_no_slash_and_no_hash(source: str, model: str, name: str) -> None:
    assert class_name(source, model) == name


def test_waiting_for_the_device_is_not_the_cases_time() -> None:
    case = ET.Element("testcase", name="x", time="3.500")
    properties = ET.SubElement(case, "properties")
    for name, value in (("ortperf.wait_for_hardware_s", "2"), ("ortperf.2.wait_for_hardware_s", "1"), ("mine", "5")):
        ET.SubElement(properties, "property", name=name, value=value)
    finish_case(case, "xunit2")
    assert case.attrib["time"] == "0.500"
    assert [each.attrib["name"] for each in case.iter("property")] == ["mine"]
    assert case.findtext("system-out") == "ortperf.wait_for_hardware_s=2\nortperf.2.wait_for_hardware_s=1\n"


def test_a_value_of_several_lines_is_one_line_and_joins_what_stands_there() -> None:
    case = ET.Element("testcase", name="x", time="0.1")
    ET.SubElement(ET.SubElement(case, "properties"), "property", name="ortperf.reason", value="one\ntwo\rthree")
    ET.SubElement(case, "system-out").text = "captured\n"
    finish_case(case, "xunit2")
    assert case.find("properties") is None
    assert [each.text for each in case.findall("system-out")] == ["captured\nortperf.reason=one\\ntwo\\rthree\n"]
