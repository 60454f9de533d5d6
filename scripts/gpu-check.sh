#!/usr/bin/env bash
# Check a GPU machine that reaches no package registry: does the plugin measure where it says, on networks of real size?
#
#   scripts/gpu-check.sh [--bundle DIR] [--out DIR] [--work DIR] [STEP...]
#
# STEP is one of: environment export validate strict precision benchmark timing events turns tests; all, in this order,
# unless given.
#   environment  what the machine has, and which execution providers are usable
#   export       ResNet-50, BERT-base, ViT-B/16 and a detector with random weights, into WORK/models
#   validate     their outputs on CPU and CUDA, as given and in fp16
#   strict       the same on CUDA without TF32, against the tolerance of fp32
#   precision    how far CUDA is from its references, in multiples of what each precision does by itself on the CPU
#   benchmark    their latency on CPU and CUDA, as given and in fp16; every case of TensorRT must fail and say why
#   timing       every timing mode on CUDA, and four threads on one session
#   events       the timing mode bound against CUDA events around the same runs
#   turns        CUDA against itself, with and without TF32, and against the CPU, in pairs of processes that take turns
#   tests        the repository's own tests marked gpu
#
# --bundle  folder with ort.tar.xz (an unpacked onnxruntime-gpu) and wheels/ (default: .gpu in the repository)
# --out     where gpu-check.log and results.tar.gz go (default: $OUT, else result/gpu-check)
# --work    where the isolated Python, the networks and the results lie (default: ortperf-gpu-check in the temporary folder)
#
# Each step has a deadline and the next one runs whatever the last one did. Exit status 1 if any step failed.

# The steps are called by name:
# shellcheck disable=SC2329
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bundle=$root/.gpu
out=${OUT:-$root/result/gpu-check}
work=${TMPDIR:-/tmp}/ortperf-gpu-check
all_steps=(environment export validate strict precision benchmark timing events turns tests)
steps=()

usage() { sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

read_arguments() {
  while (($#)); do
    case $1 in
      -h | --help) usage; exit 0 ;;
      --bundle | --out | --work)
        (($# > 1)) || { echo "gpu-check.sh: $1 needs a folder" >&2; exit 2; }
        printf -v "${1#--}" '%s' "$2"
        shift
        ;;
      *)
        [[ " ${all_steps[*]} " == *" $1 "* ]] || {
          echo "gpu-check.sh: unknown step $1; choose from ${all_steps[*]}" >&2
          exit 2
        }
        steps+=("$1")
        ;;
    esac
    shift
  done
  ((${#steps[@]})) || steps=("${all_steps[@]}")
}

# What every call of pytest on the networks has. It runs beside them: the checkout's own pytest settings do not count.
ortperf() {
  local results=$1 commit labels=()
  shift
  # where the checkout came without .git, the variables of a CI system may tell
  commit=$(git -C "$root" rev-parse HEAD 2>/dev/null) && labels=(--ortperf-label="commit=$commit")
  touch "$work/models/pytest.ini"
  (cd "$work/models" && "$python" -m pytest -p no:cacheprovider --durations=5 --ortperf-timeout=60 \
    --ortperf-results="$work/results/$results" "${labels[@]}" "$@")
}

check_records() { "$python" "$root/scripts/check_records.py" "$work/results/$1" "${@:2}"; }

step_environment() {
  nvidia-smi || echo "nvidia-smi: exit status $?"
  "$python" - <<'PYTHON' || return 1
import sys
from importlib.metadata import distributions

import onnxruntime

print(sys.version)
words = ("cuda", "cudnn", "nvidia", "numpy", "onnx", "pandas", "pytest", "tensorrt", "torch", "transformers")
found = {item.name: item.version for item in distributions() if any(word in item.name.lower() for word in words)}
print(", ".join(f"{name} {version}" for name, version in sorted(found.items())))
print("compiled in:", ", ".join(onnxruntime.get_available_providers()))
PYTHON
  (cd "$root" && "$python" -m pytest -p no:cacheprovider --collect-only \
    --ortperf-mode=validate --ortperf-ep=auto) | grep -a ortperf:
}

step_export() {
  rm -rf "$work/models"
  "$python" -W ignore "$root/scripts/export_models.py" "$work/models"
}

step_validate() {
  ortperf validate --ortperf-mode=validate --ortperf-ep='cpu cuda' --ortperf-fp16
  local status=$?
  check_records validate --on cuda && return "$status"
}

step_strict() {
  ortperf strict --ortperf-mode=validate --ortperf-ep=cuda --ortperf-ep-option=cuda.use_tf32=0 \
    --ortperf-rtol=1e-3 --ortperf-atol=1e-4
  local status=$?
  check_records strict --on cuda && return "$status"
}

# The bound is as good as none: what is looked at is the multiple. A case out of tolerance has none, and is told.
step_precision() {
  local tf32 bound
  for tf32 in 0 1; do
    bound=(--ortperf-mode=validate --ortperf-ep=cuda --ortperf-ep-option="cuda.use_tf32=$tf32" --ortperf-fp16
      --ortperf-own-error=1e9 --ortperf-seeds=3 --tb=line)
    ortperf "precision-$tf32" "${bound[@]}"
    (cd "$root" && "$python" -m pytest -p no:cacheprovider "${bound[@]}" -m "not light" \
      --ortperf-results="$work/results/precision-$tf32")
    echo "use_tf32=$tf32"
    "$python" "$root/benchmarks/own_error.py" "$work/results/precision-$tf32" || return 1
  done
}

step_benchmark() {
  # pytest's own status is 1 here: each case of TensorRT fails; what the records say decides
  ortperf benchmark --ortperf-mode=benchmark --ortperf-ep='cpu cuda tensorrt' --ortperf-fp16 --ortperf-max-time=1
  check_records benchmark --on cpu --on cuda --refused tensorrt=libnvinfer
}

step_timing() {
  ortperf timing --ortperf-mode=benchmark --ortperf-ep=cuda --ortperf-fp16 --ortperf-max-time=2 \
    --ortperf-timing=bound,host,bound+copies,graph --ortperf-concurrency=4 --ortperf-operators=off
  local status=$?
  check_records timing --on cuda && return "$status"
}

step_events() {
  local results=()
  [[ -d $work/results/timing ]] && results=(--results "$work/results/timing")
  "$python" -W ignore "$root/scripts/cuda_event_check.py" "$work/models" --fp16 "${results[@]}"
}

# Exit status 1 is something SLOWER: an answer, but not between CUDA and itself.
step_turns() {
  local status
  pairs() {
    (cd "$work/models" && "$python" -m pytest_ortperf.cli ab --ortperf-ep=cuda --ortperf-threads=1 --pair-time=0.5 \
      -k 'resnet50 or detector' --results="$work/results/turns" "$@")
  }
  pairs --current-option=--ortperf-label=side=current || return 1
  pairs --current-option=--ortperf-ep-option=cuda.use_tf32=0 --confirm-pairs=6
  status=$?
  ((status <= 1)) || return "$status"
  ortperf turns --ortperf-mode=benchmark --ortperf-ep='cpu cuda' --ortperf-max-time=0.5 --ortperf-paired -k resnet50
}

step_tests() { (cd "$root" && "$python" -m pytest -p no:cacheprovider -m gpu tests/gpu --durations=10); }

deadline() {
  case $1 in
    environment) echo 60 ;;
    export) echo 120 ;;
    validate) echo 120 ;;
    strict) echo 60 ;;
    precision) echo 240 ;;
    benchmark) echo 240 ;;
    timing) echo 200 ;;
    events) echo 150 ;;
    turns) echo 360 ;;
    tests) echo 330 ;;
  esac
}

# A step runs in a process group of its own, so that at its deadline nothing of it is left on the GPU.
run_step() {
  local name=$1 start=$SECONDS status
  printf '\n===== %s =====\n' "$name"
  timeout --kill-after=5 "$(deadline "$name")" bash "${BASH_SOURCE[0]}" --inside "$name" "$work" "$python"
  status=$?
  ((status == 124 || status == 137)) && echo "$name: stopped at its deadline of $(deadline "$name") s"
  summary+=("$(printf '%-12s exit status %3d  %4d s' "$name" "$status" "$((SECONDS - start))")")
  return "$status"
}

main() {
  local name failed=0
  summary=()
  mkdir -p "$work/results"
  rm -rf "$work/results"/*
  local start=$SECONDS
  python=$(python3 "$root/scripts/make_gpu_python.py" "$bundle" "$work/python") || {
    echo "gpu-check.sh: no isolated Python; nothing was checked" >&2
    return 1
  }
  summary+=("$(printf '%-12s %16s  %4d s' python '' "$((SECONDS - start))")")
  for name in "${steps[@]}"; do
    run_step "$name" || failed=1
  done
  tar czf "$out/results.tar.gz" -C "$work" results
  printf '\n===== summary =====\n'
  printf '%s\n' "${summary[@]}"
  return "$failed"
}

# Nothing of the machine's own packages but what the isolated Python links, and no setting of a surrounding run.
unset PYTHONPATH PYTHONHOME PYTEST_ADDOPTS VIRTUAL_ENV
export PYTHONNOUSERSITE=1 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 COLUMNS=${COLUMNS:-140}

if [[ ${1:-} == --inside ]]; then
  work=$3 python=$4
  "step_$2"
  exit
fi
read_arguments "$@"
mkdir -p "$out"
out=$(cd "$out" && pwd)
main 2>&1 | tee "$out/gpu-check.log"
exit "${PIPESTATUS[0]}"
