"""Prompts of several tasks that are trained together, for `golden_methods.py`: MPT (Wang et al., 2023) and ATTEMPT (Asai
et al., 2022). Every row of a batch belongs to task 1, so that the tensors of other tasks have gradients of zero.

| case | virtual tokens of task k |
|---|---|
| `mpt` | `P ⊙ (cols_k·rows_k)`, the same for all rows of a batch |
| `attempt` | `P_k + Σ_j a_j·P_j` over three frozen prompts and `P_k` itself, which therefore counts twice |

ATTEMPT's weights of a row are `a = softmax_j(p̂_j·H / T)` with `H = LN(W_up·silu(W_down·x̂))`; `x̂` and `p̂_j` are maxima
of each channel, over the row's unmasked token embeddings and over the virtual tokens of `P_j`.

Shapes: B rows, S source width, m virtual tokens, d model width, h hidden width.
"""

import torch
from torch.nn.functional import silu

from golden_prompts import M

TASK = 1
MPT_TASKS, MPT_RANK = 3, 2
SOURCES, ATTEMPT_TASKS, HIDDEN, TEMPERATURE, EPS = 3, 2, 4, 2.0, 1e-5
FROZEN = {"attempt": ("source_prompts",)}
MISTAKES = {
    "mpt": (
        "task 0",
        "no product",
        "sum instead of product",
        "columns and rows of different tasks",
        "first component alone",
    ),
    "attempt": (
        "task 0",
        "target counts once",
        "target in the sum alone",
        "target without a weight",
        "mean of the input",
        "mean of the prompts",
        "maximum over padding too",
        "maximum over the prompt and the input",
        "no norm",
        "unbiased variance",
        "relu",
        "no activation",
        "no temperature",
    ),
}


def product(p, broken=""):
    """MPT's virtual tokens [m, d]."""
    prompt, task = p["prompt_embeddings"], 0 if broken == "task 0" else TASK
    other = 2 if broken == "columns and rows of different tasks" else task
    rank = 1 if broken == "first component alone" else MPT_RANK
    factors = p["prefix_task_cols"][task, :, :rank] @ p["prefix_task_rows"][other, :rank]
    if broken == "no product":
        return prompt
    return prompt + factors if broken == "sum instead of product" else prompt * factors


def largest(x, mask, broken):
    """x̂ [B, d]."""
    seen = torch.ones_like(mask) if broken == "maximum over padding too" else mask
    if broken == "mean of the input":
        return (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    return x.masked_fill(~seen.bool()[..., None], -torch.inf).amax(1)


def query(p, x, broken):
    """H [B, d]."""
    hidden = {"relu": torch.relu, "no activation": lambda x: x}.get(broken, silu)(x @ p["attn_down"].T)
    out = hidden @ p["attn_up"].T
    if broken == "no norm":
        return out
    centred = out - out.mean(-1, keepdim=True)
    variance = centred.pow(2).sum(-1, keepdim=True) / (out.shape[-1] - (broken == "unbiased variance"))
    return centred / (variance + EPS).sqrt() * p["attn_norm.weight"] + p["attn_norm.bias"]


def mixture(p, x, mask, broken=""):
    """ATTEMPT's virtual tokens [B, m, d] for embeddings `x` [B, S, d]."""
    sources, target = p["source_prompts"], p["target_prompts"][0 if broken == "task 0" else TASK]
    prompts = torch.cat([sources, target[None]])
    x = largest(x, mask, broken)
    if broken == "maximum over the prompt and the input":
        x = torch.maximum(x, target.amax(0))
    keys = (sources if broken == "target without a weight" else prompts).amax(1)
    if broken == "mean of the prompts":
        keys = prompts.mean(1)
    scores = query(p, x, broken) @ keys.T
    weights = (scores if broken == "no temperature" else scores / TEMPERATURE).softmax(-1)
    weighted = 3 if broken in ("target counts once", "target without a weight") else 4
    mixed = torch.einsum("bj,jmd->bmd", weights[:, :weighted], prompts[:weighted])
    return mixed if broken == "target in the sum alone" else target + mixed


def row_by_row(p, x, mask):
    """The same by torch's modules, for each row's tokens without their padding."""
    h, d = p["attn_down"].shape
    down, up = torch.nn.Linear(d, h, bias=False), torch.nn.Linear(h, d, bias=False)
    norm = torch.nn.LayerNorm(d, eps=EPS)
    down.load_state_dict({"weight": p["attn_down"]})
    up.load_state_dict({"weight": p["attn_up"]})
    norm.load_state_dict({"weight": p["attn_norm.weight"], "bias": p["attn_norm.bias"]})
    network, target, out = torch.nn.Sequential(down, torch.nn.SiLU(), up, norm), p["target_prompts"][TASK], []
    for row, seen in zip(x, mask.bool()):
        chosen = network(row[seen].max(0).values)
        scores = [torch.dot(prompt.max(0).values, chosen) / TEMPERATURE for prompt in (*p["source_prompts"], target)]
        *shares, own = torch.softmax(torch.stack(scores), 0)
        mixed = sum(share * prompt for share, prompt in zip(shares, p["source_prompts"]))
        out.append((1 + own) * target + mixed)
    return torch.stack(out)


def shapes(case, d):
    if case == "mpt":
        factors = {"prefix_task_cols": (MPT_TASKS, M, MPT_RANK), "prefix_task_rows": (MPT_TASKS, MPT_RANK, d)}
        return {"prompt_embeddings": (M, d)} | factors
    prompts = {"source_prompts": (SOURCES, M, d), "target_prompts": (ATTEMPT_TASKS, M, d)}
    norm = {"attn_norm.weight": (d,), "attn_norm.bias": (d,)}
    return prompts | {"attn_down": (HIDDEN, d), "attn_up": (d, HIDDEN)} | norm


def random(case, d, generator):
    """Tensors in which every task, component, prompt and channel matters."""
    p = {}
    for key, shape in shapes(case, d).items():
        value = torch.randn(shape, generator=generator)
        if key.startswith("prefix_task"):
            # Products around 1: a component of factors around 1, and another of about half that size.
            components = value if key == "prefix_task_rows" else value.transpose(1, 2)
            components[:, 0].mul_(0.3).add_(1)
            components[:, 1].mul_(0.6)
        elif key == "attn_norm.weight":
            value = 1 + 0.4 * value
        elif key == "attn_norm.bias":
            value *= 0.5
        elif key.startswith("attn"):
            # T5's embeddings are far below 1, where silu is hardly curved.
            value *= (4.0 if key == "attn_down" else 1.4) * shape[1] ** -0.5
        if key.startswith(("prefix_task", "target", "attn")):
            # The rate is 1e-4, so decay moves a value w by 1.5e-6·w in three steps: a value near 4 makes a missing one
            # visible, of the task whose gradient is not zero.
            seen = value if key.startswith("attn") else value[TASK]
            seen.view(-1)[torch.randint(seen.numel(), (), generator=generator)] = -3.9
        p[key] = value
    return p


def config(case, width):
    """What the file of a case says: `adept`, the project's own key, with the source width of the batch, and sizes."""
    if case == "mpt":
        return {"adept": {"max_source_length": width}}
    sizes = {"hidden": HIDDEN, "max_source_length": width, "sources": SOURCES, "tasks": ATTEMPT_TASKS}
    return {"adept": sizes | {"temperature": TEMPERATURE}, "num_virtual_tokens": M, "num_transformer_submodules": 1}
