#!/usr/bin/env bash
# Runs targets one after another and prints a row of docs/measurements for each: fuzz/all.sh RUNS SECONDS TARGET...
# A target ends after RUNS inputs or SECONDS seconds, whichever is first; an input that takes TIMEOUT (10) seconds on the
# clock stops it, which on a busy machine is no finding. `cargo +nightly fuzz build -s none` goes before.
set -uo pipefail
cd "$(dirname "$0")/.."
runs=$1 seconds=$2
shift 2
[ -d /dev/shm ] && export TMPDIR=/dev/shm
echo "| target | inputs | seconds | inputs a second | most held, bytes | beside the base, times the input |"
echo "|---|---|---|---|---|---|"
for target in "$@"; do
    length=4096 dictionary=files seeds=fuzz/seeds/$target more=
    case $target in
        record | run_folder | manifest) length=16384 ;;
        tsv | csv | json_lines | json_document | answers) dictionary=json ;;
        gguf) length=131072 seeds=crates/adept-gguf/tests/fixtures ;;
        card) dictionary=json seeds=crates/adept-data/tasks ;;
        parquet) dictionary=json seeds=crates/adept-data/tests/fixtures/parquet more=-rss_limit_mb=6000 ;;
    esac
    mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
    log=fuzz/artifacts/$target.log
    "fuzz/target/x86_64-unknown-linux-gnu/release/$target" -runs="$runs" -max_total_time="$seconds" -max_len=$length \
        -timeout="${TIMEOUT:-10}" -dict="fuzz/$dictionary.dict" -artifact_prefix="fuzz/artifacts/$target/" $more \
        "fuzz/corpus/$target" "$seeds" >"$log" 2>&1 || echo "$target: stopped, see $log"
    awk -v target="$target" '
        /held [0-9]+ bytes for an input/ {
            for (word = 1; word < NF; word++) {
                if ($word == "held" && $(word + 1) + 0 > most) most = $(word + 1)
                if ($(word + 1) == "times" && $word + 0 > multiple) multiple = $word
            }
        }
        /^Done [0-9]+ runs in/ { inputs = $2; seconds = $5 }
        END { printf "| `%s` | %d | %d | %d | %s | %.1f |\n", target, inputs, seconds, inputs / (seconds ? seconds : 1), most, multiple }
    ' "$log"
done
