"""Reference values for adept-data's metrics, from scikit-learn and scipy.

Writes crates/adept-data/tests/fixtures/metrics.json. Every case is generated here; the wrappers around the libraries
(invalid predictions, undefined correlations) follow ../shared/spec/tasks.md, "Metrics". Run from the repository root:

    python tests/generators/metrics_reference.py

Written with scikit-learn 1.9.1, scipy 1.17.1, numpy's PCG64 seeded by 7; the scores of the cases "not a number" with
`statistics.correlation` of Python 3.11, which agrees with scipy on all other cases to 1e-9.
"""

import json
import math
import pathlib
import warnings

import numpy
import scipy.stats
import sklearn.metrics

warnings.filterwarnings("ignore")
OUT = pathlib.Path("crates/adept-data/tests/fixtures/metrics.json")
random = numpy.random.default_rng(7)


def f1(predictions, targets):
    repaired = [p if p in ("0", "1") else ("0" if t == "1" else "1") for p, t in zip(predictions, targets)]
    return 100 * sklearn.metrics.f1_score([int(t) for t in targets], [int(p) for p in repaired], zero_division=0)


def f1_multiclass(predictions, targets):
    return 100 * sklearn.metrics.fbeta_score(
        targets, predictions, beta=1, labels=["0", "1", "2"], average="macro", zero_division=0
    )


def number(text):
    # Words such as nan and inf, and numbers out of range, do not count as numbers here.
    try:
        return float(text) if math.isfinite(float(text)) else -1.0
    except ValueError:
        return -1.0


def correlation(function):
    def value(predictions, targets):
        result = function([number(p) for p in predictions], [number(t) for t in targets])[0]
        return 0.0 if math.isnan(result) else 100 * float(result)

    return value


METRICS = {
    "accuracy": lambda p, t: 100 * sklearn.metrics.accuracy_score(t, p),
    "f1": f1,
    "f1_multiclass": f1_multiclass,
    "matthews_correlation": lambda p, t: 100 * sklearn.metrics.matthews_corrcoef(t, p),
    "pearson": correlation(scipy.stats.pearsonr),
    "spearmanr": correlation(scipy.stats.spearmanr),
}
# Possible output of a broken model.
INVALID = ["", "2", "10", "entailment", "0.0", "-1", "1 1", "nein"]


def draw(values, n):
    return [str(v) for v in random.choice(values, n)]


def spoil(predictions, share):
    return [str(random.choice(INVALID)) if random.random() < share else p for p in predictions]


def label_cases():
    for n in (1, 2, 3, 10, 50, 333):
        yield "random", draw(["0", "1"], n), draw(["0", "1"], n)
        yield "three classes", draw(["0", "1", "2"], n), draw(["0", "1", "2"], n)
        yield "invalid", spoil(draw(["0", "1"], n), 0.3), draw(["0", "1"], n)
        yield "all invalid", [""] * n, draw(["0", "1"], n)
        yield "one invalid class", ["2"] * n, draw(["0", "1"], n)
        yield "constant prediction 0", ["0"] * n, draw(["0", "1"], n)
        yield "constant prediction 1", ["1"] * n, draw(["0", "1"], n)
        yield "one class 0", draw(["0", "1"], n), ["0"] * n
        yield "one class 1", draw(["0", "1"], n), ["1"] * n
        yield "one class, constant", ["0"] * n, ["0"] * n
        targets = draw(["0", "1"], n)
        yield "perfect", list(targets), targets
        yield "reversed", ["0" if t == "1" else "1" for t in targets], targets
        skewed = [str(int(v)) for v in random.random(n) < 0.05]
        yield "rare class", [str(int(v)) for v in random.random(n) < 0.1], skewed


def number_cases():
    tenths = [f"{v / 10:.1f}" for v in range(51)]
    halves = ["0.0", "2.5", "5.0"]
    for n in (2, 3, 10, 50, 333):
        yield "random", draw(tenths, n), draw(tenths, n)
        yield "ties", draw(halves, n), draw(halves, n)
        yield "invalid", spoil(draw(tenths, n), 0.3), draw(tenths, n)
        yield "all invalid", ["none"] * n, draw(tenths, n)
        yield "constant prediction", ["3.2"] * n, draw(tenths, n)
        yield "constant target", draw(tenths, n), ["2.2"] * n
        targets = draw(tenths, n)
        yield "perfect", list(targets), targets
        yield "reversed", [f"{5 - float(t):.1f}" for t in targets], targets
        near = [f"{float(t) + random.normal() * 0.4:.3f}" for t in targets]
        yield "near", near, targets
        yield "not a number", ["nan"] + near[1:], targets
        yield "signs and zeros", draw(["0.0", "-0.0", "1e-3", "5."], n), draw(halves, n)


def cases():
    for kind, generator in (("label", label_cases()), ("number", number_cases())):
        names = list(METRICS)[:4] if kind == "label" else list(METRICS)[4:]
        for name, predictions, targets in generator:
            # F1 of class 1 needs binary targets.
            wanted = [metric for metric in names if metric != "f1" or "2" not in targets]
            scores = {metric: float(METRICS[metric](predictions, targets)) for metric in wanted}
            yield {"name": f"{name}, {len(targets)} rows", "predictions": predictions, "targets": targets, "scores": scores}


OUT.parent.mkdir(parents=True, exist_ok=True)
lines = [json.dumps(case) for case in cases()]
OUT.write_text("[\n" + ",\n".join(lines) + "\n]\n")
print(f"{OUT}: {len(lines)} cases, {OUT.stat().st_size} bytes")
