#!/usr/bin/env bash
# Checks and times adept on this machine's GPU, within nine minutes:
#
#     bench/gpu/run.sh [OUT]
#
# Needs what pack.sh made (bench/gpu/bin) and this repository; PyTorch is timed beside it where python3 has torch and
# transformers. OUT (gpu-results) gets results.json, results.md and a log of every step; both files are written after each
# step, so that they hold what was reached when something ends the run. Each step has a limit of its own and is given up
# beyond it; a step for which no time is left is `not reached`.
#
# The environment narrows it down: BUILDS, GOLDENS, SIZES, KINDS (space-separated), STEPS and WARMUP (repetitions), BATCH,
# TOKENS, PEER (PyTorch's variants, empty for none), LIMIT (seconds in all), VERIFY_LIMIT and BENCH_LIMIT (of a step),
# VERIFY_SHARE (of all checks of one build).
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=${1:-gpu-results}
began=$SECONDS

BUILDS=${BUILDS-"cuda vulkan cuda-unfused vulkan-unfused"}
GOLDENS=${GOLDENS-"t5_v1_0 t5_v1_1 codegen llama llama_tied"}
SIZES=${SIZES-"t5-small t5-base codegen-350m llama-3.2-1b"}
KINDS=${KINDS-"step infer"}
PEER=${PEER-"float32 bfloat16"}
STEPS=${STEPS-10} WARMUP=${WARMUP-3} BATCH=${BATCH-32} TOKENS=${TOKENS-64}
LIMIT=${LIMIT-520} VERIFY_LIMIT=${VERIFY_LIMIT-60} BENCH_LIMIT=${BENCH_LIMIT-60} VERIFY_SHARE=${VERIFY_SHARE-60}

rm -rf "$out/steps"
mkdir -p "$out/steps" || exit 2
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: >"$work/lines"
phase=$LIMIT # Seconds after the start at which the present group of steps ends.

# Programs run in a folder of their own: what one has compiled and tuned for this GPU serves the next ones.
mkdir "$work/run"
printf '[autotune]\ncache = "local"\n\n[compilation]\ncache = "local"\n' >"$work/run/cubecl.toml"

# --- what was reached ---------------------------------------------------------------------------------------------------

# The median in milliseconds of one operation in a report of `bench`, a dash where there is none.
median() {
    local found
    found=$(grep -o "\"$2\": *{\"median_ms\": *[0-9.e+-]*" "$1" 2>/dev/null | head -1 | grep -o '[0-9.e+-]*$')
    if [ -n "$found" ]; then printf '%.2f' "$found"; else printf -- -; fi
}

# Writes results.json and results.md from the lines of the steps: state, seconds, kind, what, whose, report.
results() {
    local state seconds kind what whose report first=1
    {
        printf '{"environment": %s,\n "seconds": %d,\n "steps": [' "$(quoted <"$out/environment.txt")" $((SECONDS - began))
        while IFS='|' read -r state seconds kind what whose report; do
            [ $first = 1 ] || printf ','
            first=0
            printf '\n  {"kind": "%s", "case": "%s", "program": "%s", "state": "%s", "seconds": %s, "report": ' \
                "$kind" "$what" "$whose" "$state" "$seconds"
            if [ "$(head -c 1 "$report" 2>/dev/null)" = "{" ]; then cat "$report"; else printf null; fi
            printf '}'
        done <"$work/lines"
        printf '\n ]}\n'
    } >"$out/results.json"
    {
        printf '## Checked against PyTorch\n\n| golden folder | program | result | seconds |\n|---|---|---|---|\n'
        while IFS='|' read -r state seconds kind what whose report; do
            [ "$kind" = verify ] && printf '| `%s` | %s | %s | %s |\n' "$what" "$whose" "$state" "$seconds"
        done <"$work/lines"
        printf '\n## Times\n\nMilliseconds, median of %d repetitions after %d; batch %d, width %d.\n\n' \
            "$STEPS" "$WARMUP" "$BATCH" "$TOKENS"
        printf '| size | program | step | greedy | reread | score | state | seconds |\n|---|---|---|---|---|---|---|---|\n'
        while IFS='|' read -r state seconds kind what whose report; do
            [ "$kind" = verify ] && continue
            printf '| %s | %s | %s | %s | %s | %s | %s %s | %s |\n' "$what" "$whose" "$(median "$report" step)" \
                "$(median "$report" greedy)" "$(median "$report" reread)" "$(median "$report" score)" "$kind" "$state" "$seconds"
        done <"$work/lines"
        printf '\n## Machine\n\n```\n'
        cat "$out/environment.txt"
        printf '```\n'
    } >"$out/results.md"
}

# A text as a JSON string.
quoted() {
    printf '"'
    tr -d '\r' | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/\t/\\t/g' | tr -d '\000-\010\013-\037' | sed -e ':a;N;$!ba;s/\n/\\n/g' | tr -d '\n'
    printf '"'
}

# step LIMIT KIND CASE PROGRAM COMMAND...: runs the command, its JSON report on standard output.
step() {
    local limit=$1 kind=$2 what=$3 whose=$4 left state at=$SECONDS
    shift 4
    local name="$kind-$what-${whose// /-}"
    local report=$out/steps/$name.json log=$out/steps/$name.log
    left=$(((phase < LIMIT ? phase : LIMIT) - (SECONDS - began)))
    if [ $left -lt 5 ]; then
        state="not reached"
    else
        (cd "$work/run" && exec timeout --kill-after=2 $((limit < left ? limit : left)) "$@") >"$report" 2>"$log"
        case $? in
            0) state=done ;;
            1) state=failed ;;
            124 | 137) state="out of time" ;;
            *) state="error" ;;
        esac
        [ "$kind" = verify ] && [ "$state" = done ] && state=passed
    fi
    printf '%s|%d|%s|%s|%s|%s\n' "$state" $((SECONDS - at)) "$kind" "$what" "$whose" "$report" >>"$work/lines"
    printf '%4d s  %-12s %s %s, %s\n' $((SECONDS - began)) "$state" "$kind" "$what" "$whose"
    if [ "$state" = error ] || [ "$state" = failed ]; then tail -n 3 "$log"; fi
    results
}

# --- what is here -------------------------------------------------------------------------------------------------------

first_lines() { "$@" 2>&1 | head -n 20; }
{
    uname -sr
    command -v nvidia-smi >/dev/null && first_lines nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv
    command -v vulkaninfo >/dev/null && timeout 10 vulkaninfo --summary 2>/dev/null | grep -E 'deviceName|driverInfo|apiVersion'
    timeout 60 python3 -c 'import torch, transformers; print("torch", torch.__version__, "transformers", transformers.__version__, "cuda", torch.cuda.is_available())' 2>/dev/null ||
        echo "no torch with transformers"
} >"$out/environment.txt"
cat "$out/environment.txt"

declare -A program
for build in $BUILDS; do
    for packed in "$here/bin/adept-$build.xz" "$here/bin/adept-$build"; do
        [ -f "$packed" ] || continue
        case $packed in
            *.xz) xz -dc "$packed" >"$work/adept-$build" || python3 -c 'import lzma, sys; sys.stdout.buffer.write(lzma.open(sys.argv[1]).read())' "$packed" >"$work/adept-$build" ;;
            *) cp "$packed" "$work/adept-$build" ;;
        esac
        chmod +x "$work/adept-$build"
        program[$build]=$work/adept-$build
        echo "$build: $("$work/adept-$build" --version) $(cat "$here/bin/adept-$build.version" 2>/dev/null)" | tee -a "$out/environment.txt"
        break
    done
    [ -n "${program[$build]:-}" ] || echo "$build: not packed" | tee -a "$out/environment.txt"
done
[ ${#program[@]} -gt 0 ] || { echo "$0: no program in $here/bin: run pack.sh first" >&2; exit 2; }
torch=
python3 -c 'import torch, transformers' 2>/dev/null && torch=python3
device=cpu
[ -n "$torch" ] && python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' && device=cuda

# --- the steps: what is most wanted goes first ----------------------------------------------------------------------------

# Every kernel of the golden models is compiled for a handful of numbers: little is tuned.
verify() {
    local build=$1 golden folder
    [ -n "${program[$build]:-}" ] || return
    phase=$((SECONDS - began + VERIFY_SHARE))
    for golden in $GOLDENS; do
        folder=$root/tests/goldens/$golden
        step "$VERIFY_LIMIT" verify "$golden" "$build" env CUBECL_AUTOTUNE_LEVEL=minimal \
            "${program[$build]}" verify --backbone "$folder" --golden "$folder" --device "${build%-unfused}" --json
    done
    phase=$LIMIT
}
bench() {
    local build=$1 size=$2 kind=$3
    [ -n "${program[$build]:-}" ] || return
    step "$BENCH_LIMIT" "$kind" "$size" "$build" "${program[$build]}" bench "$kind" --size "$size" --device "${build%-unfused}" \
        --batch "$BATCH" --tokens "$TOKENS" --steps "$STEPS" --warmup "$WARMUP" --json
}
peer() {
    local type=$1 size=$2 kind=$3
    [ -n "$torch" ] || return
    local options=(--dtype "$type" --device "$device") name="PyTorch $type"
    # Training steps are compiled; writing is not, whose shapes grow with every token.
    if [ "$kind" = step ] && [ "$type" = bfloat16 ]; then
        options+=(--compile)
        name+=" compiled"
    fi
    step "$BENCH_LIMIT" "$kind" "$size" "$name" "$torch" "$root/bench/peer.py" "$kind" --size "$size" "${options[@]}" \
        --batch "$BATCH" --tokens "$TOKENS" --steps "$STEPS" --warmup "$WARMUP" --json
}
first=${BUILDS%% *}
for build in $BUILDS; do verify "$build"; done
for build in $BUILDS; do
    for size in $SIZES; do
        for kind in $KINDS; do
            bench "$build" "$size" "$kind"
            # PyTorch does not know our builds: once is enough, beside the first.
            if [ "$build" = "$first" ]; then
                for type in $PEER; do peer "$type" "$size" "$kind"; done
            fi
        done
    done
done
results
echo "$((SECONDS - began)) s; $out/results.md, $out/results.json"
! grep -v '^passed' "$work/lines" | grep -q '|verify|'
