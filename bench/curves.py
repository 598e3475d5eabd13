"""Compares the learning curves of two grids of runs that differ in one setting, such as their precision.

    adept reproduce glue --tasks rte --methods pt,dept,adept,lora --seeds 42,43,44 --steps 300 --out runs/f32
    adept reproduce glue --tasks rte --methods pt,dept,adept,lora --seeds 42,43,44 --steps 300 --set train.precision=bf16 --out runs/bf16
    python bench/curves.py runs/f32 runs/bf16

For every task and method it prints, over windows of 50 steps: the mean loss of the last 100 steps in both grids, the largest
difference between the two means over seeds in any window, and the spread of the first grid's seeds there (largest minus
smallest). A setting that changes training less than a seed does has a difference below the spread. Then the best validation
scores, means over seeds. It needs nothing but Python.
"""

import argparse
import json
import pathlib
import statistics
import sys

WINDOW = 50


def record(path):
    """Losses by step and the best score of a run."""
    losses, best = {}, None
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        if entry["event"] == "step":
            losses[entry["step"]] = entry["loss"]
        if entry["event"] == "evaluation":
            score = next(iter(entry["scores"].values()))
            best = score if best is None else max(best, score)
    return losses, best


def windows(losses):
    """Mean loss of each window; an entry is the mean since the one before, and entries are evenly apart."""
    found = {}
    for step, loss in losses.items():
        found.setdefault((step - 1) // WINDOW, []).append(loss)
    return [statistics.mean(found[window]) for window in sorted(found)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=pathlib.Path, help="folder of a grid, whose seeds give the spread")
    parser.add_argument("second", type=pathlib.Path, help="the same grid with another setting")
    options = parser.parse_args()
    runs = {}
    for side, folder in enumerate((options.first, options.second)):
        for path in sorted(folder.glob("*/*/seed-*/record.jsonl")):
            task, method, seed = path.parts[-4:-1]
            runs.setdefault((task, method), [{}, {}])[side][seed] = record(path)
    if not runs:
        sys.exit(f"{options.first}: no runs (folders task/method/seed-n with a record.jsonl)")
    print("| task, method | seeds | last loss | of the second | largest difference | spread of seeds there | score | of the second |")
    print("|---|---|---|---|---|---|---|---|")
    for (task, method), sides in runs.items():
        seeds = sorted(sides[0].keys() & sides[1].keys())
        if not seeds:
            print(f"| {task}, {method} | in one grid alone | | | | | | |")
            continue
        curves = [[windows(side[seed][0]) for seed in seeds] for side in sides]
        means = [[statistics.mean(values) for values in zip(*curve)] for curve in curves]
        apart = [abs(one - other) for one, other in zip(*means)]
        place = max(range(len(apart)), key=apart.__getitem__)
        there = [curve[place] for curve in curves[0]]
        last = [statistics.mean(mean[-100 // WINDOW :]) for mean in means]
        scores = [statistics.mean(side[seed][1] or 0.0 for seed in seeds) for side in sides]
        print(
            f"| {task}, {method} | {len(seeds)} | {last[0]:.4f} | {last[1]:.4f} | {apart[place]:.4f} | {max(there) - min(there):.4f} "
            f"| {scores[0]:.3f} | {scores[1]:.3f} |"
        )


if __name__ == "__main__":
    main()
