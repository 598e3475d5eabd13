"""Runs `adept bench` and bench/peer.py in turns and prints the ratio of their times and their peak memory.

    python bench/compare.py --adept target/release/adept --size t5-small t5-base --tokens 64 256

ratio to PyTorch = PyTorch's time / adept's time: 1 is equal, above 1 adept is faster, below 1 PyTorch is.

Each case runs `--rounds` times on each side, adept first in even rounds and PyTorch first in odd ones, so that a machine
that slows down hurts both; every run is a process of its own. A run gives the median of its steps; the table shows the
median over the rounds, and the smallest and largest ratio of a round. On CPU both use the same number of threads.

Of a step it also says how many GFLOP/s each side computes in products of visible slots with the backbone's matrices (as
the model is defined, so that what one side leaves out counts as done), and which part that is of the most that PyTorch's
largest products reach here in the same type and with as many threads, measured before and after. `--markdown FILE`
writes the table with the machine, the versions and the command, as in docs/measurements.
"""

import argparse
import json
import os
import pathlib
import platform
import shlex
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
FIGURES = {"step": ["step"], "infer": ["greedy", "reread", "score"]}
DTYPES = {"f32": "float32", "bf16": "bfloat16"}


def run(command, environment):
    """The JSON report of one process."""
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nexit code {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


PEAK = """
import json, sys, time, torch
torch.set_num_threads(int(sys.argv[1]))
a, b = (torch.randn(2048, 2048).to(getattr(torch, sys.argv[2])) for _ in range(2))
best = 0
for _ in range(12):
    start = time.perf_counter()
    a @ b
    best = max(best, 2 * 2048**3 / (time.perf_counter() - start))
print(json.dumps({"flops": best, "torch": torch.__version__}))
"""


def peak(options, threads, precision, environment):
    """Operations a second in a product of two 2048 x 2048 matrices, the best of twelve, and PyTorch's version."""
    return run([options.python, "-c", PEAK, str(threads), DTYPES[precision]], environment)


def processor():
    """The processor's name and what it has for small types."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    known = [name for name in ("avx512f", "avx512_bf16", "amx_bf16") if name in fields.get("flags", "").split()]
    return f"{fields.get('model name', 'unknown processor')} ({', '.join(known) or 'no AVX-512'})"


def markdown(options, threads, versions, rows):
    """The table as a document."""
    command = " ".join(shlex.quote(part) for part in ["bench/compare.py", *sys.argv[1:]])
    lines = [
        f"{processor()}, {threads} threads on both sides; {versions}.",
        "",
        "```sh",
        f"python {command}",
        "```",
        "",
        "| case | adept, ms | PyTorch, ms | ratio | of rounds | adept, MiB | PyTorch, MiB | adept, GFLOP/s (of peak) | PyTorch | padding |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        share = "{ours:.0f} ({ours_share:.0%}) | {theirs:.0f} ({theirs_share:.0%}) | {padding:.0%}" if "ours" in row else " | | "
        line = "| {name} | {adept:.1f} | {torch:.1f} | {ratio:.2f} | {low:.2f}-{high:.2f} | {mib:.0f} | {torch_mib:.0f} | " + share
        lines.append(line.format(**row) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adept", type=pathlib.Path, default=HERE.parent / "target/release/adept", help="the program")
    parser.add_argument("--python", default=sys.executable, help="an interpreter with bench/requirements.txt")
    parser.add_argument("--kind", nargs="+", choices=list(FIGURES), default=list(FIGURES))
    parser.add_argument("--size", nargs="+", default=["t5-small"])
    parser.add_argument("--method", nargs="+", default=["adept"])
    parser.add_argument("--tokens", nargs="+", type=int, default=[64, 256])
    parser.add_argument("--batch", nargs="+", type=int, default=[32])
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=list(DTYPES),
        default=["f32"],
        help="of the frozen weights' products; PyTorch's whole model is in that type",
    )
    parser.add_argument("--checkpoint", choices=list(DTYPES), help="as in `adept bench step --help`, of adept's side alone")
    for name in ["target-tokens", "virtual-tokens", "rank", "new-tokens"]:
        parser.add_argument(f"--{name}", type=int, help="as in `adept bench step --help`, where its default stands")
    parser.add_argument("--peft", action="store_true", help="PyTorch's side as in `bench/peer.py --peft`")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5, help="timed steps or batches a run")
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=0, help="of both sides; 0: as many as the process may use")
    parser.add_argument("--device", default="flex", help="adept's device")
    parser.add_argument("--markdown", type=pathlib.Path, help="also write the table to this file")
    parser.add_argument("--json", type=pathlib.Path, help="also write every report to this file")
    options = parser.parse_args()

    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = options.threads or available
    # burn's CPU backend takes its threads from rayon (and matmul's) pool; PyTorch is told by an option.
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    cases, log, rows = [], [], []
    for kind in options.kind:
        for size in options.size:
            for method in options.method:
                for tokens in options.tokens:
                    for batch in options.batch:
                        cases.extend((kind, size, method, tokens, batch, precision) for precision in options.precision)
    peaks = {precision: peak(options, threads, precision, environment) for precision in options.precision}
    print(f"{threads} threads, {options.rounds} rounds of {options.steps} after {options.warmup}")
    print("ratio to PyTorch = PyTorch's time / adept's time: above 1 adept is faster\n")
    head = ("case", "adept ms", "PyTorch ms", "ratio", "of rounds", "adept MiB", "PyTorch MiB")
    print(f"{head[0]:<46} {head[1]:>9} {head[2]:>10} {head[3]:>6} {head[4]:>13} {head[5]:>10} {head[6]:>12}  GFLOP/s", flush=True)
    for kind, size, method, tokens, batch, precision in cases:
        arguments = [kind, "--size", size, "--method", method, "--tokens", str(tokens), "--batch", str(batch)]
        arguments += ["--steps", str(options.steps), "--warmup", str(options.warmup), "--json"]
        for name in ["target_tokens", "virtual_tokens", "rank", "new_tokens"]:
            if getattr(options, name) is not None:
                arguments += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
        ours = [options.adept, "bench", *arguments, "--device", options.device, "--precision", precision]
        ours += ["--checkpoint", options.checkpoint] if options.checkpoint else []
        peer = [options.python, HERE / "peer.py", *arguments, "--threads", str(threads), "--dtype", DTYPES[precision]]
        peer += ["--peft"] if options.peft else []
        reports = {"adept": [], "torch": []}
        for turn in range(options.rounds):
            order = [("adept", ours), ("torch", peer)]
            for side, command in order if turn % 2 == 0 else reversed(order):
                report = run(command, environment)
                reports[side].append(report)
                log.append({"side": side, "round": turn, "report": report})
        sizes = {(r["backbone_parameters"], r["trainable_parameters"]) for side in reports.values() for r in side}
        if len(sizes) != 1:
            sys.exit(f"the two sides run different models: (backbone, trainable) parameters are {sorted(sizes)}")
        memory = {s: statistics.median(r["peak_rss_bytes"] or 0 for r in rs) / 2**20 for s, rs in reports.items()}
        for figure in FIGURES[kind]:
            if not all(r.get(figure) for rs in reports.values() for r in rs):
                continue  # T5s score labels, decoders alone read a prompt again.
            times = {side: [r[figure]["median_ms"] for r in rs] for side, rs in reports.items()}
            median = {side: statistics.median(values) for side, values in times.items()}
            ratios = [torch / adept for adept, torch in zip(times["adept"], times["torch"])]
            row = {
                "name": f"{figure} {size} {method} {batch} x {tokens} {precision}",
                "adept": median["adept"],
                "torch": median["torch"],
                "ratio": median["torch"] / median["adept"],
                "low": min(ratios),
                "high": max(ratios),
                "mib": memory["adept"],
                "torch_mib": memory["torch"],
            }
            products, rate = reports["adept"][0].get("products"), ""
            if figure == "step" and products:
                most = peaks[precision]["flops"]
                ours, theirs = (products["flop"] / median[side] * 1e3 for side in ("adept", "torch"))
                row |= {"ours": ours / 1e9, "theirs": theirs / 1e9, "padding": products["padding"]}
                row |= {"ours_share": ours / most, "theirs_share": theirs / most}
                rate = f"{ours / 1e9:.0f} ({ours / most:.0%}), {theirs / 1e9:.0f} ({theirs / most:.0%})"
            rows.append(row)
            print(
                f"{f'{figure} {size} {method} {batch} x {tokens} {precision}':<46} {median['adept']:>9.1f} {median['torch']:>10.1f} "
                f"{median['torch'] / median['adept']:>6.2f} {f'{min(ratios):.2f}-{max(ratios):.2f}':>13} "
                f"{memory['adept']:>10.0f} {memory['torch']:>12.0f}  {rate}",
                flush=True,
            )
    after = {precision: peak(options, threads, precision, environment) for precision in options.precision}
    told = [f"{p} {peaks[p]['flops'] / 1e9:.0f} and {after[p]['flops'] / 1e9:.0f} GFLOP/s" for p in options.precision]
    told = f"PyTorch's largest products before and after: {', '.join(told)}"
    print(f"\n{told}")
    if options.markdown:
        versions = f"torch {peaks[options.precision[0]]['torch']}; {told}"
        options.markdown.write_text(markdown(options, threads, versions, rows))
    if options.json:
        options.json.write_text(json.dumps(log, indent=1) + "\n")


if __name__ == "__main__":
    main()
