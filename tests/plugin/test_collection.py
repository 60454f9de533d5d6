"""What is collected, under which ids, and what selects it."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from plugin.project import MODEL, Project

BOTH = [
    "models.json::bert::validate[cpu]",
    "models.json::bert::benchmark[cpu]",
    "models.json::resnet::validate[cpu]",
    "models.json::resnet::benchmark[cpu]",
]

BELOW = [
    "first::validate[cpu]",
    "first::benchmark[cpu]",
    "sub/second::validate[cpu]",
    "sub/second::benchmark[cpu]",
]


@pytest.fixture
def two(project: Project) -> Project:
    project.models({"name": "bert", "tags": ["language"]}, {"name": "resnet", "tags": ["vision"]})
    return project


def test_ids_name_list_model_mode_and_provider(two: Project) -> None:
    assert two.collect(mode="both") == BOTH


def test_ids_name_precision_and_dimensions_after_the_provider(project: Project) -> None:
    project.models("a")
    assert project.collect("--ortperf-ep=cpu,cuda", "--ortperf-fp16", "--ortperf-dim=batch=1,8") == [
        f"models.json::a::validate[{provider}{precision}-batch={batch}]"
        for provider in ("cpu", "cuda")
        for precision in ("", "-fp16")
        for batch in (1, 8)
    ]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("bert", [BOTH[0], BOTH[1]]),
        ("bert and benchmark", [BOTH[1]]),
        ("CPUExecutionProvider and resnet and validate", [BOTH[2]]),
        ("vision", [BOTH[2], BOTH[3]]),
        ("cpu and not language", [BOTH[2], BOTH[3]]),
    ],
)
def test_keywords_hold_model_provider_mode_and_tags(two: Project, expression: str, expected: list[str]) -> None:
    assert two.collect("-k", expression, mode="both") == expected


def test_keywords_tell_providers_and_precisions_apart(two: Project) -> None:
    found = two.collect("-k", "bert and cuda and fp16", "--ortperf-ep=cpu,cuda", "--ortperf-fp16")
    assert found == ["models.json::bert::validate[cuda-fp16]"]


def test_tags_are_markers_that_strict_markers_takes(two: Project) -> None:
    assert two.collect("-m", "vision", "--strict-markers", "-W", "error") == ["models.json::resnet::validate[cpu]"]


def test_groups_are_markers_too(project: Project) -> None:
    project.models("a", {"name": "b", "group": "partner models"}, {"name": "c", "group": "skip"}, name="onnx-zoo.json")
    strict = ("--ortperf-models=onnx-zoo.json", "--strict-markers", "-W", "error")
    ids = {name: f"onnx-zoo.json::{name}::validate[cpu]" for name in "abc"}
    assert project.collect(*strict, "-m", "onnx_zoo") == [ids["a"]]
    assert project.collect(*strict, "-m", "partner_models or group_skip") == [ids["b"], ids["c"]]


def test_an_item_can_be_asked_for_by_its_id(two: Project) -> None:
    assert two.collect("models.json::bert::benchmark[cpu]", mode="both") == ["models.json::bert::benchmark[cpu]"]


def test_collection_writes_no_results_and_imports_no_runtime(two: Project) -> None:
    two.write(
        "conftest.py",
        "import sys\n"
        "def pytest_sessionfinish():\n"
        "    heavy = {'onnxruntime', 'onnx', 'numpy', 'pandas', 'jinja2', 'markupsafe'} & set(sys.modules)\n"
        "    print('heavy:', sorted(heavy))\n",
    )
    result = two.run("--collect-only", "-q", "-s")
    assert result.exit_code == 0
    assert "heavy: []" in result.out
    assert not (two.path / "result").exists()


def test_mode_on_the_command_line_collects_the_lists_instead_of_testpaths(two: Project) -> None:
    two.write("tests/test_own.py", "def test_own(): pass\n")
    two.write("pytest.ini", "[pytest]\ntestpaths = tests\n")
    assert two.collect() == ["models.json::bert::validate[cpu]", "models.json::resnet::validate[cpu]"]


def test_mode_in_the_ini_file_adds_the_lists_to_the_own_tests(two: Project) -> None:
    two.write("tests/test_own.py", "def test_own(): pass\n")
    two.write("pytest.ini", "[pytest]\ntestpaths = tests\nortperf_mode = validate\n")
    assert two.collect(mode=None) == [
        "tests/test_own.py::test_own",
        "models.json::bert::validate[cpu]",
        "models.json::resnet::validate[cpu]",
    ]


def test_file_arguments_win_over_the_default_list(two: Project) -> None:
    other = two.models("other", name="lists/other.json")
    assert two.collect(other) == ["lists/other.json::other::validate[cpu]"]


def test_every_option_works_from_the_ini_file_alone(two: Project) -> None:
    two.models("one", name="lists/first.json")
    two.models("two", name="lists/second.json")
    two.write(
        "pytest.ini",
        "[pytest]\n"
        "ortperf_mode = both\n"
        "ortperf_models = lists/first.json lists/second.json\n"
        "ortperf_ep = cpu, cuda\n"
        "ortperf_fp16 = true\n"
        "ortperf_dim = batch=2\n",
    )
    expected = [
        f"lists/{file}.json::{model}::{mode}[{provider}{precision}-batch=2]"
        for file, model in (("first", "one"), ("second", "two"))
        for mode in ("validate", "benchmark")
        for provider in ("cpu", "cuda")
        for precision in ("", "-fp16")
    ]
    assert sorted(two.collect(mode=None)) == sorted(expected)


def test_the_command_line_wins_over_the_ini_file(two: Project) -> None:
    two.write("pytest.ini", "[pytest]\nortperf_mode = both\nortperf_ep = cuda\n")
    assert two.collect("--ortperf-ep=cpu", "-k", "bert") == ["models.json::bert::validate[cpu]"]


def test_an_ini_value_that_is_no_choice_is_named(two: Project) -> None:
    two.write("pytest.ini", "[pytest]\nortperf_mode = fast\n")
    result = two.run(mode=None)
    assert (result.exit_code, result.err.strip()) == (
        4,
        "ERROR: ortperf_mode = fast: choose from validate, benchmark, both",
    )


def test_a_list_without_a_mode_gets_a_hint(two: Project) -> None:
    result = two.run("models.json", mode=None)
    assert f"hint: {two.path / 'models.json'} looks like a model list; " in result.out
    assert result.exit_code != 0


def test_options_without_a_mode_get_a_hint_where_nothing_is_collected(two: Project) -> None:
    hint = "hint: no model list is collected without --ortperf-mode=validate, benchmark or both"
    assert hint in two.run("--ortperf-ep=cpu", mode=None).out
    assert "hint: " not in two.run(mode=None).out
    assert "hint: " not in two.run("--ortperf-ep=cpu", "-k", "nothing").out


def test_a_list_outside_the_root_directory_has_an_id_of_its_own(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = outside_list(project, tmp_path_factory)
    (found,) = project.collect(f"--ortperf-models={outside}")
    name, model, label = found.split("::")
    assert (model, label) == ("far", "validate[cpu]")
    assert name.startswith("models.json-")
    assert len(name) == len("models.json-") + 6


@pytest.mark.parametrize("args", [(), pytest.param(("-n", "2"), marks=pytest.mark.slow)])
def test_a_list_outside_the_root_directory_runs(
    project: Project, tmp_path_factory: pytest.TempPathFactory, args: tuple[str, ...]
) -> None:
    result = project.run(f"--ortperf-models={outside_list(project, tmp_path_factory)}", *args)
    assert (result.exit_code, result.outcomes) == (0, {"far::validate[cpu]": "passed"})


def outside_list(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "m.onnx").write_bytes(MODEL)
    path = folder / "models.json"
    path.write_text('[{"name": "far", "path": "m.onnx"}]', encoding="utf-8")
    (project.path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("args", [(), pytest.param(("-n", "2"), marks=pytest.mark.slow)])
def test_a_directory_of_models_runs_wherever_it_is(
    project: Project, tmp_path_factory: pytest.TempPathFactory, args: tuple[str, ...]
) -> None:
    folder = tmp_path_factory.mktemp("zoo")
    for name in ("first", "second"):
        (folder / name).mkdir()
        (folder / name / "model.onnx").write_bytes(MODEL)
    outside = project.run(f"--ortperf-models={folder}", *args)
    assert (outside.exit_code, outside.outcomes) == (0, {f"{n}::validate[cpu]": "passed" for n in ("first", "second")})


def test_a_directory_of_models_below_the_root_is_named_by_its_path(project: Project) -> None:
    project.write("models/zoo/first/model.onnx", MODEL)
    assert project.collect("--ortperf-models=models/zoo") == ["models/zoo::first::validate[cpu]"]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (["zoo::first::validate[cpu]"], ["first::validate[cpu]"]),
        (["./zoo/::sub/second", "zoo::first::benchmark[cpu]"], ["first::benchmark[cpu]", *BELOW[2:]]),
        (["zoo::first::benchmark[cpu]", "zoo::first"], BELOW[:2]),
        (["zoo::first", "zoo"], BELOW),
    ],
)
def test_an_id_below_a_directory_is_an_argument_like_one_below_a_list(
    project: Project, chosen: list[str], expected: list[str]
) -> None:
    project.write("zoo/first/model.onnx", MODEL)
    project.write("zoo/sub/second/model.onnx", MODEL)
    found = project.collect("--ortperf-models=zoo", "--ortperf-ep=cpu", *chosen, mode="both")
    assert found == [f"zoo::{each}" for each in expected]


@pytest.mark.parametrize(
    ("chosen", "text"),
    [
        ("zoo::frist", "zoo has no 'frist'; near it are first"),
        ("zoo::first::validate[cuda]", "zoo::first has no 'validate[cuda]'; near it are validate[cpu]"),
    ],
)
def test_an_id_that_a_directory_has_not_is_an_error_that_names_near_ones(
    project: Project, chosen: str, text: str
) -> None:
    project.write("zoo/first/model.onnx", MODEL)
    result = project.collection("--ortperf-models=zoo", "--ortperf-ep=cpu", chosen)
    assert (result.exit_code, text in result.out.splitlines()) == (2, True)


@pytest.mark.parametrize(
    ("path", "expected"),
    [("../zoo", "zoo::first::validate[cpu]"), ("../lists/two.txt", "lists/two.txt::b::validate[cpu]")],
)
def test_a_path_may_go_up_and_a_list_have_any_ending(
    project: Project, monkeypatch: pytest.MonkeyPatch, path: str, expected: str
) -> None:
    project.write("zoo/first/model.onnx", MODEL)
    project.models("b", name="lists/two.txt")
    project.write("pytest.ini", "[pytest]\n")
    (project.path / "sub").mkdir()
    monkeypatch.chdir(project.path / "sub")
    assert project.collect(f"--ortperf-models={path}") == [expected]


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize(("chosen", "exit_code"), [("models.json::a", 0), ("models.json::b", 4)])
def test_collecting_leaves_garbage_collection_as_it_was(
    project: Project, chosen: str, exit_code: int, *, enabled: bool
) -> None:
    project.models("a")
    during = []

    class Watching:
        @pytest.hookimpl
        def pytest_collectstart(self) -> None:
            during.append(gc.isenabled())

    (gc.enable if enabled else gc.disable)()
    try:
        result = project.collection("--ortperf-ep=cpu", chosen, plugins=[Watching()])
        assert (result.exit_code, set(during), gc.isenabled()) == (exit_code, {False}, enabled)
    finally:
        gc.enable()


def test_an_inactive_plugin_adds_nothing_and_imports_nothing_heavy(project: Project) -> None:
    project.write(
        "test_foreign.py",
        "import sys\n"
        "def test_nothing_heavy():\n"
        "    ours = {name for name in sys.modules if name.startswith('pytest_ortperf')}\n"
        "    assert not {'onnxruntime', 'onnx', 'numpy', 'pandas', 'jinja2', 'markupsafe'} & set(sys.modules)\n"
        "    assert ours <= {'pytest_ortperf', 'pytest_ortperf.plugin', 'pytest_ortperf.hooks',"
        " 'pytest_ortperf.settings', 'pytest_ortperf.settings.options', 'pytest_ortperf.settings.option_table',"
        " 'pytest_ortperf.recording', 'pytest_ortperf.recording.lazy_recording'}, ours\n",
    )
    project.models("a")
    result = project.run(mode=None)
    assert result.exit_code == 0, result.out
    lines = [line for line in result.out.splitlines() if "ortperf" in line and not line.startswith("plugins:")]
    assert lines == [line for line in lines if line.startswith("rootdir:")]
    assert sorted(path.name for path in project.path.iterdir() if "result" in path.name) == []


@pytest.mark.parametrize(("form", "name"), [("--ortperf-models={}", "m.onnx"), ("{}", "m.onnx"), ("{}", "Net.ONNX")])
def test_a_model_file_is_a_list_of_one(project: Project, form: str, name: str) -> None:
    (project.path / "m.onnx").rename(project.path / name)
    stem = name.partition(".")[0]
    result = project.run(form.format(name))
    assert result.exit_code == 0
    assert result.outcomes == {f"{stem}::validate[cpu]": "passed"}
    assert [record["nodeid"] for record in result.records] == [f"{name}::{stem}::validate[cpu]"]
    again = project.run(f"{name}::{stem}::validate[cpu]")
    assert again.counts == {"passed": 1}


def test_a_model_file_whose_name_no_id_can_hold_is_told(project: Project) -> None:
    (project.path / "m.onnx").rename(project.path / "a@b.onnx")
    result = project.collection("a@b.onnx")
    assert result.exit_code == 2
    assert (
        "a@b.onnx:\n  - the name \"a@b\" holds '@', which pytest ids give a meaning; rename the file, or name it in a "
        "model list\n"
    ) in result.out


@pytest.mark.parametrize("more", [(), ("-n", "2")])
def test_models_whose_names_no_id_can_hold_are_left_out_and_named(project: Project, more: tuple[str, ...]) -> None:
    for name in ("a::b", "c[0]", "d@e", "good"):
        project.write(f"zoo/{name}/MODEL.Onnx", (project.path / "m.onnx").read_bytes())
    result = project.run("--ortperf-models=zoo", *more)
    assert result.exit_code == 0
    assert result.outcomes == {"good::validate[cpu]": "passed"}
    for name in ("a::b", "c[0]", "d@e"):
        assert f'zoo: model left out: "{name}/MODEL.Onnx": the name "{name}" holds ' in result.out
