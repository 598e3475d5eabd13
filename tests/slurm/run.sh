#!/usr/bin/env bash
# `adept reproduce … --on slurm` on a real Slurm of one node. Usage, as root on Debian or Ubuntu:
#   tests/slurm/run.sh [PROGRAM]        (default: target/debug/adept)
# Installs slurm-wlm and munge if they are missing, starts them with a configuration of its own in a temporary folder,
# runs small grids of the project's sample, and stops and removes everything but the packages. Takes some minutes.
set -euo pipefail

root=$(cd -- "${BASH_SOURCE[0]%/*}/../.." && pwd)
program=$(realpath -- "${1:-$root/target/debug/adept}")
[[ -x $program ]] || { echo "no program $program: cargo build --package adept-cli" >&2; exit 2; }
[[ $EUID == 0 ]] || { echo "needs root, to install and start Slurm" >&2; exit 2; }

if ! command -v slurmctld slurmd sbatch munged > /dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -y -q --no-install-recommends slurm-wlm munge
fi

work=$(mktemp -d)
chmod 755 "$work"
pids=()
finish() {
    code=$?
    trap - EXIT
    if [[ -f $work/slurm.conf ]]; then
        scancel --user=root 2> /dev/null || true
        for _ in {1..20}; do [[ -n $(squeue --noheader 2> /dev/null) ]] || break; sleep 1; done
    fi
    for pid in "${pids[@]}"; do kill "$pid" 2> /dev/null || true; done
    wait || true
    if (( code != 0 )); then
        for log in "$work"/*.log "$work"/*/slurm/*/*.log; do
            [[ ! -f $log ]] || { echo "--- $log" >&2; tail -n 30 -- "$log" >&2; }
        done
        echo "FAILED" >&2
    fi
    rm -rf -- "$work"
    exit "$code"
}
trap finish EXIT

fail() { echo "error: $*" >&2; exit 1; }
say() { echo "== $* (after $SECONDS s)"; }

# --- Slurm

node=$(hostname -s)
mkdir -m 755 "$work/munge" "$work/state" "$work/spool"
head -c 1024 /dev/urandom > "$work/munge/key"
chmod 600 "$work/munge/key"
munged --foreground --force --socket="$work/munge/socket" --key-file="$work/munge/key" --pid-file="$work/munge/pid" \
    --log-file="$work/munge.log" --seed-file="$work/munge/seed" 2> /dev/null &
pids+=($!)

cat > "$work/slurm.conf" <<CONF
ClusterName=adept-test
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket,cred_expire=5
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobRequeue=1
KillWait=10
ReturnToService=2
SchedulerParameters=sched_interval=2
MpiDefault=none
NodeName=$node NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=4000
PartitionName=test Nodes=$node Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$work/slurm.conf
slurmctld -D 2> /dev/null &
pids+=($!)
slurmd -D -N "$node" 2> /dev/null &
pids+=($!)
for _ in {1..60}; do
    [[ $(sinfo --noheader --format=%t 2> /dev/null) == idle ]] && break
    sleep 1
done
[[ $(sinfo --noheader --format=%t) == idle ]] || fail "the node does not come up"
say "Slurm $(sbatch --version) is up"

# --- helpers

export ADEPT_DATASETS=$root/datasets ADEPT_CACHE=$work/cache
# A thread each: the runs with and without Slurm then take as long.
export RAYON_NUM_THREADS=1
cd -- "$work"
common=(--set train.batch_size=4 --set evaluation.validation_rows=20 --set checkpoint.every=5 --set evaluation.every=50)

grid() { "$program" reproduce glue "${common[@]}" "$@"; }
job_of() { sed -n 's/.* as job \([0-9]*\) (.*/\1/p' <<< "$1"; }

# Waits until no job is left.
drain() {
    for (( i = 0; i < ${1:-300}; i++ )); do
        [[ -n $(squeue --noheader) ]] || return 0
        sleep 1
    done
    squeue >&2
    fail "jobs are still in the queue"
}

checkpoints() { find "$1/checkpoint" -maxdepth 1 -name 'step-*' 2> /dev/null | sort; }

wait_for_checkpoint() {
    for _ in {1..600}; do
        [[ -z $(checkpoints "$1") ]] || return 0
        sleep 0.1
    done
    fail "no checkpoint in $1"
}

# A run's result without what depends on time and place.
result() {
    python3 - "$1/result.json" <<'PY'
import json, sys
result = json.load(open(sys.argv[1]))
for key in list(result):
    if "seconds" in key or "per_second" in key or "memory" in key:
        del result[key]
print(json.dumps(result, sort_keys=True, indent=1))
PY
}

# The same adapter, byte for byte, and the same result.
same() {
    local name
    for name in $(cd -- "$1/best" && ls); do
        cmp -- "$1/best/$name" "$2/best/$name" || fail "$name differs"
    done
    diff <(result "$1") <(result "$2") || fail "the results differ"
}

# --- a grid of four runs, one of which is requeued midway

steps=200
tasks=(--tasks rte,cola --methods pt,adept --steps "$steps")
began=$SECONDS
grid "${tasks[@]}" --out whole --quiet > whole.txt
took=$(( SECONDS - began ))
say "four runs of $steps steps without Slurm took $took s"

out="it's a grid"
cluster=(--on slurm --time 30 --array-limit 2 --setup 'echo "setup was run"' --sbatch=--comment=test)
grid "${tasks[@]}" --out "$out" "${cluster[@]}" --plan > plan.txt
grep -q '^#SBATCH --array=1-4%2$' plan.txt || fail "no array in the plan"
[[ ! -e $out ]] || fail "the plan wrote something"

if grid "${tasks[@]}" --out "$out" "${cluster[@]}" --partition none 2> refused.txt; then
    fail "an unknown partition was accepted"
else
    [[ $? == 1 ]] || fail "a refusal ends with another code than 1"
fi
grep -q 'sbatch refused.*invalid partition' refused.txt || fail "the refusal is not said: $(< refused.txt)"

told=$(grid "${tasks[@]}" --out "$out" "${cluster[@]}")
echo "$told"
array=$(job_of "$told")
again=$(grid "${tasks[@]}" --out "$out" "${cluster[@]}" 2> again.txt)
[[ $again == "nothing to submit: every other run is done" ]] || fail "runs in the queue are submitted twice: $again"
grep -q "in the queue already and not submitted again: . run.* (squeue --jobs=$array)" again.txt || fail "$(< again.txt)"

wait_for_checkpoint "$out/rte/pt/seed-42"
scontrol requeue "${array}_1"
say "element 1 is requeued after $(checkpoints "$out/rte/pt/seed-42" | tail -n 1 | xargs -d '\n' basename)"
[[ ! -e $out/rte/pt/seed-42/result.json ]] || fail "the run was done before it could be requeued"
drain
for run in {rte,cola}/{pt,adept}/seed-42; do
    same "whole/$run" "$out/$run"
done
grep -q 'resumed at step' "$out/slurm/1/1.log" || fail "element 1 did not resume"
grep -q 'setup was run' "$out/slurm/1/2.log" || fail "the setup was not run"
for name in report.html report.md results.json; do
    [[ -s $out/$name ]] || fail "no $name"
done
diff <(grep '^|' whole/report.md | head -n 8) <(grep '^|' "$out/report.md" | head -n 8) || fail "the tables differ"
[[ $(grid "${tasks[@]}" --out "$out" "${cluster[@]}" 2> /dev/null) == "nothing to submit: every run is done" ]] ||
    fail "something is left"
say "all four runs equal those without Slurm, and the report is there"

# --- starting over, two runs in one element

grid --tasks rte --methods pt,adept --steps "$steps" --out "$out" "${cluster[@]}" --overwrite --runs-per-job 2 2> over.txt
grep -q 'deleted the files of an earlier run' over.txt || fail "nothing was deleted: $(< over.txt)"
drain
[[ ! -e $out/slurm/2/2.log ]] || fail "two runs in one element make one element"
for run in rte/{pt,adept}/seed-42; do
    same "whole/$run" "$out/$run"
done
say "--overwrite ran two runs again, in one element"

# --- a time limit of a minute, with notice half a minute before it

# Steps that take about a minute and a half, by the last run of this kind.
long=$(python3 - "$out/rte/adept/seed-42/result.json" <<'PY'
import json, sys
result = json.load(open(sys.argv[1]))
print(int(90 * result["config"]["train"]["steps"] / max(result["training_seconds"], 0.1)))
PY
)
one=(--tasks rte --methods adept --steps "$long" --set evaluation.every="$long")
grid "${one[@]}" --out whole-long --quiet > /dev/null &
reference=$!
grid "${one[@]}" --out long --on slurm --time 1 --notice 30
wait "$reference"
drain 600
grep -q 'stopped by the time limit: requeued' long/slurm/1/1.log || fail "the time limit was not reached with $long steps"
same whole-long/rte/adept/seed-42 long/rte/adept/seed-42
grep -q '"unfinished": \[\]' long/results.json || fail "the report was written before the run was done"
say "$long steps over $(grep -c 'resumed at step' long/slurm/1/1.log) time limits equal those without"

# --- cancelled: stopped with a checkpoint, not queued again, reported

told=$(grid "${one[@]}" --out cancelled --on slurm --time 30)
wait_for_checkpoint cancelled/rte/adept/seed-42
scancel "$(job_of "$told")"
drain
grep -q 'saving a checkpoint' cancelled/slurm/1/1.log || fail "the program was not asked to stop"
[[ -n $(checkpoints cancelled/rte/adept/seed-42) && ! -e cancelled/rte/adept/seed-42/result.json ]] ||
    fail "a cancelled run has a result or no checkpoint"
grep -q 'rte/adept/seed-42' cancelled/report.md || fail "the unfinished run is not in the report"
say "a cancelled run is not queued again and is reported as unfinished"

echo "PASSED"
