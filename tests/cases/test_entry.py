from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_ortperf.cases import sources
from pytest_ortperf.cases.entry import entry_keys
from pytest_ortperf.cases.model import Model
from pytest_ortperf.cases.rules import Condition, DimRange, Fp16Rule, InputRule, Tolerance, ToleranceRule

ENTRY = {"name": "a", "path": "a.onnx"}


Read = Callable[..., tuple[Model, ...]]
IssuesOf = Callable[[Any], list[str]]
IssuesOfEntry = Callable[..., list[str]]


def test_original_list_reads_unchanged(read: Read, tmp_path: Path) -> None:
    models = read(
        [
            {
                "model_name": "before",
                "working_directory": "sub",
                "model_path": "a.onnx",
                "test_data_path": ".",
            },
            {"root_working_directory": "/perf/"},
            {
                "model_name": "bert_squad",
                "working_directory": "bert_squad/",
                "model_path": "opset10/bertsquad10.onnx",
                "test_data_path": "opset10",
                "model_path_fp16": "opset10/fp16.onnx",
                "test_data_path_fp16": "opset10/fp16",
            },
            {"root_working_directory": "rel"},
            {
                "model_name": "absolute",
                "working_directory": "/zoo",
                "model_path": "a.onnx",
                "test_data_path": "./",
            },
            {
                "model_name": "relative",
                "working_directory": "x",
                "model_path": "a.onnx",
                "test_data_path": "./",
            },
        ]
    )

    assert models == (
        Model(
            name="before",
            path=tmp_path / "sub/a.onnx",
            test_data=tmp_path / "sub",
            group="models",
            origin="models.json: models[0] 'before'",
        ),
        Model(
            name="bert_squad",
            path=Path("/perf/bert_squad/opset10/bertsquad10.onnx"),
            test_data=Path("/perf/bert_squad/opset10"),
            fp16_path=Path("/perf/bert_squad/opset10/fp16.onnx"),
            test_data_fp16=Path("/perf/bert_squad/opset10/fp16"),
            group="models",
            origin="models.json: models[2] 'bert_squad'",
        ),
        Model(
            name="absolute",
            path=Path("/zoo/a.onnx"),
            test_data=Path("/zoo"),
            group="models",
            origin="models.json: models[4] 'absolute'",
        ),
        Model(
            name="relative",
            path=tmp_path / "rel/x/a.onnx",
            test_data=tmp_path / "rel/x",
            group="models",
            origin="models.json: models[5] 'relative'",
        ),
    )


def test_original_entry_with_issues_names_each(issues_of: IssuesOf) -> None:
    root = {"root_working_directory": "/perf", "model_name": "lost"}
    half = {"model_name": "half", "model_path": 3, "test_data_pth": "x"}

    assert issues_of([root, half]) == [
        ("models[0] 'lost': 'root_working_directory' must stand in an element of its own, before the models it is for"),
        "models[1] 'half': model_path: is 3; it must be a text that is not empty",
        (
            "models[1] 'half': unknown key 'test_data_pth'; did you mean 'test_data_path'? Known keys are "
            "model_name, working_directory, model_path, test_data_path, model_path_fp16, test_data_path_fp16"
        ),
        "models[1] 'half': missing key 'working_directory'",
        "models[1] 'half': missing key 'test_data_path'",
    ]


def test_plain_list_may_mix_both_forms(read: Read) -> None:
    original = {
        "model_name": "o",
        "working_directory": "o",
        "model_path": "o.onnx",
        "test_data_path": ".",
    }

    models = read([{"root_working_directory": "/perf"}, original, ENTRY])

    assert [(model.name, model.path) for model in models] == [
        ("o", Path("/perf/o/o.onnx")),
        ("a", Path.cwd() / "a.onnx"),
    ]


def test_entry_reads_every_key(read: Read, tmp_path: Path) -> None:
    entry = {
        "name": "bert",
        "path": "bert/model.onnx",
        "test_data": "bert/data",
        "fp16_path": "/abs/fp16.onnx",
        "test_data_fp16": "bert/data16",
        "dims": {"batch": [1, 8], "seq": 128},
        "fix_dims": True,
        "symbolic_shapes": True,
        "fp16": {"io": "cast", "op_block_list": ["Softmax", "Exp"], "node_block_list": ["/head/Gemm"]},
        "tags": ["nlp", "gpu"],
        "group": "onnx-zoo",
        "tolerance": [
            {"rtol": 0.01, "precision": "fp16", "provider": "CUDAExecutionProvider", "output": "log*"},
            {"atol": 0, "percent_mismatch": 1},
        ],
        "inputs": {
            "ids": {"low": 0, "high": 100, "shape": [1, 128]},
            "mask": {"fill": "ones"},
            "*": {"slices": "0:1, :, ::-2"},
        },
        "input_order": ["ids", "mask"],
        "outputs": ["logits"],
        "ep_options": {"ov": {"enable": True, "a": False, "b": 2, "c": 0.5, "d": "x=1,y"}},
        "skip": "too large",
        "xfail": [
            "sometimes",
            {
                "reason": "kills the process",
                "providers": ["trt", "MyOwnExecutionProvider"],
                "precisions": ["fp16"],
                "modes": ["benchmark"],
                "raises": "crash",
            },
        ],
        "timeout": 90,
    }

    (model,) = read({"$schema": "model_list.schema.json", "models": [entry]})

    assert model == Model(
        name="bert",
        group="onnx-zoo",
        origin="models.json: models[0] 'bert'",
        path=tmp_path / "bert/model.onnx",
        test_data=tmp_path / "bert/data",
        fp16_path=Path("/abs/fp16.onnx"),
        test_data_fp16=tmp_path / "bert/data16",
        dims={"batch": (1, 8), "seq": (128,)},
        fix_dims=True,
        symbolic_shapes=True,
        fp16=Fp16Rule(io="cast", op_block_list=("Softmax", "Exp"), node_block_list=("/head/Gemm",)),
        tags=("nlp", "gpu"),
        tolerances=(
            ToleranceRule(tolerance=Tolerance(rtol=0.01), precision="fp16", provider="cuda", output="log*"),
            ToleranceRule(tolerance=Tolerance(atol=0.0, percent_mismatch=1.0)),
        ),
        inputs={
            "ids": InputRule(low=0.0, high=100.0, shape=(1, 128)),
            "mask": InputRule(fill="ones"),
            "*": InputRule(slices="0:1, :, ::-2"),
        },
        input_order=("ids", "mask"),
        outputs=("logits",),
        ep_options={"openvino": {"enable": "1", "a": "0", "b": "2", "c": "0.5", "d": "x=1,y"}},
        skip=(Condition(reason="too large"),),
        xfail=(
            Condition(reason="sometimes"),
            Condition(
                reason="kills the process",
                providers=("tensorrt", "MyOwnExecutionProvider"),
                precisions=("fp16",),
                modes=("benchmark",),
                raises_crash=True,
            ),
        ),
        timeout_s=90.0,
    )


def test_defaults_fill_what_an_entry_leaves_out(read: Read) -> None:
    defaults = {
        "tolerance": {"rtol": 0.1},
        "dims": {"batch": 1, "seq": 2},
        "tags": ["all", "nlp"],
        "ep_options": {"rocm": {"a": 1, "b": 1}, "cpu": {"c": 1}},
        "timeout": 5,
        "inputs": {"*": {"high": 1}},
        "skip": "later",
        "xfail": "never right",
    }
    own = {
        "name": "own",
        "path": "own.onnx",
        "tolerance": {"rtol": 0.2},
        "dims": {"batch": 8},
        "tags": ["nlp", "own"],
        "ep_options": {"ROCMExecutionProvider": {"b": 2}, "dml": {"d": 2}},
        "timeout": 6,
        "inputs": {"x": {"high": 2}},
        "skip": [],
        "xfail": [],
    }

    plain, over = read({"defaults": defaults, "models": [ENTRY, own]})

    rule = ToleranceRule(tolerance=Tolerance(rtol=0.1))
    assert plain == Model(
        name="a",
        path=Path.cwd() / "a.onnx",
        group="models",
        origin="models.json: models[0] 'a'",
        tolerances=(rule,),
        dims={"batch": (1,), "seq": (2,)},
        tags=("all", "nlp"),
        ep_options={"rocm": {"a": "1", "b": "1"}, "cpu": {"c": "1"}},
        timeout_s=5.0,
        inputs={"*": InputRule(high=1.0)},
        skip=(Condition(reason="later"),),
        xfail=(Condition(reason="never right"),),
    )
    assert over == Model(
        name="own",
        path=Path.cwd() / "own.onnx",
        group="models",
        origin="models.json: models[1] 'own'",
        tolerances=(ToleranceRule(tolerance=Tolerance(rtol=0.2)), rule),
        dims={"batch": (8,)},
        tags=("all", "nlp", "own"),
        ep_options={"rocm": {"a": "1", "b": "2"}, "cpu": {"c": "1"}, "dml": {"d": "2"}},
        timeout_s=6.0,
        inputs={"x": InputRule(high=2.0)},
    )


def test_range_of_a_dimension_runs_with_its_best_size(read: Read) -> None:
    (model,) = read([{**ENTRY, "dims": {"batch": {"min": 1, "opt": 8, "max": 32}, "seq": [64, 128]}}])

    assert model.dims == {"batch": (8,), "seq": (64, 128)}
    assert model.dim_ranges == {"batch": DimRange(min=1, opt=8, max=32)}


def test_defaults_are_shared_not_copied(read: Read) -> None:
    defaults = {"dims": {"batch": [1, 8]}, "inputs": {"*": {}}, "tolerance": {"rtol": 1}}

    one, two = read({"defaults": defaults, "models": [ENTRY, {"name": "b", "path": "b.onnx"}]})

    assert one.dims is two.dims
    assert one.inputs is two.inputs
    assert one.tolerances is two.tolerances


def test_source_gives_name_path_inputs_and_stored_outputs(read: Read) -> None:
    (model,) = read([{"source": "onnx-light:resnet50"}])

    assert (model.name, model.path.name) == ("resnet50", "light_resnet50.onnx")
    assert [path.name for path in model.stored_outputs] == ["light_resnet50_output_0.pb"]
    assert model.inputs == {"*": InputRule(fill="ramp")}
    assert model.origin == "models.json: models[0] 'onnx-light:resnet50'"


def test_ramp_of_a_source_wins_over_default_inputs_but_not_over_the_entrys(read: Read) -> None:
    own = {"name": "own", "source": "onnx-light:resnet50", "inputs": {"*": {"fill": "zeros"}}}
    models = [{"source": "onnx-light:resnet50"}, own]

    by_source, by_entry = read({"defaults": {"inputs": {"*": {"fill": "ones"}}}, "models": models})

    assert by_source.inputs == {"*": InputRule(fill="ramp")}
    assert (by_entry.name, by_entry.inputs) == ("own", {"*": InputRule(fill="zeros")})
    assert by_entry.stored_outputs == ()  # they belong to the ramp


def test_unknown_source_is_an_issue_of_its_entry(issues_of: IssuesOf) -> None:
    names = ", ".join(sources.light_networks())
    assert issues_of([{"source": "onnx-light:resnet5"}, {"source": 5}]) == [
        (
            "models[0] 'onnx-light:resnet5': source: unknown light network 'resnet5'; "
            f"did you mean 'resnet50'? Known light networks are {names}"
        ),
        "models[1]: source: is 5; it must be a text that is not empty",
    ]


def test_all_issues_of_a_file_come_at_once(issues_of: IssuesOf) -> None:
    document = [
        {"path": "a.onnx"},
        {"name": "bert"},
        {"name": "both", "path": "x", "source": "onnx-light:resnet50"},
        {**ENTRY, "rtoll": 1, "xyzzy": 2},
        "no object",
        {},
    ]
    known = ", ".join(entry_keys())
    assert issues_of(document) == [
        "models[0]: missing key 'name'",
        "models[1] 'bert': missing key 'path', or 'source' for a model that comes with a package",
        "models[2] 'both': has both 'path' and 'source'; remove one",
        f"models[3] 'a': unknown key 'rtoll'; known keys are {known}",
        f"models[3] 'a': unknown key 'xyzzy'; known keys are {known}",
        'models[4]: is "no object"; it must be an object such as {"name": "bert", "path": "bert.onnx"}',
        "models[5]: missing key 'name'",
        "models[5]: missing key 'path', or 'source' for a model that comes with a package",
    ]


def test_near_key_is_suggested(issues_of_entry: IssuesOfEntry) -> None:
    assert issues_of_entry(tolerence={}) == [
        "unknown key 'tolerence'; did you mean 'tolerance'? Known keys are " + ", ".join(entry_keys())
    ]


def test_a_key_near_to_none_is_unknown(issues_of_entry: IssuesOfEntry) -> None:
    assert issues_of_entry(colour="red") == ["unknown key 'colour'; known keys are " + ", ".join(entry_keys())]


def test_duplicate_names_name_both_entries(issues_of: IssuesOf) -> None:
    original = {"model_name": "a", "working_directory": ".", "model_path": "m", "test_data_path": "."}

    assert issues_of([ENTRY, {"source": "onnx-light:resnet50"}, original]) == [
        "models[2] 'a': the name \"a\" is taken by models[0] 'a'; rename one of the two"
    ]
