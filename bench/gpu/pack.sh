#!/usr/bin/env bash
# Builds adept for GPUs and packs it into bench/gpu/bin, for run.sh on a machine where nothing can be compiled:
#
#     bench/gpu/pack.sh [NAME...]
#
# NAME is one of those below; all of them without one. Each build compiles adept-cli anew, for its backend alone: minutes.
# CARGO says how cargo is called.
set -euo pipefail
cd "$(dirname "$0")/../.."
declare -A features=([cuda]=cuda [cuda-unfused]=cuda-unfused
    [vulkan]=wgpu,vulkan [vulkan-unfused]=wgpu-unfused,vulkan-unfused)
[ $# -gt 0 ] || set -- cuda vulkan cuda-unfused vulkan-unfused
target=${CARGO_TARGET_DIR:-target}
mkdir -p bench/gpu/bin
for name in "$@"; do
    [ -n "${features[$name]:-}" ] || { echo "$0: no build is called $name; there are: ${!features[*]}" >&2; exit 2; }
    ${CARGO:-cargo} build --release --locked --package adept-cli --no-default-features --features "${features[$name]}"
    packed=bench/gpu/bin/adept-$name
    cp "$target/release/adept" "$packed"
    strip "$packed"
    xz --force -6 --threads=0 "$packed"
    git describe --always --dirty >"$packed.version"
    ls -l "$packed.xz"
done
