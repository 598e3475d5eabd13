"""Reference values for the comparisons of adept-lab's reports, from scipy, scikit-learn and numpy.

Writes crates/adept-lab/tests/fixtures/comparisons.json: answers of paired runs of two methods with the percentile
interval and the two-sided p of a paired bootstrap (`scipy.stats.bootstrap`, 10,000 resamples), and differences over
seeds with Student's interval (`scipy.stats.ttest_1samp`). Run from the repository root:

    python tests/generators/comparison_reference.py

Written with scipy 1.17.1, scikit-learn 1.9.1, numpy 2.4's PCG64 seeded by 11.
"""

import json
import pathlib
import warnings

import numpy
import scipy.stats
import sklearn.metrics

warnings.filterwarnings("ignore")
OUT = pathlib.Path("crates/adept-lab/tests/fixtures/comparisons.json")
DRAWS = 10_000
random = numpy.random.default_rng(11)


def finite(value):
    return 0.0 if numpy.isnan(value) else float(value)


# Functions of right answers and answers.
METRICS = {
    "accuracy": lambda right, answers: numpy.mean(right == answers),
    "f1": lambda right, answers: sklearn.metrics.f1_score(
        right, numpy.where(answers > 1, 1 - right, answers), zero_division=0
    ),
    "f1_multiclass": lambda right, answers: sklearn.metrics.fbeta_score(
        right, answers, beta=1, labels=[0, 1, 2], average="macro", zero_division=0
    ),
    "matthews_correlation": lambda right, answers: sklearn.metrics.matthews_corrcoef(right, answers),
    "pearson": lambda right, answers: finite(scipy.stats.pearsonr(right, answers)[0]),
    "spearmanr": lambda right, answers: finite(scipy.stats.spearmanr(right, answers)[0]),
    # Answers are scores; there is nothing right to compare with.
    "token_f1": lambda right, answers: numpy.mean(answers),
    "em_groups": lambda right, answers: numpy.mean(answers),
}


def difference(metric, right, above, below):
    score = METRICS[metric]
    means = [numpy.mean([score(right, answers) for answers in method]) for method in (above, below)]
    return 100 * (means[0] - means[1])


def case(metric, right, above, below, groups=None):
    right, above, below = numpy.asarray(right), numpy.asarray(above), numpy.asarray(below)
    units = numpy.arange(len(right)) if groups is None else numpy.unique(groups)
    rows = [numpy.flatnonzero(units[unit] == (units if groups is None else groups)) for unit in range(len(units))]

    def statistic(drawn):
        chosen = drawn if groups is None else numpy.concatenate([rows[unit] for unit in drawn])
        return difference(metric, right[chosen], above[:, chosen], below[:, chosen])

    result = scipy.stats.bootstrap(
        (numpy.arange(len(units)),), statistic, n_resamples=DRAWS, vectorized=False, method="percentile", rng=random
    )
    drawn = result.bootstrap_distribution
    side = min(numpy.mean(drawn <= 0), numpy.mean(drawn >= 0))
    return {
        "metric": metric,
        "groups": [] if groups is None else [int(group) for group in groups],
        "right": right.tolist(),
        "above": above.tolist(),
        "below": below.tolist(),
        "difference": float(difference(metric, right, above, below)),
        "interval": [float(result.confidence_interval.low), float(result.confidence_interval.high)],
        "deviation": float(result.standard_error),
        "p": float(min(1.0, 2 * side)),
    }


def answers(right, wrong, classes, runs):
    """Right answers of which a share is replaced by any class; the last class is no label."""
    out = []
    for _ in range(runs):
        replaced = random.random(len(right)) < wrong
        out.append(numpy.where(replaced, random.integers(0, classes, len(right)), right))
    return out


def near(right, noise, runs):
    return [numpy.round(right + random.normal(0, noise, len(right)), 1) for _ in range(runs)]


def cases():
    right = random.integers(0, 2, 277)
    yield case("accuracy", right, answers(right, 0.30, 2, 1), answers(right, 0.42, 2, 1))
    yield case("accuracy", right, answers(right, 0.30, 2, 3), answers(right, 0.32, 3, 3))
    few = random.integers(0, 2, 12)
    yield case("accuracy", few, answers(few, 0.2, 2, 2), answers(few, 0.9, 2, 2))
    rare = (random.random(204) < 0.3).astype(int)
    yield case("f1", rare, answers(rare, 0.2, 3, 2), answers(rare, 0.4, 3, 2))
    groups = numpy.sort(random.integers(0, 40, 150))
    groups = numpy.unique(groups, return_inverse=True)[1]
    grouped = random.integers(0, 2, 150)
    # Whole groups are wrong together, so that resampling rows alone would give too narrow an interval.
    bad = numpy.isin(groups, random.choice(40, 16, replace=False))
    yield case("f1", grouped, [numpy.where(bad, 0, grouped)], answers(grouped, 0.5, 2, 1), groups)
    three = random.integers(0, 3, 56)
    yield case("f1_multiclass", three, answers(three, 0.2, 4, 1), answers(three, 0.5, 4, 1))
    yield case("matthews_correlation", rare, answers(rare, 0.3, 3, 2), answers(rare, 0.5, 2, 2))
    numbers = numpy.round(random.uniform(0, 5, 150), 1)
    yield case("pearson", numbers, near(numbers, 0.8, 2), near(numbers, 1.1, 2))
    halves = numpy.round(2 * numbers) / 2
    yield case("spearmanr", halves, near(halves, 1.0, 1), [numpy.round(a) for a in near(halves, 1.0, 1)])
    shares = lambda n: numpy.round(random.beta(2, 1, n), 3)
    yield case("token_f1", numpy.zeros(90), [shares(90), shares(90)], [0.9 * shares(90), shares(90)])
    yield case("em_groups", numpy.zeros(80), [random.integers(0, 2, 80)], [random.integers(0, 2, 80)])


def seeds():
    for differences in ([0.4, 1.9], [1.2, 0.9, 1.6], [-2.0, -0.5, -1.4, -3.1, -0.2], list(random.normal(0.3, 1, 10))):
        test = scipy.stats.ttest_1samp(differences, 0.0)
        interval = test.confidence_interval(0.95)
        yield {
            "differences": [float(value) for value in differences],
            "interval": [float(interval.low), float(interval.high)],
            "p": float(test.pvalue),
        }


OUT.parent.mkdir(parents=True, exist_ok=True)
lines = {"examples": list(cases()), "seeds": list(seeds())}
body = ",\n".join(
    f'"{name}": [\n' + ",\n".join(json.dumps(one) for one in entries) + "\n]" for name, entries in lines.items()
)
OUT.write_text("{\n" + body + "\n}\n")
print(f"{OUT}: {[len(entries) for entries in lines.values()]} cases, {OUT.stat().st_size} bytes")
