"""Kinds of models that exporters write: each is converted, opened, run, and compared with itself in float32."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_ortperf.cases.rules import Fp16Rule
from pytest_ortperf.execution.model.artifact_cache import ArtifactCache
from pytest_ortperf.execution.model.fp16 import convert, fp16_model

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
IOS = pytest.mark.parametrize("io", ["keep", "cast"])
X = np.array([[0.5, -1.0, 0.0, 3.0]], np.float32)


def parsed(text: str, ir_version: int = 8, opset: int = 17, domains: str = "", functions: str = "") -> onnx.ModelProto:
    head = f'<ir_version: {ir_version}, opset_import: ["" : {opset}{domains}]>'
    return onnx.parser.parse_model(f"{head} g {text} {functions}")


def computed(model: onnx.ModelProto, inputs: dict[str, np.ndarray], *, optimized: bool) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimized else levels.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    half = {it.name for it in session.get_inputs() if it.type == "tensor(float16)"}
    fed = {name: value.astype(np.float16) if name in half else value for name, value in inputs.items()}
    return dict(zip([it.name for it in session.get_outputs()], session.run(None, fed), strict=True))


def check(model: onnx.ModelProto, io: str = "keep", rtol: float = 2e-3, **inputs: np.ndarray) -> onnx.ModelProto:
    """Return the converted model, which gives the outputs that the model gives, up to float16's own error."""
    wanted = computed(model, inputs, optimized=False)
    ends = [it.name for it in model.graph.output]
    names = [it.name for it in model.graph.input]
    converted, outcome = convert(model, Fp16Rule(io=io))
    assert outcome.nodes > 0
    onnx.checker.check_model(converted, full_check=True)
    assert [it.name for it in converted.graph.output] == ends
    assert [it.name for it in converted.graph.input] == names
    for optimized in (False, True):
        for name, value in computed(converted, inputs, optimized=optimized).items():
            if value.dtype.kind == "f":
                assert value.dtype == (
                    np.float16 if io == "cast" and wanted[name].dtype != np.float64 else wanted[name].dtype
                )
                np.testing.assert_allclose(value.astype(np.float64), wanted[name], rtol=rtol, atol=1e-3)
            else:
                assert value.tolist() == wanted[name].tolist()
    return converted


def nodes(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def weights(model: onnx.ModelProto) -> dict[str, int]:
    return {tensor.name: tensor.data_type for tensor in model.graph.initializer}


def staying(text: str, io: str = "keep", **kwargs: Any) -> tuple[str, ...]:
    """Return the constants that nodes of a model stay float32 for."""
    return convert(parsed(text, **kwargs), Fp16Rule(io=io))[1].weights


# constants


@IOS
def test_constants_of_every_kind(io: str) -> None:
    text = """(float[n, 4] x) => (float[n, 4] y) {
        a = Constant <value_float = 2.0> ()
        b = Constant <value_floats = [1.0, 2.0, 3.0, 4.0]> ()
        c = Constant <value: tensor = float[4] {0.5, 0.5, 0.5, 0.5}> ()
        shape = Constant <value_ints = [1, 4]> ()
        zeros = ConstantOfShape (shape)
        fives = ConstantOfShape <value: tensor = float[1] {5}> (shape)
        s = Mul (x, a) t = Add (s, b) u = Mul (t, c) v = Add (u, zeros) y = Add (v, fives)
    }"""
    converted = check(parsed(text), io, x=X)
    assert weights(converted) == {"a": HALF, "b": HALF, "c": HALF, "shape": TensorProto.INT64}


@IOS
def test_variances_in_constant_nodes_stay_with_the_normalisation_that_reads_them(io: str) -> None:
    text = """(float[n, 2, 1, 1] x) => (float[n, 2, 1, 1] y) {
        s = Constant <value: tensor = float[2] {1e4, 2e4}> ()
        b = Constant <value: tensor = float[2] {1.0, 2.0}> ()
        v = Constant <value: tensor = float[2] {1e8, 4e7}> ()
        w = Constant <value: tensor = float[2,2,1,1] {1.0, 2.0, 3.0, 4.0}> ()
        c = Conv (x, w) n1 = BatchNormalization (c, s, b, b, v) r = Relu (n1) y = Conv (r, w)
    }"""
    model = parsed(text)
    assert convert(parsed(text), Fp16Rule())[1].weights == ("v",)
    converted = check(model, io, x=np.ones((1, 2, 1, 1), np.float32))
    assert weights(converted) == {"w": HALF, "s": FLOAT, "b": FLOAT, "v": FLOAT}


@IOS
def test_constants_in_branches_one_of_which_is_an_output(io: str) -> None:
    text = """(float[4] x, bool c) => (float[4] y) {
        t = If (c) <
          then_branch = a () => (float[4] k) { k = Constant <value: tensor = float[4] {1, 2, 3, 4}> () },
          else_branch = b () => (float[4] m) { l = Constant <value_floats = [1.0, 2.0, 3.0, 4.0]> () m = Mul (x, l) }
        >
        y = Add (t, x)
    }"""
    for chosen in (True, False):
        check(parsed(text), io, x=X[0], c=np.array(chosen))


@IOS
def test_functions_nested_and_with_constants_are_written_out(io: str) -> None:
    text = """(float[n, 4] x) => (float[n, 4] y) { t = my.Outer <factor = 3.0> (x) y = my.Inner (t) }"""
    functions = """
    <opset_import: ["" : 17], domain: "my"> Inner (a) => (b) { k = Constant <value_float = 0.5> () b = Mul (a, k) }
    <opset_import: ["" : 17, "my" : 1], domain: "my"> Outer <factor> (a) => (b) {
        k = Constant <value_float: float = @factor> () s = my.Inner (a) b = Mul (s, k)
    }"""
    converted = check(parsed(text, domains=', "my" : 1', functions=functions), io, x=X)
    assert (len(converted.functions), set(weights(converted).values())) == (0, {HALF})


FUNCTION = """
<opset_import: ["" : 17], domain: "my"> Scale (a) => (b) { k = Constant <value_float = 0.5> () b = Mul (a, k) }"""


@pytest.mark.parametrize(
    "rule", [Fp16Rule(op_block_list=("Scale",)), Fp16Rule(node_block_list=("Scale_0",))], ids=["operator", "node"]
)
def test_a_function_can_be_blocked_as_a_whole(rule: Fp16Rule) -> None:
    text = "(float[n, 4] x) => (float[n, 4] y) { t = my.Scale (x) y = Relu (t) }"
    model = parsed(text, domains=', "my" : 1', functions=FUNCTION)
    model.graph.value_info.append(helper.make_tensor_value_info("t", FLOAT, ["n", 4]))
    converted, outcome = convert(model, rule)
    assert (nodes(converted), outcome.nodes) == (["Scale", "Cast", "Relu", "Cast"], 1)
    assert computed(converted, {"x": X}, optimized=False)["y"].tolist() == [[0.25, 0.0, 0.0, 1.5]]


@IOS
def test_a_function_of_another_opset_is_written_out_too(io: str) -> None:
    text = "(float[n, 4] x) => (float[n, 4] y) { r = Relu (x) y = my.Scale (r) }"
    functions = FUNCTION.replace("17", "11").replace("value_float = 0.5", "value: tensor = float {0.5}")
    converted = check(parsed(text, domains=', "my" : 1', functions=functions), io, x=X)
    assert (len(converted.functions), set(weights(converted).values())) == (0, {HALF})


# ends


@IOS
def test_initialisers_and_inputs_that_are_outputs(io: str) -> None:
    text = """(float[1, 4] x) => (float[1, 4] y, float[4] k, float[1, 4] x) <float[4] k = {1, 2, 3, 4}> {
        t = Relu (x) y = Add (t, k)
    }"""
    check(parsed(text), io, x=X)


@IOS
def test_an_initialiser_that_is_an_output_and_read_in_float32(io: str) -> None:
    text = """(float[1, 4] x) => (float[1, 4] y, float[1, 4] k) <float[1, 4] k = {1, 2, 3, 4}> {
        t = Relu (x) u = Mul (t, k) y = Max (u, k)
    }"""
    converted = check(parsed(text), io, x=X)
    assert sorted(weights(converted).values()) == [FLOAT, HALF]


@IOS
def test_an_output_that_other_nodes_read_in_either_type(io: str) -> None:
    text = """(float[1, 4] x) => (float[1, 4] y, float[1, 4] z, float[1, 4] t) {
        t = Relu (x) y = Add (t, x) m = Max (t, x) z = Mul (m, t)
    }"""
    check(parsed(text), io, x=X)


def test_constants_of_a_model_whose_initialisers_all_are_inputs() -> None:
    text = """(float[1, 4] x, float[4] k) => (float[1, 4] y) <float[4] k = {1, 2, 3, 4}> {
        c = Constant <value: tensor = float[4] {4, 3, 2, 1}> () t = Add (x, k) y = Mul (t, c)
    }"""
    converted = check(parsed(text, ir_version=3, opset=8), x=X)
    assert weights(converted) == {"k": HALF, "c": HALF}


@IOS
@pytest.mark.parametrize("op", ["Mul", "Max"])
def test_initialisers_listed_as_inputs_as_up_to_ir_version_3(op: str, io: str) -> None:
    text = "(float[1, 4] x, float[4] k) => (float[1, 4] y) <float[4] k = {1, 2, 3, 4}>"
    text += f"{{ t = Add (x, k) y = {op} (t, k) }}"
    model = parsed(text, ir_version=3, opset=8)
    converted = check(model, io, x=X)
    assert weights(converted) == {"k": HALF if op == "Mul" else FLOAT}


def test_an_initialiser_of_a_blocked_node_and_another_one_is_there_in_both_types() -> None:
    text = "(float[1, 4] x) => (float[1, 4] y) <float[4] k = {1, 2, 3, 4}> { t = Add (x, k) y = Max (t, k) }"
    assert weights(check(parsed(text), x=X)) == {"k": FLOAT, "k_fp16": HALF}


def test_names_that_are_taken_are_left_alone() -> None:
    text = """(float[1, 4] x) => (float[1, 4] y, float[1, 4] x_fp16) <
        float[4] k = {1, 2, 3, 4}, float[4] k_fp16 = {1, 1, 1, 1}
    > {
        x_fp16 = Add (x, k) y_fp16 = Max (x_fp16, k) y = Sub (y_fp16, k_fp16)
    }"""
    check(parsed(text), x=X)


# control flow

LOOP = """(float[4] x, int64 n) => (float[4] y, float[m, 4] all) <bool go = {1}, float[4] start = {%s}> {
    s = %s (x)
    y, all = Loop (n, go, start) <body = b (int64 i, bool c, float[4] prev) => (bool d, float[4] cur, float[4] each) {
        d = Identity (c) k = Constant <value_floats = [0.5, 0.5, 0.5, 0.5]> ()
        t = Mul (s, k) cur = %s (prev, t) each = Sub (cur, x)
    }>
}"""


@IOS
@pytest.mark.parametrize("op", ["Relu", "Identity"])
def test_a_loop_with_a_state_outputs_for_each_turn_and_values_from_outside(op: str, io: str) -> None:
    check(parsed(LOOP % ("1, 2, 3, 4", op, "Add")), io, x=X[0], n=np.array(3))


def test_a_loop_that_starts_beyond_float16_stays_float32() -> None:
    text = LOOP % ("-3e38, -3e38, -3e38, -3e38", "Relu", "Max")
    assert staying(text) == ("start",)
    converted = check(parsed(text), x=X[0], n=np.array(3))
    assert weights(converted)["start"] == FLOAT
    # what is outside is converted all the same
    assert nodes(converted) == ["Cast", "Relu", "Cast", "Loop"]


@IOS
def test_a_scan(io: str) -> None:
    text = """(float[4] x, float[3, 4] rows) => (float[4] y, float[3, 4] all) {
        y, all = Scan <num_scan_inputs = 1, body = b (float[4] prev, float[4] row) => (float[4] cur, float[4] each) {
            k = Constant <value_float = 0.5> () t = Mul (row, k) cur = Add (prev, t) each = Mul (cur, x)
        }> (x, rows)
    }"""
    check(parsed(text), io, x=X[0], rows=np.ones((3, 4), np.float32))


@IOS
def test_a_branch_inside_a_branch_with_its_own_weights(io: str) -> None:
    text = """(float[4] x, bool c) => (float[4] y) {
        r = Relu (x)
        y = If (c) <
          then_branch = a () => (float[4] o) <float[4] w = {1, 2, 3, 4}> {
            q = If (c) <
              then_branch = aa () => (float[4] p) { p = Mul (r, w) },
              else_branch = ab () => (float[4] p) { p = Max (x, w) }
            >
            o = Add (q, w)
          },
          else_branch = b () => (float[4] o) <float[4] w = {4, 3, 2, 1}> { o = Sub (r, w) }
        >
    }"""
    for chosen in (True, False):
        check(parsed(text), io, x=X[0], c=np.array(chosen))


def test_a_blocked_loop_stays_float32_inside_too() -> None:
    converted, outcome = convert(parsed(LOOP % ("1, 2, 3, 4", "Relu", "Add")), Fp16Rule(op_block_list=("Loop",)))
    onnx.checker.check_model(converted, full_check=True)
    assert (outcome.nodes, weights(converted)["start"]) == (1, FLOAT)


@IOS
def test_sequences_and_optionals_stay_what_they_are(io: str) -> None:
    text = """(float[1, 4] x) => (float[1, 4] y, int64 n) {
        r = Relu (x) s = SequenceConstruct (r, x) o = Optional (r) e = OptionalGetElement (o)
        at = Constant <value_int = 0> () first = SequenceAt (s, at) n = SequenceLength (s)
        t = Add (first, e) y = Relu (t)
    }"""
    check(parsed(text), io, x=X)


def test_a_loop_that_builds_a_sequence() -> None:
    text = """(float[4] x, int64 n, seq(float[4]) empty) => (seq(float[4]) y) <bool go = {1}> {
        y = Loop (n, go, empty) <body = b (int64 i, bool c, seq(float[4]) prev) => (bool d, seq(float[4]) cur) {
            d = Identity (c) r = Sigmoid (x) cur = SequenceInsert (prev, r)
        }>
    }"""
    converted, outcome = convert(parsed(text), Fp16Rule())
    onnx.checker.check_model(converted, full_check=True)
    session = onnxruntime.InferenceSession(converted.SerializeToString(), providers=["CPUExecutionProvider"])
    (made,) = session.run(None, {"x": X[0], "n": np.array(2), "empty": [X[0]]})
    assert (outcome.nodes, len(made), {it.dtype for it in made}) == (1, 3, {np.dtype(np.float32)})


# operators


@pytest.mark.parametrize(
    ("body", "domains"),
    [
        ("r = Relu (x) y = ai.onnx.ml.Scaler <offset = [0.5], scale = [2.0]> (r)", ', "ai.onnx.ml" : 3'),
        ("s = Mul (x, x) r, at = TopK (s, k) y = Relu (r)", ""),
        ("r = Relu (x) q = QuantizeLinear (r, scale, zero) d = DequantizeLinear (q, scale, zero) y = Mul (d, d)", ""),
        ("r = Relu (x) d, s, z = DynamicQuantizeLinear (r) y = DequantizeLinear (d, s, z)", ""),
        ("r = Relu (x) y = CumSum (r, one)", ""),
        ("r = com.microsoft.Gelu (x) y = com.microsoft.FusedMatMul (r, eye)", ', "com.microsoft" : 1'),
        ("r = Relu (x) y = LayerNormalization (r, ones)", ""),
        ("r = Relu (x) y, mean, inverse = LayerNormalization (r, ones)", ""),
        ("r = Relu (x) b = RandomNormalLike <seed = 1.0> (r) y = Add (r, b)", ""),
        ("e = EyeLike (eye) y = MatMul (x, e)", ""),
        ("n = HannWindow (four) y = Mul (x, n)", ""),
        ("u = Unsqueeze (x, one) l = LSTM <hidden_size = 1> (u, lw, lr) s = Reshape (l, flat) y = Mul (s, s)", ""),
        ("c = CastLike (x, ones) y = Mul (c, c)", ""),
        ("c = Cast <to = 1> (x) y = Mul (c, c)", ""),
        ("c = Cast <to = 11> (x) d = Cast <to = 1> (c) y = Mul (d, d)", ""),
    ],
)
@IOS
def test_operators_without_kernels_or_with_types_of_their_own(body: str, domains: str, io: str) -> None:
    text = f"""(float[1, 4] x) => (float[a, b] y) <
        int64[1] k = {{4}}, float scale = {{0.1}}, uint8 zero = {{0}}, int64[1] one = {{1}}, int64 four = {{4}},
        float[4] ones = {{1, 1, 1, 1}}, int64[2] flat = {{1, -1}}, float[1, 4, 4] lw = {{{", ".join(["0.5"] * 16)}}},
        float[1, 4, 1] lr = {{0.1, 0.1, 0.1, 0.1}}, float[4, 4] eye = {{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}}
    > {{ {body} }}"""
    if "CumSum" in body:
        text = text.replace("int64[1] one", "int64 one")
    check(parsed(text, domains=domains), io, x=X, rtol=1e-2)


def test_scales_of_quantised_operators_are_not_rounded() -> None:
    text = """(float[1, 4] x) => (float[1, 4] y) <float s = {0.1}, uint8 z = {3}> {
        r = Relu (x) q = QuantizeLinear (r, s, z) d = DequantizeLinear (q, s, z) y = Mul (d, d)
    }"""
    assert weights(check(parsed(text, opset=21, ir_version=10), x=X))["s"] == FLOAT


def test_random_numbers_stay_the_same() -> None:
    text = """(float[1, 4] x) => (float[1, 4] y) {
        n = RandomNormal <shape = [1, 4], seed = 3.0> () u = RandomUniform <shape = [1, 4], seed = 4.0> ()
        t = Add (n, u) y = Add (t, x)
    }"""
    check(parsed(text), x=X)


def test_a_custom_operator_reads_and_makes_what_it_did() -> None:
    text = """(float[1, 4] x) => (float[1, 4] y) <float[4] w = {1, 2, 3, 4}> {
        r = Mul (x, w) c = my.Own (r, w) y = Mul (c, w)
    }"""
    converted, outcome = convert(parsed(text, domains=', "my" : 1'), Fp16Rule())
    onnx.checker.check_model(converted)
    # nothing tells the type of its result, so the next one stays float32 too
    assert (nodes(converted), outcome.nodes) == (["Cast", "Mul", "Cast", "Own", "Mul"], 1)
    assert weights(converted) == {"w": FLOAT, "w_fp16": HALF}


@pytest.mark.parametrize(
    ("opset", "resize"),
    [
        (10, "Resize (r, scales)"),
        (13, "Resize (r, , scales)"),
        (13, "Resize (r, , computed)"),
        (13, "Resize (r, roi, scales)"),
    ],
)
@IOS
def test_scales_and_regions_of_resize_stay_float32(opset: int, resize: str, io: str) -> None:
    computed = (
        "s = Shape (x) f = Cast <to = 1> (s) g = Mul (f, by) computed = Div (g, f)" if "computed" in resize else ""
    )
    text = f"""(float[1, 1, 2, 2] x) => (float[a, b, c, d] y) <
        float[4] scales = {{1, 1, 2, 2}}, float[8] roi = {{0, 0, 0, 0, 1, 1, 1, 1}}, float[4] by = {{1, 1, 2.5, 2.5}}
    > {{ r = Relu (x) {computed} y = {resize} }}"""
    converted = check(parsed(text, opset=opset), io, x=np.array([[[[1, 2], [3, 4]]]], np.float32))
    assert HALF not in [kind for name, kind in weights(converted).items() if name in {"scales", "by", "roi"}]


@IOS
def test_upsample_of_old_opsets(io: str) -> None:
    text = """(float[1, 1, 1, 2] x) => (float[a, b, c, d] y) <float[4] scales = {1, 1, 2, 2}> {
        r = Relu (x) u = Upsample (r, scales) y = Mul (u, u)
    }"""
    assert weights(check(parsed(text, opset=9), io, x=np.array([[[[1, 2]]]], np.float32)))["scales"] == FLOAT


def test_a_sparse_initialiser() -> None:
    model = parsed("(float[1, 4] x) => (float[1, 4] y) { r = Relu (x) y = Mul (r, s) }")
    values = numpy_helper.from_array(np.array([2.0], np.float32), "s")
    places = numpy_helper.from_array(np.array([3]), "s_places")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [4]))
    converted, outcome = convert(model, Fp16Rule())
    assert (computed(converted, {"x": X}, optimized=True)["y"].tolist(), outcome.nodes) == ([[0, 0, 0, 6]], 2)


# numbers that float16 cannot hold

LARGE = """(float[1, 4] x) => (float[1, 4] y) <
    float[1] k = {2e5}, float[1] i = {5e-6}, float[4] b = {1, 1, 1, 1}, int64[2] p = {1, 4}, int64[1] z = {0},
    float[4, 4] w = {2e5, 0, 0, 0, 0, 2e5, 0, 0, 0, 0, 2e5, 0, 0, 0, 0, 2e5}> {"""


@pytest.mark.parametrize(
    "body",
    [
        "t = Mul (x, k) u = Mul (t, i) y = Softmax (u)",
        "t = Mul (x, k) s = Add (t, b) r = Relu (s) u = Mul (r, i) y = Sigmoid (u)",
        "t = MatMul (x, w) u = Mul (t, i) y = Tanh (u)",
        "t = Gemm (x, w) u = Mul (t, i) y = Tanh (u)",
        "v = Transpose (w) t = MatMul (x, v) u = Mul (t, i) y = Tanh (u)",
        "v = Identity (k) t = Mul (x, v) u = Mul (t, i) y = Tanh (u)",
        "t = Mul (x, k) s = Reshape (t, p) r = Expand (s, p) u = Mul (r, i) y = Tanh (u)",
        "t = Mul (x, k) s = Transpose <perm = [0, 1]> (t) u = Div (s, k) y = Tanh (u)",
        "v = Gather (k, z) t = Mul (x, v) u = Mul (t, i) y = Tanh (u)",
        "c = Cast <to = 1> (n) t = Mul (x, c) u = Mul (t, i) y = Tanh (u)",
        "f = ConstantOfShape <value: tensor = float[1] {2e5}> (p) t = Mul (x, f) u = Mul (t, i) y = Tanh (u)",
        "d = Div (x, tiny) u = Mul (d, tiny) y = Tanh (u)",
        "q = Cast <to = 1> (double) t = Mul (x, q) u = Mul (t, i) y = Tanh (u)",
        "t = Mul (x, k) e = Elu (t) u = Mul (e, i) y = Tanh (u)",
        "o = OneHot (one, depth, ends) t = Add (x, o) y = Softmax (t)",
        "r = Range (start, end, step) s = Unsqueeze (r, z) t = Add (x, s) u = Mul (t, i) y = Tanh (u)",
        "c = Concat <axis = 1> (x, far) t = Mul (c, i) s = Slice (t, z, four, one) y = Tanh (s)",
    ],
)
@IOS
def test_what_is_computed_beyond_float16_stays_float32_until_it_fits_again(body: str, io: str) -> None:
    more = """, int64[1] n = {200000}, float[1] tiny = {1e-9}, double[1] double = {2e5}, int64 depth = {4},
        float[2] ends = {0, -1e9}, float start = {0}, float end = {400000}, float step = {100000}, int64[1] four = {4},
        int64[1] one = {1}, float[1, 1] far = {3e38}> {"""
    text = LARGE.replace("> {", more)
    # something to convert behind it
    text += body.replace("y = ", "last = ") + " y = Mul (last, b) }"
    check(parsed(text), io, x=X)


@pytest.mark.parametrize(
    "body",
    [
        "t = Add (x, e) y = Log (t)",
        "t = Max (x, e) y = Log (t)",
        "t = Clip (x, e) y = Log (t)",
        "s = Mul (x, x) t = Add (s, e) r = Sqrt (t) y = Div (x, r)",
        "s = Mul (x, x) t = Add (s, e) r = Sqrt (t) i = Reciprocal (r) y = Mul (x, i)",
        "s = Mul (x, x) t = Add (s, e) r = Pow (t, half) y = Mul (x, r)",
        "n = ReduceL2 <axes = [1]> (x) m = Clip (n, e) v = Expand (m, p) y = Div (x, v)",
        "s = Mul (x, e) t = Mul (s, b) d = Div (t, e) y = Tanh (d)",
        "r = Relu (x) s = Sub (r, b) t = Abs (s) u = Add (t, e) v = Unsqueeze (u, z) w = Squeeze (v, z) y = Log (w)",
    ],
)
@IOS
def test_a_tiny_term_is_not_lost_where_it_matters(body: str, io: str) -> None:
    text = (
        "(float[1, 4] x) => (float[1, 4] y) <float[1] e = {1e-12}, float[1] half = {-0.5}, float[4] b = {1, 1, 1, 1}, "
        "int64[2] p = {1, 4}, int64[1] z = {0}> {"
    )
    check(parsed(text + body.replace("y = ", "last = ") + " y = Mul (last, b) }"), io, x=np.abs(X))


@pytest.mark.parametrize("low", ["-1e9", "-3.4e38"])
@IOS
def test_masks_leave_attention_as_it_is_where_all_is_masked_too(low: str, io: str) -> None:
    text = f"""(float[2, 4] x, int64[2, 4] mask) => (float[2, 4] y) <
        float one = {{1}}, float low = {{{low}}}, float[4, 4] w = {{{", ".join(["0.25"] * 16)}}}
    > {{
        m = Cast <to = 1> (mask) i = Sub (one, m) b = Mul (i, low)
        s = MatMul (x, w) t = Add (s, b) p = Softmax (t) y = MatMul (p, w)
    }}"""
    x = np.random.default_rng(0).uniform(-1, 1, (2, 4)).astype(np.float32)
    converted = check(parsed(text), io, x=x, mask=np.array([[1, 1, 0, 1], [0, 0, 0, 0]]))
    assert weights(converted) == {"one": HALF, "low": FLOAT, "w": HALF}


def test_bounds_that_bound_nothing_in_float16_keep_nothing_float32() -> None:
    text = "(float[1, 4] x) => (float[1, 4] y) <float low = {0}, float high = {3.4e38}> { y = Clip (x, low, high) }"
    converted, outcome = convert(parsed(text), Fp16Rule())
    assert (outcome.weights, outcome.clipped, weights(converted)) == ((), 0, {"low": HALF, "high": HALF})
    assert computed(converted, {"x": X}, optimized=False)["y"].tolist() == [[0.5, 0.0, 0.0, 3.0]]


def test_infinities_are_held_by_float16_too() -> None:
    text = "(float[1, 4] x, bool[4] m) => (float[1, 4] y) <float low = {0}> { t = Where (m, x, low) y = Softmax (t) }"
    model = parsed(text)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.float32(-np.inf), "low"))
    converted = check(model, x=X, m=np.array([True, True, False, True]))
    assert weights(converted) == {"low": HALF}


def test_small_weights_beside_large_ones_are_counted_and_keep_nothing_float32() -> None:
    weight = np.eye(4, dtype=np.float32)
    weight[0] = [1, 1e-12, -1e-9, 0]
    model = parsed("(float[1, 4] x) => (float[1, 4] y) { t = MatMul (x, w) y = Add (t, b) }")
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 2, 3, 1e-9], np.float32), "b"))
    converted, outcome = convert(model, Fp16Rule())
    assert (outcome.weights, outcome.clipped, outcome.flushed) == ((), 0, 3)
    assert weights(converted) == {"w": HALF, "b": HALF}


def test_weights_that_are_all_tiny_stay_float32() -> None:
    text = """(float[1, 2] x) => (float[1, 2] y) <
        float[2, 2] w = {1e-9, 2e-9, 3e-9, 4e-9}, float[1] up = {1e9}, float[2] b = {1, 2}
    > {
        s = Mul (x, b) t = MatMul (s, w) y = Mul (t, up)
    }"""
    assert staying(text) == ("w", "up")
    check(parsed(text), x=np.array([[1, -2]], np.float32))


def test_an_output_that_is_cast_is_clipped_and_counted() -> None:
    text = "(float[1, 2] x) => (float[1, 2] y, float[2] k) <float[2] k = {1e6, 1e-9}> { y = Relu (x) }"
    converted, outcome = convert(parsed(text), Fp16Rule(io="cast"))
    assert (outcome.clipped, outcome.flushed) == (1, 1)
    assert numpy_helper.to_array(converted.graph.initializer[0]).tolist() == [65504.0, 0.0]


# sizes, indices, positions

LOOPED = """g = Gather (sf, k) t = Cast <to = 7> (g) v = Loop (t, go, scalar) <
    body = b (int64 i, bool c, float p) => (bool d, float q) { d = Identity (c) q = Identity (p) }
> y = Mul (r, v)"""
RANGED = """g = ReduceMax <keepdims = 0> (sf) n = Range (zerof, g, scalar) w = Cast <to = 7> (n)
q = Gather <axis = 1> (r, w) y = Relu (q)"""
BRANCHED = """q = If (go) <
    then_branch = a () => (float[2] o) { o = Mul (sf, one) }, else_branch = b () => (float[2] o) { o = Identity (sf) }
> t = Cast <to = 7> (q) y = Expand (r, t)"""
SIZES = """(float[1, 2051] x, float[1] f) => (float[a, b] y) <
    float[2] one = {1, 1}, float[2] two = {2, 2}, int64[1] at = {1}, int64[1] zero = {0}, float[1] half = {0.5},
    float scalar = {1}, float zerof = {0}, bool go = {1}, int64 k = {1}
> { r = Relu (x) s = Shape (x) sf = Cast <to = 1> (s) """


@pytest.mark.parametrize(
    "body",
    [
        "m = Mul (sf, one) t = Cast <to = 7> (m) y = Expand (r, t)",
        "m = Div (sf, one) g = Floor (m) t = Cast <to = 7> (g) y = Reshape (r, t)",
        "g = Gather (sf, at) t = Cast <to = 7> (g) y = Slice (r, zero, t, at)",
        "m = Mul (sf, two) h = Div (m, two) c = Ceil (h) t = Cast <to = 6> (c) u = Cast <to = 7> (t) y = Expand (r, u)",
        "g = Gather (sf, at) i = Cast <to = 7> (g) c = Concat <axis = 0> (at, i) y = Reshape (r, c)",
        "m = Sqrt (sf) n = Mul (m, m) o = Round (n) t = Cast <to = 7> (o) z = ConstantOfShape (t) y = Add (r, z)",
        "m = ReduceProd <axes = [0]> (sf) t = Cast <to = 7> (m) c = Concat <axis = 0> (at, t) y = Reshape (r, c)",
        RANGED,
        LOOPED,
        "g = Gather (sf, k) c = Equal (g, near) d = Cast <to = 1> (c) y = Add (r, d)",
        BRANCHED,
        "i = Cast <to = 7> (sf) j = Cast <to = 1> (i) y, z = Split <axis = 1> (r, parts)",
    ],
)
@IOS
def test_sizes_that_are_computed_in_floats_are_exact(body: str, io: str) -> None:
    check_size(body, io)


@pytest.mark.parametrize(
    "body",
    [
        "t = Cast <to = 7> (f) c = Concat <axis = 0> (at, t) y = Reshape (r, c)",
        "m = Mul (f, half) d = Add (m, m) t = Cast <to = 7> (d) c = Concat <axis = 0> (at, t) y = Reshape (r, c)",
    ],
)
def test_sizes_that_are_given_as_floats_are_exact(body: str) -> None:
    check_size(body, "keep")


def check_size(body: str, io: str) -> None:
    more = "int64 k = {1}, float near = {2050}, int64[2] parts = {2050, 1}"
    x = np.random.default_rng(0).uniform(-1, 1, (1, 2051)).astype(np.float32)
    check(parsed(SIZES.replace("int64 k = {1}", more) + body + " }"), io, x=x, f=np.array([2051], np.float32))


@IOS
def test_positions_are_exact_where_sines_and_cosines_read_them(io: str) -> None:
    text = """(float[4, 2] x, int64[4, 1] at) => (float[4, 2] y) <float[1, 2] freq = {1, 0.01}> {
        f = Cast <to = 1> (at) a = MatMul (f, freq) s = Sin (a) c = Cos (a) t = Mul (x, s) u = Mul (x, c) y = Add (t, u)
    }"""
    at = np.array([[2049], [4097], [8191], [30001]])
    check(parsed(text), io, x=np.ones((4, 2), np.float32), at=at)


@IOS
def test_integers_on_their_way_to_nodes_that_stay_float32_are_not_rounded(io: str) -> None:
    text = """(int64[1, 4] ids, float[1, 4] x) => (float[1, 4] y, float[1, 4] z) {
        f = Cast <to = 1> (ids) m = Max (f, x) r = Relu (x) y = Sub (m, f) z = Add (r, x)
    }"""
    check(parsed(text), io, x=X, ids=np.array([[2049, 4097, 8191, 30001]]))


# precisions


def test_double_inputs_and_outputs_stay_double() -> None:
    text = """(double[1, 4] x) => (float[1, 4] y, double[1, 4] z) <float[4] w = {1, 2, 3, 4}> {
        f = Cast <to = 1> (x) y = Mul (f, w) z = Add (x, x)
    }"""
    assert weights(check(parsed(text), x=X.astype(np.float64))) == {"w": HALF}


def test_parts_in_bfloat16_and_float16_stay_what_they_are() -> None:
    text = """(float[1, 4] x) => (float[1, 4] y) <float16[4] h = {1, 2, 3, 4}, float[4] w = {1, 1, 1, 1}> {
        a = Cast <to = 10> (x) b = Mul (a, h) c = Cast <to = 1> (b) d = Mul (c, w)
        e = Cast <to = 16> (d) f = Cast <to = 1> (e) y = Add (f, w)
    }"""
    check(parsed(text), x=X)


def test_what_is_float16_already_is_not_cast_back() -> None:
    text = """(float16 start, float16 step, int64 n) => (float16[m] y) <bool go = {1}> {
        s = Cast <to = 1> (start) d = Cast <to = 1> (step) e = Max (s, d)
        v, all = Loop (n, go, s) <body = b (int64 i, bool c, prev) => (bool o, cur, each) {
            o = Identity (c) cur = Add (prev, d) each = Identity (prev)
        }>
        f = Max (all, e) y = Cast <to = 10> (f)
    }"""
    inputs = {"start": np.float16(1), "step": np.float16(2), "n": np.int64(3)}
    converted, _ = convert(parsed(text), Fp16Rule())
    made = computed(converted, {name: np.asarray(value) for name, value in inputs.items()}, optimized=False)
    assert made["y"].tolist() == [2, 3, 5]
    assert [node.op_type for node in converted.graph.node].count("Cast") == 4


@pytest.mark.parametrize(
    ("text", "operators"),
    [
        ("(float[1, 4] x) => (int64[2] y) { y = Shape (x) }", ("Shape",)),
        ("(float[1, 4] x) => (int64[1, 1] y) { y = ArgMax <axis = 1> (x) }", ("ArgMax",)),
        ("(float[1, 4] x) => (float[1, 4] y) { y = Max (x, x) }", ("Max",)),
        ("(int64[4] x) => (int64[4] y) { y = Add (x, x) }", ()),
        ("(int64[4] x) => (float[4] y) { y = Cast <to = 1> (x) }", ("Cast",)),
        ("(float[1, 4] x) => (float[1, 4] y) <float[1] e = {1e-12}> { t = Add (x, e) y = Log (t) }", ("Add", "Log")),
    ],
)
def test_nothing_to_convert(text: str, operators: tuple[str, ...], tmp_path: Path) -> None:
    model = parsed(text)
    assert convert(model, Fp16Rule())[1].operators == operators
    onnx.save(parsed(text), tmp_path / "m.onnx")
    twin = fp16_model(tmp_path / "m.onnx", Fp16Rule(), ArtifactCache(tmp_path / "cache", 2**30))
    assert (twin.facts["how"], twin.model.exists()) == ("nothing to convert", False)
    assert twin.facts["operators"] == list(operators)


def test_a_half_model_with_its_weights_in_constant_nodes_is_recognised(tmp_path: Path) -> None:
    text = """(float[1, 4] x) => (float[1, 4] y) {
        w = Constant <value: tensor = float16[4] {1, 2, 3, 4}> () h = Cast <to = 10> (x)
        m = Mul (h, w) y = Cast <to = 1> (m)
    }"""
    onnx.save(parsed(text), tmp_path / "m.onnx")
    twin = fp16_model(tmp_path / "m.onnx", Fp16Rule(), ArtifactCache(tmp_path / "cache", 2**30))
    assert twin.facts["how"] == "already fp16"


def test_functions_and_external_data_together(tmp_path: Path) -> None:
    text = "(float[1, 4] x) => (float[1, 400] y) { t = my.Scale (x) y = MatMul (t, w) }"
    model = parsed(text, domains=', "my" : 1', functions=FUNCTION)
    model.graph.initializer.append(numpy_helper.from_array(np.eye(4, 400, dtype=np.float32), "w"))
    onnx.save_model(model, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    twin = fp16_model(tmp_path / "m.onnx", Fp16Rule(), ArtifactCache(tmp_path / "cache", 2**30))
    session = onnxruntime.InferenceSession(twin.model, providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": X})[0][0, :5].tolist() == [0.25, -0.5, 0.0, 1.5, 0.0]
    assert (twin.folder / "model.onnx.data").stat().st_size == 4 * 400 * 2
