"""Adapters of several tasks, for `golden_methods.py`: "adapters dagger" and HyperFormer (Karimi Mahabadi et al., 2021).
Every row of a batch belongs to task 1, so that tensors of other tasks have gradients of zero.

After self-attention and after feed-forward, `y' = y + LN(gelu_new(y·W_d + b_d)·W_u + b_u)`; the model's norms are
trained as well.

| case | where the adapters come from |
|---|---|
| `adapter_tasks` | each of three tasks has its own; the LayerNorm of a place is the same for all tasks |
| `hyperformer` | linear maps with bias make them of e = LN(W_2·relu(W_1·[task; block; place] + b_1) + b_2) |
| `hyperformer_plain` | e is made of [task; block]; the linear maps are others after self-attention |

Each stack has a network of its own but for the embeddings of two tasks. Place 0 is the feed-forward layer. Made weights
are flat, by rows of W_d's [r, d] and of W_u's [d, r].

Shapes: d model width, r bottleneck.
"""

import torch

import golden_causal_forward as plain

BASE = "base_model.model."
TASK, ADAPTER_TASKS, TASKS = 1, 3, 2
EMBEDDING, HIDDEN, EPS, INNER_EPS = 64, 128, 1e-6, 1e-5
MADE = ("down_weight", "down_bias", "up_weight", "up_bias", "norm_weight", "norm_bias")
IN_BOTH = ("task 0", "block 0 everywhere", "one hypernetwork", "no inner norm", "norms not trained")
MISTAKES = {
    "adapter_tasks": (
        "task 0",
        "no inner norm",
        "norm of the sum",
        "norm in front of the bottleneck",
        "the first place's norm everywhere",
        "unbiased variance",
        "exact gelu",
        "norms not trained",
    ),
    "hyperformer": (
        *IN_BOTH,
        "places swapped",
        "no place",
        "place before block",
        "no relu",
        "no norm of e",
        "down not transposed",
        "up not transposed",
        "norm's weight counts from 1",
    ),
    "hyperformer_plain": (*IN_BOTH, "generators swapped", "one generator"),
}
# Those that need an encoder.
OF_ENCODERS = ("one hypernetwork",)


def layer_norm(x, weight, bias, eps, broken=""):
    centred = x - x.mean(-1, keepdim=True)
    variance = centred.pow(2).sum(-1, keepdim=True) / (x.shape[-1] - (broken == "unbiased variance"))
    return centred / (variance + eps).sqrt() * weight + bias


def apply(own, y, broken=""):
    """An adapter's output; its tensors by name."""
    norm = lambda x: layer_norm(x, own["norm.weight"], own["norm.bias"], INNER_EPS, broken)
    entering = norm(y) if broken == "norm in front of the bottleneck" else y
    hidden = plain.gelu(entering @ own["down.weight"].T + own["down.bias"], broken)
    out = hidden @ own["up.weight"].T + own["up.bias"]
    if broken in ("no inner norm", "norm in front of the bottleneck"):
        return y + out
    return norm(y + out) if broken == "norm of the sum" else y + norm(out)


def of_task(p, places, broken=""):
    """The task's adapter of each layer."""
    task, out = 0 if broken == "task 0" else TASK, {}
    for layer in places:
        at = next(iter(places)) if broken == "the first place's norm everywhere" else layer
        own = {name: p[f"{BASE}{layer}.adapter.{task}.{name}"] for name in names_of("down", "up")}
        out[layer] = own | {name: p[f"{BASE}{at}.adapter.{name}"] for name in names_of("norm")}
    return out


def names_of(*parts):
    return [f"{part}.{kind}" for part in parts for kind in ("weight", "bias")]


def hidden(p, place, broken=""):
    """What enters and what leaves the relu, [HIDDEN]; a place is a stack, a block and 0 or 1."""
    stack, block, at = place
    embedding = lambda name, row: p[f"hyper.{stack}.{name}_embeddings"][row]
    task = p["hyper.task_embeddings"][0 if broken == "task 0" else TASK]
    parts = [task, embedding("block", 0 if broken == "block 0 everywhere" else block)]
    if f"hyper.{stack}.place_embeddings" in p:
        own = embedding("place", 1 - at if broken == "places swapped" else at)
        parts.insert(1 if broken == "place before block" else 2, 0 * own if broken == "no place" else own)
    before = p[f"hyper.{stack}.up.weight"] @ torch.cat(parts) + p[f"hyper.{stack}.up.bias"]
    return before, before if broken == "no relu" else torch.relu(before)


def encoded(p, place, broken=""):
    """e [EMBEDDING]."""
    of = lambda name: p[f"hyper.{place[0]}.{name}"]
    out = of("down.weight") @ hidden(p, place, broken)[1] + of("down.bias")
    return out if broken == "no norm of e" else layer_norm(out, of("norm.weight"), of("norm.bias"), EPS)


def generated(p, places, broken=""):
    """The adapter made for each layer."""
    out = {}
    for layer, (stack, block, at) in places.items():
        stack = "encoder" if broken == "one hypernetwork" else stack
        e = encoded(p, (stack, block, at), broken)
        number = 0 if f"hyper.{stack}.place_embeddings" in p or broken == "one generator" else at
        number = 1 - number if broken == "generators swapped" else number
        of = lambda name: p[f"hyper.{stack}.{number}.{name}.weight"] @ e + p[f"hyper.{stack}.{number}.{name}.bias"]
        own = {name.replace("_", "."): of(name) for name in MADE}
        r, d = own["down.bias"].numel(), own["up.bias"].numel()
        down, up = own["down.weight"], own["up.weight"]
        own["down.weight"] = down.view(d, r).T if broken == "down not transposed" else down.view(r, d)
        own["up.weight"] = up.view(r, d).T if broken == "up not transposed" else up.view(d, r)
        if broken == "norm's weight counts from 1":
            own["norm.weight"] = 1 + own["norm.weight"]
        out[layer] = own
    return out


def adapters(case, p, places, broken=""):
    return (of_task if case == "adapter_tasks" else generated)(p, places, broken)


# -------------------------------------------------------------------------------------------------------- values
def shapes(case, places, d, r):
    """The shape of every tensor but the model's norms, in the files' order."""
    parts = {"down.weight": (r, d), "down.bias": (r,), "up.weight": (d, r), "up.bias": (d,)}
    if case == "adapter_tasks":
        fronts = [f"{layer}.adapter.{task}" for task in range(ADAPTER_TASKS) for layer in places]
        out = {f"{front}.{name}": shape for front in fronts for name, shape in parts.items()}
        out |= {f"{layer}.adapter.{name}": (d,) for layer in places for name in names_of("norm")}
        return {BASE + key: shape for key, shape in out.items()}
    out, plus = {"hyper.task_embeddings": (TASKS, EMBEDDING)}, case == "hyperformer"
    for stack in dict.fromkeys(stack for stack, _, _ in places.values()):
        own = {"block_embeddings": (1 + max(block for name, block, _ in places.values() if name == stack), EMBEDDING)}
        own |= {"place_embeddings": (2, EMBEDDING)} if plus else {}
        own |= {"up.weight": (HIDDEN, (3 if plus else 2) * EMBEDDING), "up.bias": (HIDDEN,)}
        own |= {"down.weight": (EMBEDDING, HIDDEN), "down.bias": (EMBEDDING,)}
        own |= {name: (EMBEDDING,) for name in names_of("norm")}
        sizes = {"down_weight": r * d, "down_bias": r, "up_weight": d * r}
        for number in range(1 if plus else 2):
            for name in MADE:
                size = sizes.get(name, d)
                own |= {f"{number}.{name}.weight": (size, EMBEDDING), f"{number}.{name}.bias": (size,)}
        out |= {f"hyper.{stack}.{name}": shape for name, shape in own.items()}
    return out


# Scale and mean of tensors, by the first end that their key has: e has a size of about 10.
SCALES = {
    "adapter.norm.weight": (0.4, 1.0),
    "embeddings": (1.0, 0.0),
    "up.weight": (1.2 * HIDDEN**-0.5, 0.0),
    "down.weight": (1.4 * HIDDEN**-0.5, 0.0),
    "norm.weight": (0.2, 1.0),
    "norm_weight.weight": (0.4 / EMBEDDING**0.5, 0.0),
    "norm_weight.bias": (0.2, 0.8),
    "_weight.weight": (0.25 / EMBEDDING**0.5, 0.0),
    "_weight.bias": (0.1, 0.0),
    "_bias.weight": (0.2 / EMBEDDING**0.5, 0.0),
    "bias": (0.3, 0.0),
}


def random(case, places, d, r, generator):
    """Tensors with which every task, block, place and channel matters; each that is trained has a value of size 3.9,
    without which a missing decay is not seen: the rate is 1e-4."""
    p = {}
    for key, shape in shapes(case, places, d, r).items():
        scale, mean = next(value for end, value in SCALES.items() if key.endswith(end))
        if ".adapter." in key and not key.endswith("norm.weight"):
            scale = 0.3
        p[key] = mean + scale * torch.randn(shape, generator=generator)
    any_of = lambda size: torch.randint(size, (), generator=generator).item()
    nearest = lambda values, aim: (values - aim).abs().argmin().item()
    for key, value in p.items():
        if key.endswith("task_embeddings"):
            value[TASK, any_of(EMBEDDING)] = -3.9
        elif not is_idle(key) and not ends_in_network(key):
            value.view(-1)[any_of(value.numel())] = -3.9
    if case == "adapter_tasks":
        return p
    for stack in dict.fromkeys(stack for stack, _, _ in places.values()):
        # A unit of the network that is never active would have no gradient, and a large value beside a large one would
        # decide everything.
        own, task = [place for place in places.values() if place[0] == stack], p["hyper.task_embeddings"][TASK]
        of = lambda name: p[f"hyper.{stack}.{name}"]
        channel = nearest(task.abs(), 0.5)
        of("up.weight")[any_of(HIDDEN), channel] = 3.9 * task[channel].sign()
        of("up.bias")[any_of(HIDDEN)] = 3.9
        active = torch.stack([hidden(p, place)[1] for place in own]).mean(0)
        of("down.weight")[any_of(EMBEDDING), nearest(active, 0.3)] = -3.9
        channel = nearest(torch.stack([encoded(p, place) for place in own]).abs().mean(0), 0.3)
        for key, value in p.items():
            if key.startswith(f"hyper.{stack}.") and key.split(".")[2].isdigit() and key.endswith("weight"):
                value[any_of(value.shape[0]), channel] = -3.9
    return p


def is_idle(key):
    """Whether a tensor belongs to another task alone: no gradient, and no step."""
    return any(f".adapter.{task}." in key for task in range(ADAPTER_TASKS) if task != TASK)


def ends_in_network(key):
    """Whether a large value's place depends on the network's values."""
    _, _, name = key.partition("hyper.")
    return name.endswith(("_weight.weight", "_bias.weight", ".up.weight", ".up.bias", ".down.weight"))


def near_a_kink(p, places, least=1e-3):
    """Whether a hidden unit is near its kink, where rounding decides the gradient."""
    with torch.no_grad():
        return any(hidden(p, place)[0].abs().min() < least for place in places.values())


def config(case, r):
    if case == "adapter_tasks":
        own = {"inner_norm": True, "placement": "houlsby", "tasks": ADAPTER_TASKS, "train_norms": True}
        return {"peft_type": "ADAPTER", "bottleneck": r} | own
    return {"peft_type": "HYPERFORMER", "bottleneck": r, "plus": case == "hyperformer", "tasks": TASKS}


# ---------------------------------------------------------------------------------------------- by torch's modules
def loaded(module, tensors, *prefix):
    state = {name: tensors[".".join([*prefix, name])] for name, _ in module.named_parameters()}
    module.load_state_dict(state)
    return module


def modules_of_task(p, layer):
    """An adapter of `adapter_tasks` as a function of y."""
    r, d = p[f"{BASE}{layer}.adapter.{TASK}.down.weight"].shape
    front = f"{BASE}{layer}.adapter"
    down = loaded(torch.nn.Linear(d, r), p, front, str(TASK), "down")
    up = loaded(torch.nn.Linear(r, d), p, front, str(TASK), "up")
    norm = loaded(torch.nn.LayerNorm(d, eps=1e-5), p, front, "norm")
    functional = torch.nn.functional
    return lambda y: y + norm(up(functional.gelu(down(y), approximate="tanh")))


def folded(p, places, d, r):
    """The task's adapters, made once by torch's modules: tensors as in the files of `adapter`, and norms by layer."""
    tensors, norms = {}, {}
    for layer, (stack, block, place) in places.items():
        front, plus = f"hyper.{stack}", f"hyper.{stack}.place_embeddings" in p
        tables = [("hyper.task_embeddings", TASK), (f"{front}.block_embeddings", block)]
        tables += [(f"{front}.place_embeddings", place)] if plus else []
        network = torch.nn.Sequential(
            loaded(torch.nn.Linear(64 * len(tables), 128), p, front, "up"),
            torch.nn.ReLU(),
            loaded(torch.nn.Linear(128, 64), p, front, "down"),
            loaded(torch.nn.LayerNorm(64, eps=1e-6), p, front, "norm"),
        )
        e = network(torch.cat([torch.nn.Embedding.from_pretrained(p[key])(torch.tensor(row)) for key, row in tables]))
        sizes = {"down_weight": (r, d), "down_bias": (r,), "up_weight": (d, r), "up_bias": (d,)}
        sizes |= {"norm_weight": (d,), "norm_bias": (d,)}
        number = "0" if plus or place == 0 else "1"
        made = {}
        for name, shape in sizes.items():
            linear = torch.nn.Linear(64, torch.Size(shape).numel())
            made[name] = loaded(linear, p, front, number, name)(e).reshape(shape)
        for part in ("down", "up"):
            for kind in ("weight", "bias"):
                tensors[f"{BASE}{layer}.adapter.{part}.{kind}"] = made[f"{part}_{kind}"]
        norms[layer] = torch.nn.LayerNorm(d, eps=1e-5)
        norms[layer].load_state_dict({"weight": made["norm_weight"], "bias": made["norm_bias"]})
    return tensors, norms
