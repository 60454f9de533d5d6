"""Two sides' verdicts on the same cases: what differs, and which of that is explained."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ACCURACY = "result accuracy issue"

_OFFICIAL_ERROR = re.compile(r"^[\w.]*onnxruntime_pybind11_state\.(\w+): ")
_OUR_ERROR = re.compile(r"(?:no session on \w+|the run failed): (\w+): ")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one side says of one case."""

    outcome: str
    reason: str
    """Empty if it passed."""

    kind: str = ""
    """The plugin's class of failure."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A known difference: the official runner fails for a reason of its own, the plugin passes."""

    name: str
    pattern: str
    """Of the official runner's reason."""

    explanation: str

    def explains(self, official: Verdict, ours: Verdict) -> bool:
        """Whether this is such a difference."""
        pair = (official.outcome, ours.outcome)
        return pair == ("failed", "passed") and re.search(self.pattern, official.reason) is not None


RULES = (
    Rule(
        "input of a type that numpy lacks",
        r"Numpy_type 2\d\d can't be converted to MLDataType",
        "ONNX Runtime's `run` takes no arrays of bfloat16, float8, int4 and int2; the plugin feeds them as OrtValues",
    ),
    Rule(
        "output of a type that numpy lacks",
        r"No corresponding Numpy type for Tensor Type",
        "`run` returns no arrays of these types; the plugin reads OrtValues back from their memory",
    ),
    Rule(
        "float8e4m3fn as uint8",
        r"ACTUAL: dtype\('uint8'\)\s+DESIRED: dtype\(float8_e4m3fn\)",
        "`run` returns float8e4m3fn as uint8, to the official runner a wrong type; the plugin reads the OrtValue",
    ),
    Rule(
        "sequence of scalars",
        r"Unable to compare expected type",
        "the official runner takes the length of a tensor of rank 0 inside a sequence, which has none",
    ),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """A case that the sides disagree on."""

    case: str
    official: Verdict
    ours: Verdict
    rule: Rule | None
    """`None` if nothing explains it."""


def compare(official: Mapping[str, Verdict], ours: Mapping[str, Verdict]) -> list[Difference]:
    """Return each case with another outcome, with a failure of another cause, or that one side lacks."""
    absent = Verdict("absent", "")
    found = []
    for case in sorted({*official, *ours}):
        pair = official.get(case, absent), ours.get(case, absent)
        if not same(*pair):
            rule = next((rule for rule in RULES if rule.explains(*pair)), None)
            found.append(Difference(case, *pair, rule))
    return found


def same(official: Verdict, ours: Verdict) -> bool:
    """Whether two verdicts agree: the outcome, and of failures ONNX Runtime's class of error or that outputs differ."""
    if official.outcome != ours.outcome:
        return False
    if official.outcome != "failed":
        return official.outcome != "absent"
    theirs, own = _OFFICIAL_ERROR.search(official.reason), _OUR_ERROR.match(ours.reason)
    if theirs and own:
        return theirs[1] == own[1]
    return official.reason.startswith("AssertionError") and ours.kind == ACCURACY


def counts(verdicts: Mapping[str, Verdict]) -> str:
    """Return how many passed, failed and so on, as a sentence."""
    found = Counter(verdict.outcome for verdict in verdicts.values())
    return ", ".join(f"{number} {outcome}" for outcome, number in found.most_common())


def unexplained(differences: Sequence[Difference]) -> list[Difference]:
    """Return the differences that no rule explains."""
    return [difference for difference in differences if difference.rule is None]


def listing(differences: Sequence[Difference]) -> str:
    """Return every difference, those of one rule together, with the reason on both sides."""
    parts = []
    for rule in (*RULES, None):
        members = [difference for difference in differences if difference.rule is rule]
        if members:
            title = f"{rule.name} ({rule.explanation})" if rule else "NOT EXPLAINED"
            parts += [f"### {title}: {len(members)}", "\n".join(map(_line, members))]
    return "\n\n".join(parts)


def _line(difference: Difference) -> str:
    sides = (("official", difference.official), ("plugin", difference.ours))
    return f"- {difference.case}: " + "; ".join(f"{name} {_text(verdict)}" for name, verdict in sides)


def _text(verdict: Verdict) -> str:
    reason = " ".join(verdict.reason.split())
    return f"{verdict.outcome} ({reason[:160]})" if reason else verdict.outcome
