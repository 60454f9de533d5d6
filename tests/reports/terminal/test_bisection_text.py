from __future__ import annotations

from pytest_ortperf.reports.terminal.bisection_text import bisection_lines, growth_lines
from reports.pictures.examples import make_bisection, make_inside, point


def test_the_answer_names_the_node_the_values_and_the_growth() -> None:
    assert bisection_lines(make_bisection(), 100) == [
        "bert::validate[cuda-fp16], test_data_set_0: 'logits': percent mismatch 20 % (allowed 0 %), worst at",
        "  (0, 1): 3 instead of 4",
        "40 nodes searched in 9 sessions (at most 15): CUDAExecutionProvider against CPU, graph optimisation",
        "  off",
        "",
        "cut after  node  operator             error  1e-8 to 1e0",
        "n4            4  Conv      good           0",
        "n11          11  Conv      good       2e-07  ###",
        "n12          12  Conv      BAD          0.5  ####################",
        "n20          20  Conv      BAD   not finite  !!!!!!!!!!!!!!!!!!!!",
        "n39          39  Conv      BAD         0.03  #################",
        "error: the largest over the root mean square of the reference, of all that crosses the cut",
        "",
        "goes wrong at n12 (Conv), node 12 of 40",
        "beside it: n11 (Cast)",
        "value       origin    type     shape   lowest  highest  reference    not finite",
        "v11    in   computed  float16  (1, 8)    -1.5        2",
        "w      in   constant  float16  (8, 8)   -0.25     0.25",
        "v12    out  computed  float16  (1, 8)      -3        4  -3 to 7e+04           1",
        "",
        "What this node makes is not right. By itself it is wrong too.",
        "",
        "a model of 1 node that fails, with its data: result/bisect_bert/smallest",
        "  'v12': 1 element is not finite",
    ]


def test_a_crash_has_no_errors_and_says_where() -> None:
    points = (
        point(3, None, within=True, tensor=None),
        point(12, None, within=False, tensor=None, problem="crashed with signal 11 (SIGSEGV)"),
    )
    found = make_bisection(symptom="crash", points=points, beside=(), inputs=(), outputs=(), part_folder=None)
    lines = bisection_lines(found, 100)
    assert lines[5:8] == [
        "cut after  node  operator        error  1e-9 to 1e0",
        "n3            3  Conv      good   runs",
        "n12          12  Conv      BAD   broke  !!!!!!!!!!!!!!!!!!!!",
    ]
    assert "crashes at n12 (Conv), node 12 of 40" in lines
    assert lines[-1] == "What this node makes is not right. By itself it is wrong too."


def test_no_cut_no_table_and_no_node_no_values() -> None:
    assert growth_lines((), 80) == []
    lines = bisection_lines(make_bisection(suspect=None, points=(), part_folder=None), 120)
    assert len([line for line in lines if line]) == 4


def test_lines_fit_the_width() -> None:
    assert max(map(len, bisection_lines(make_bisection(), 72))) <= 72


def test_nodes_inside_the_suspect_and_a_second_one_are_named() -> None:
    lines = bisection_lines(make_bisection(**make_inside()), 100)
    at = lines.index("goes wrong at n12 (Conv), node 12 of 40")
    assert lines[at + 1 : at + 4] == [
        "inside it: node 'n12' > body > node 'n2' > else_branch > node 'b_mul' (Mul)",
        "suspected too: n20 (Conv), node 20 of 40, where the error grows 31 times",
        "beside it: n11 (Cast)",
    ]
    assert lines[-2:] == [
        "the node inside alone: result/bisect_bert/inside",
        "the second suspect alone: result/bisect_bert/elsewhere",
    ]
    long = bisection_lines(make_bisection(**make_inside("b" * 60)), 72)
    assert max(map(len, long)) <= 72
