"""Adds PyTorch's results for BitFit, adapters, prefix tuning, prompt + embedding, LST, ADePT with a network that makes
its prompt, MPT, ATTEMPT, adapters of several tasks, HyperFormer and Hyperdecoders to the golden folders.

    python tests/generators/golden_methods.py                          # all folders
    python tests/generators/golden_methods.py --check                  # compares with a fresh computation
    python tests/generators/golden_methods.py --cases mpt attempt      # these alone; others keep their bytes

A case that a folder has keeps its seed; `--new-seeds` looks for new ones. Rounding differs between processors: `--cases`
adds a case without changing others.

Each folder already has a backbone and a batch (`golden_t5.py`, `golden_causal.py`). Biases, adapters, norms and
embeddings are trained as differences added to the frozen model: zero changes nothing. For each case `<x>` this adds the
adapter `<x>/` and, in `methods.safetensors`:

| tensor | what |
|---|---|
| `<x>.logits`, `<x>.loss` | from `train.*`; a decoder's positions count padding |
| `<x>.grad.<key>` | d loss / d tensor, by key in the adapter's file |
| `<x>.after3.<key>` | after three AdamW steps as in `golden_common.train_three`, of rate 1e-4 unless said below |
| `<x>.step_losses` | before steps 1, 2, 3 and after step 3 |
| `<x>.gen_ids_nostop`, `<x>.gen_margin` | greedy output ignoring the end token; positions count unmasked slots |
| `<x>.merged_logits` | of a model with the changed weights, where there is a place for biases (CodeGen) |
| `<x>.attention_mask` | of cases with a prompt, whose input is longer |

| `<x>` | what is trained |
|---|---|
| `bitfit` | biases of the modules that have one; if none has, of the blocks' linear maps and norms and of the head |
| `lora_bitfit` | the biases of `bitfit`, and products of rank 4 beside queries and values, as in `golden_weights.py` |
| `adapter` | `y + gelu_new(y·W_d + b_d)·W_u + b_u` after self-attention and feed-forward; the weights of all norms |
| `adapter_drop` | the same, without adapters in the first block of each stack |
| `prefix` | keys and values of m slots in front of every self-attention (T5: of the decoder's) |
| `prefix_mlp` | the same, made of `embedding` by linear, tanh, linear: peft's file with the trained tensors added |
| `prompt_embedding` | a soft prompt of rate 0.3, and the embedding matrix wherever it is used |
| `adept_residual` | ADePT's offset, and a prompt of rate 0.3 that passes through residual prompt tuning's network |
| `adept_p_tuning` | ADePT's offset, and an embedding of which P-tuning's perceptron makes the prompt |
| `prefix_all` | T5: a prefix of the encoder's and the decoder's self-attention and of cross-attention, each its own |
| `prefix_all_mlp` | the same, each made of an embedding by a network of its own |
| `lst` | a side network of half the widths beside the blocks but every fourth, from the first on (`golden_ladder.py`) |
| `lst_all` | the same beside every block |
| `mpt` | a soft prompt of rate 0.3 times a product of rank 2 for each of three tasks (`golden_tasks.py`) |
| `attempt` | T5: prompts of two tasks, and a network that weighs three frozen ones and the task's |
| `adapter_tasks` | `adapter` with networks of three tasks and a LayerNorm behind them (`golden_hyper.py`) |
| `hyperformer` | HyperFormer++: a network of each stack makes such adapters of task, block and place; norms' weights |
| `hyperformer_plain` | the same of task and block, with linear maps of its own for each place |
| `hyperdecoder` | T5: networks beside feed-forward, the decoder's made of each row's input (`golden_hyperdecoder.py`) |
| `hyperdecoder_direct` | the same without a network in front of those that make them |

All rows of a batch are of task 1. MPT must agree with peft given that task, ATTEMPT with torch's modules, row by row without
padding; the last five with torch's modules, too, for HyperFormer in adapters that are made once.

Where the gradient of one of the last five is at most `FLAT`, its value after three steps is compared with nothing, and
`methods_noise.json` ignores it: rounding decides the step. Whole tensors of other tasks have no gradient in torch, which
is written as zeros, and AdamW leaves them as they are, while it shrinks a row of zero gradients in a tensor of all tasks.

`methods_noise.json` contains each tensor's deviation from float64, like `noise.json`.

The methods are hooks and changed weights on transformers' models. A prefix has peft's layout [m, 2L, heads, head_dim]:
layer i reads rows 2i (keys) and 2i + 1 (values), unrotated, and tokens count from m: m + arange in `forward`, m + the
running count of unmasked slots in `generate`. It must agree with attention written out here, and with peft 0.21.2.
`repaired` mends what fails there with transformers 5.24: T5's cross-attention, given one submodule, appends to the
prefix's own cache (an error if there is a mask, else wrong logits), and `generate` ignores every prefix, because the
keyword for a cache has a new name. Where heads · d_kv is not d, peft has to be told T5's `token_dim`.

The mistakes in `MISTAKES` must exceed ten times the tolerance of the logits (exact gelu five times), or no file is
written.

Files of `adept_*` hold the prompt that the network makes beside the tensors that are trained. Tokens that a decoder has
written get ADePT's offset like all others; the prompt gets none.

A prefix of every attention is attention written out in place of the modules' own:
`softmax([q·K'; q·K] + bias)·[V'; V]`. Self-attention sees the prefix at 0 to m − 1 and its tokens from m on, in the
encoder by the bidirectional buckets; cross-attention has no positions, so there is no bias. It must agree with the sum
of two attentions, over the prefix and over a layer's own keys, weighted by their shares of the exponentials (He et al.,
2022, section 3.1).

Shapes: B rows, S source width, m prefix or prompt length, L layers, d model width, h heads, c channels a head.
"""

import argparse
import contextlib
import dataclasses
import functools
import json
import pathlib
import re
import tempfile
import typing
import unittest.mock
from collections.abc import Callable

import peft
import safetensors.torch
import torch
from torch.nn.functional import pad
from transformers import DynamicCache, EncoderDecoderCache

import golden_causal as causal
import golden_causal_forward as plain
import golden_common as common
import golden_hyper as hyper
import golden_hyperdecoder as decoders
import golden_prompts as prompts
import golden_ladder as ladders
import golden_t5 as t5
import golden_tasks as tasks
from golden_weights import FAMILIES, inputs_of, load

FILE, NOISE_FILE = "methods.safetensors", "methods_noise.json"
BOTTLENECK, SKIPPED, PREFIX, HIDDEN, PROMPT = 4, 1, 3, 6, 5
# `adept verify` compares no value after three steps whose gradient is smaller.
FLAT = 5e-6
RANK, ALPHA, A = 4, 8, "lora_A.weight"
TARGETS = {"t5": r"\.(q|v)$", "llama": r"\.(q|v)_proj$", "codegen": r"\.qkv_proj$"}
BASE = "base_model.model."
EMBEDDING = {"t5": "shared.weight", "llama": "model.embed_tokens.weight", "codegen": "transformer.wte.weight"}
# A place for an adapter: the key's layer, its number, and the module that is hooked; the norm in front of it.
SITE = {
    "t5": r"(\w+\.block\.(\d+)\.layer\.\d+)\.(?:SelfAttention|DenseReluDense)",
    "llama": r"(model\.layers\.(\d+)\.(?:self_attn|mlp))",
    "codegen": r"(transformer\.h\.(\d+)\.(?:attn|mlp))",
}
NORM = {"SelfAttention": "layer_norm", "DenseReluDense": "layer_norm", "self_attn": "input_layernorm"}
NORM_OF = {"t5": NORM, "llama": NORM | {"mlp": "post_attention_layernorm"}, "codegen": {"attn": "ln_1", "mlp": "ln_1"}}
# Mistakes by case, and where they can be made.
ALL, T5, DECODERS = FAMILIES, FAMILIES[:2], FAMILIES[2:]
TIED, UNTIED = ("t5_v1_0", "llama_tied"), ("t5_v1_1", "llama", "codegen")
IN_ADAPTER = {"after cross-attention too": T5, "in front of the norm": ALL, "on the residual": ALL, "relu": ALL}
IN_ADAPTER |= {"exact gelu": ALL, "no inner residual": ALL, "norms not trained": ALL}
IN_PREFIX = {"keys and values swapped": ALL, "two submodules": ALL, "rotated": DECODERS, "positions from 0": ALL}
IN_LADDER = {"no temperature": ALL, "gate reversed": ALL, "state before the block": ALL, "no side norm": ALL}
IN_LADDER |= {"cross-attention to the backbone": T5, "no encoder norm": T5, "head not scaled": ("t5_v1_0",)}
MISTAKES = {
    "bitfit": {"bias before the head's scale": ("t5_v1_0",), "no head bias": ALL, "no norm biases": ALL},
    "lora_bitfit": {"no products": ALL, "no alpha": ALL, "no head bias": ALL, "no norm biases": ALL},
    "adapter": IN_ADAPTER,
    "adapter_drop": IN_ADAPTER | {"last block skipped": ALL},
    "prefix": IN_PREFIX,
    "prefix_mlp": IN_PREFIX | {"relu": ALL, "no activation": ALL},
    "prompt_embedding": {"head not tied": TIED, "head tied": UNTIED, "decoder's input unchanged": T5},
    "lst": IN_LADDER,
    "lst_all": IN_LADDER,
}
IN_ADEPT = {"no network": ALL, "no offset": ALL, "offset of the prompt": ALL, "no relu": ALL, "no activation": ALL}
MISTAKES["adept_residual"] = IN_ADEPT | {"no norm": ALL, "not residual": ALL}
MISTAKES["adept_p_tuning"] = IN_ADEPT | {"tanh": ALL}
IN_ALL = {f"{site} without prefix": T5 for site in ("encoder", "decoder", "cross")}
IN_ALL |= {"keys and values swapped": T5, "positions from 0": T5, "causal buckets in the encoder": T5}
MISTAKES["prefix_all"] = IN_ALL | {"bias in cross-attention": T5}
MISTAKES["prefix_all_mlp"] = IN_ALL | {"one network": T5, "relu": T5, "no activation": T5}
MISTAKES |= {case: dict.fromkeys(names, ALL) for case, names in tasks.MISTAKES.items()}
of_hyper = lambda names: {name: T5 if name in hyper.OF_ENCODERS else ALL for name in names}
MISTAKES |= {case: of_hyper(names) for case, names in hyper.MISTAKES.items()}
MISTAKES |= {case: dict.fromkeys(names, T5) for case, names in decoders.MISTAKES.items()}
# Cases for some folders alone.
ONLY = {"prefix_all": T5, "prefix_all_mlp": T5, "attempt": T5} | dict.fromkeys(decoders.MISTAKES, T5)
# The last five, which must agree with torch's modules.
BY_MODULES = (*hyper.MISTAKES, *decoders.MISTAKES)
# The networks of ADePT's prompts.
ADEPT_NETWORK = {"adept_residual": "residual", "adept_p_tuning": "p_tuning_mlp"}


# ------------------------------------------------------------------------------------------------------ methods
@dataclasses.dataclass
class Change:
    """What a case changes in a forward pass."""

    hooks: list = ()  # module, kind of hook, hook
    weights: dict = dataclasses.field(default_factory=dict)
    prefix: list | None = None  # keys and values of each layer, [h, m, c] each
    first: int = 0  # position of the first token
    prompt: torch.Tensor | None = None  # [m, d] or, for each row, [B, m, d]
    offset: Callable = lambda x: x  # of the embeddings of tokens, in front of a decoder's or an encoder's blocks
    forwards: dict = dataclasses.field(default_factory=dict)  # in place of modules' own
    side: typing.Callable | None = None  # the result of a model with a side network, for arguments of transformers


def after(module, change):
    """A hook that changes a module's output or, of several, the first."""
    many = lambda output: (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)
    return module, "register_forward_hook", lambda _, args, output: many(output)


def before(module, change):
    return module, "register_forward_pre_hook", lambda _, args: change(args[0])


def bitfit(backbone, p, broken=""):
    left_out = {"no head bias": ["lm_head"], "no norm biases": backbone.norms}.get(broken, [])
    biases = {key.removeprefix(BASE).removesuffix(".bias"): bias for key, bias in p.items()}
    if broken == "bias before the head's scale":
        biases["lm_head"] = biases["lm_head"] * backbone.d**-0.5
    return Change([after(name, lambda y, b=b: y + b) for name, b in biases.items() if name not in left_out])


def bottleneck(p, layer, y, broken):
    part = lambda name: p[f"{BASE}{layer}.adapter.{name}"]
    hidden = y @ part("down.weight").T + part("down.bias")
    hidden = torch.relu(hidden) if broken == "relu" else plain.gelu(hidden, broken)
    out = hidden @ part("up.weight").T + part("up.bias")
    return out if broken == "no inner residual" else y + out


def adapter(backbone, p, broken=""):
    if broken == "last block skipped":
        p = {re.sub(r"\.1\.(.*\.adapter\.)", r".0.\1", key, count=1): tensor for key, tensor in p.items()}
    hooks, entered = [], {}
    for layer, module, norm, _ in backbone.sites:
        if f"{BASE}{layer}.adapter.up.bias" not in p:
            continue
        adapted = lambda y, layer=layer: bottleneck(p, layer, y, broken)
        if broken == "in front of the norm":
            hooks.append(before(norm, adapted))
        elif broken == "on the residual":
            hooks.append(before(norm, lambda x, norm=norm: entered.update({norm: x})))
            hooks.append(after(module, lambda y, f=adapted, norm=norm: f(entered[norm] + y) - entered[norm]))
        else:
            hooks.append(after(module, adapted))
        if broken == "after cross-attention too" and re.match("decoder.*SelfAttention", module):
            hooks.append(after(module.replace("0.SelfAttention", "1.EncDecAttention"), adapted))
    norms = [] if broken == "norms not trained" else [f"{norm}.weight" for norm in backbone.norms]
    return Change(hooks, {name: backbone.weights[name] + p[BASE + name] for name in norms})


def projected(p, broken=""):
    """`prompt_embeddings` [m, 2L·h·c], trained or made of the trained tensors."""
    if "prompt_embeddings" in p:
        return p["prompt_embeddings"]
    hidden = p["embedding.weight"] @ p["transform.0.weight"].T + p["transform.0.bias"]
    hidden = {"relu": torch.relu, "no activation": lambda x: x}.get(broken, torch.tanh)(hidden)
    return hidden @ p["transform.2.weight"].T + p["transform.2.bias"]


def rotated(backbone, key):
    slots = torch.arange(PREFIX)[None]
    if backbone.kind == "codegen":
        return plain.codegen_rotary(key[None], slots, backbone.model.config.rotary_dim, "")[0]
    frequencies = plain.llama_frequencies(causal.config_json(backbone.family))
    return plain.halves(key[None], plain.angles_of(slots, frequencies, key))[0]


def prefix(backbone, p, broken=""):
    count = 2 * backbone.layers
    rows = projected(p, broken).view(PREFIX, count, *backbone.heads).permute(1, 2, 0, 3)
    first = [(4 if broken == "two submodules" else 2) * layer % count for layer in range(backbone.layers)]
    pairs = [(rows[i], rows[i + 1]) for i in first]
    if broken == "keys and values swapped":
        pairs = [(value, key) for key, value in pairs]
    if broken == "rotated":
        pairs = [(rotated(backbone, key), value) for key, value in pairs]
    return Change(prefix=pairs, first=0 if broken == "positions from 0" else PREFIX)


def prompt_embedding(backbone, p, broken=""):
    name = EMBEDDING[backbone.kind]
    frozen, delta = backbone.weights[name], p[BASE + name]
    hook = {
        "head not tied": ("lm_head", lambda _, args, output: args[0] @ frozen.T),
        "head tied": ("lm_head", lambda _, args, output: output + args[0] @ delta.T),
        "decoder's input unchanged": ("decoder.embed_tokens", lambda _, args, output: frozen[args[0]]),
    }.get(broken)
    hooks = [(hook[0], "register_forward_hook", hook[1])] if hook else []
    return Change(hooks, {name: frozen + delta}, prompt=p["prompt_embeddings"])


def lora_bitfit(backbone, p, broken=""):
    change = bitfit(backbone, {key: tensor for key, tensor in p.items() if key.endswith(".bias")}, broken)
    scale = {"no products": 0.0, "no alpha": 1 / RANK}.get(broken, ALPHA / RANK)
    for key in (key for key in p if key.endswith(A)):
        name = key.removeprefix(BASE).removesuffix(A) + "weight"
        change.weights[name] = backbone.weights[name] + scale * p[key.removesuffix(A) + "lora_B.weight"] @ p[key]
    return change


def adept(network):
    """ADePT with a prompt that a network of `golden_prompts` makes."""

    def method(backbone, p, broken=""):
        shared = {"w_down": "A", "b1": "a", "w_up": "B", "b2": "b"}
        tensors = {name: p[f"lora_embedding_{letter}"] for name, letter in shared.items()}
        offset = lambda x: x if broken == "no offset" else common.offset("adept", tensors, x, broken)
        prompt = p[prompts_input(p)] if broken == "no network" else prompts.NETWORKS[network](p, broken)
        prompt = offset(prompt) if broken == "offset of the prompt" else prompt
        return Change(prompt=prompt, offset=offset)

    return method


def prompts_input(p):
    return "prompt" if "prompt" in p else "embedding.weight"


# The attentions of T5 that a prefix is for, and whether positions are counted in both directions; None: not at all.
SITES = {
    "encoder": ("encoder.block.{}.layer.0.SelfAttention", True),
    "decoder": ("decoder.block.{}.layer.0.SelfAttention", False),
    "cross": ("decoder.block.{}.layer.1.EncDecAttention", None),
}


def blocks(backbone, site):
    config = backbone.model.config
    return config.num_layers if site == "encoder" else config.num_decoder_layers


def joined(query, key, value, pair, seen, bias):
    """Attention over the prefix and a layer's own keys at once."""
    keys, values = (rows.expand(common.B, -1, -1, -1) for rows in pair)
    scores = query @ torch.cat([keys, key], 2).transpose(2, 3) + bias
    scores = scores.masked_fill(~pad(seen, (PREFIX, 0), value=True), torch.finfo(scores.dtype).min)
    return scores.softmax(-1) @ torch.cat([values, value], 2)


def weighted(query, key, value, pair, seen, bias):
    """The same as a weighted sum of two attentions."""
    front = query @ pair[0].transpose(1, 2) + bias[..., :PREFIX]
    own = query @ key.transpose(2, 3) + bias[..., PREFIX:]
    own = own.masked_fill(~seen, torch.finfo(own.dtype).min)
    share = torch.sigmoid(front.logsumexp(-1, keepdim=True) - own.logsumexp(-1, keepdim=True))
    return share * (front.softmax(-1) @ pair[1]) + (1 - share) * (own.softmax(-1) @ value)


def prefix_all(backbone, p, broken="", attend=joined):
    padding, forwards = backbone.golden["train.attention_mask"].bool()[:, None, None], {}
    for site, (name, both_ways) in SITES.items():
        if broken == f"{site} without prefix":
            continue
        front = "decoder." if broken == "one network" else f"{site}."
        own = {key.removeprefix(front): tensor for key, tensor in p.items() if key.startswith(front)}
        count = blocks(backbone, site)
        rows = projected(own, broken).view(PREFIX, 2 * count, *backbone.heads).permute(1, 2, 0, 3)
        for block in range(count):
            pair = rows[2 * block], rows[2 * block + 1]
            pair = pair[::-1] if broken == "keys and values swapped" else pair
            stack = "decoder" if site == "cross" else site
            place = name.format(block)
            table = backbone.model.get_submodule(f"{stack}.block.0.layer.0.SelfAttention")
            forwards[place] = prefixed(backbone, (place, table, pair), padding, both_ways, broken, attend)
    return Change(forwards=forwards)


def prefixed(backbone, place, padding, both_ways, broken, attend):
    """The forward pass of an attention of T5 with a prefix."""
    name, table, pair = place
    module = backbone.model.get_submodule(name)

    def forward(x, key_value_states=None, **_):
        states = x if key_value_states is None else key_value_states
        parts = (module.q(x), module.k(states), module.v(states))
        query, key, value = (part.unflatten(-1, backbone.heads).transpose(1, 2) for part in parts)
        slots, size = query.shape[2], key.shape[2]
        at = torch.arange(slots) + (0 if broken == "positions from 0" else PREFIX)
        own = torch.arange(size) + (0 if broken == "positions from 0" else PREFIX)
        bidirectional = both_ways and broken != "causal buckets in the encoder"
        bucket = table._relative_position_bucket(torch.cat([torch.arange(PREFIX), own]) - at[:, None], bidirectional)
        bias = table.relative_attention_bias(bucket).permute(2, 0, 1)
        if both_ways is None and broken != "bias in cross-attention":
            bias = torch.zeros_like(bias)
        seen = padding if both_ways is not False else torch.ones(slots, size, dtype=torch.bool).tril()
        return module.o(attend(query, key, value, pair, seen, bias).transpose(1, 2).flatten(2)), None, None

    return forward


def merged(backbone, change, p):
    """The change as one of weights alone, for a model that has every bias."""
    biases = {key.removeprefix(BASE): bias for key, bias in p.items() if key.endswith(".bias")}
    return Change(weights=change.weights | {name: backbone.weights[name] + bias for name, bias in biases.items()})


METHODS = {"bitfit": bitfit, "lora_bitfit": lora_bitfit, "adapter": adapter, "adapter_drop": adapter, "prefix": prefix, "prefix_mlp": prefix}
METHODS["prompt_embedding"] = prompt_embedding
METHODS |= {case: adept(network) for case, network in ADEPT_NETWORK.items()}
METHODS |= {"prefix_all": prefix_all, "prefix_all_mlp": prefix_all}

# Every how many blocks one has no side block, from the first on.
SKIP_EVERY = {"lst": 4, "lst_all": 0}


def ladder_of(case, backbone):
    every = SKIP_EVERY[case]
    return ladders.Ladder(backbone, [block for block in range(backbone.layers) if every == 0 or block % every])


def lst(case, backbone, p, broken=""):
    ladder = ladder_of(case, backbone)
    return Change(side=lambda inputs: ladder(p, inputs, broken))


METHODS |= {case: functools.partial(lst, case) for case in SKIP_EVERY}


def mpt(backbone, p, broken=""):
    return Change(prompt=tasks.product(p, broken))


def source(backbone):
    """Embeddings and mask of T5's input, of which ATTEMPT makes its prompt."""
    golden = backbone.golden
    return backbone.weights[EMBEDDING["t5"]][golden["train.input_ids"]], golden["train.attention_mask"]


def mixture(backbone, p, broken=""):
    return Change(prompt=tasks.mixture(p, *source(backbone), broken))


METHODS |= {"mpt": mpt, "attempt": mixture}


def places(backbone):
    """The stack of an adapter's layer, its block, and 0 (feed-forward) or 1 (self-attention)."""
    stack = lambda layer: "encoder" if layer.startswith("encoder.") else "decoder"
    feeds_forward = lambda module: module.endswith(("DenseReluDense", "mlp"))
    sites = backbone.sites
    return {layer: (stack(layer), block, 0 if feeds_forward(module) else 1) for layer, module, _, block in sites}


def with_norms(backbone, p, adapted, broken=""):
    """Adapters by layer as functions of its output, and changed norms."""
    norms = [] if broken == "norms not trained" else [f"{norm}.weight" for norm in backbone.norms]
    hooks = [after(module, adapted[layer]) for layer, module, _, _ in backbone.sites]
    return Change(hooks, {name: backbone.weights[name] + p[BASE + name] for name in norms})


def of_tasks(case, backbone, p, broken=""):
    made = hyper.adapters(case, p, places(backbone), broken)
    apply = lambda own: lambda y: hyper.apply(own, y, broken)
    return with_norms(backbone, p, {layer: apply(own) for layer, own in made.items()}, broken)


def by_modules(case, backbone, p):
    """The same by torch's modules; HyperFormer's adapters are made once, and then those of `adapter` with a norm."""
    if case in decoders.MISTAKES:
        hooks, forwards = decoders.by_modules(p, backbone)
        return Change(hooks, forwards=forwards)
    layers = places(backbone)
    if case == "adapter_tasks":
        return with_norms(backbone, p, {layer: hyper.modules_of_task(p, layer) for layer in layers})
    tensors, norms = hyper.folded(p, layers, backbone.d, BOTTLENECK)
    apply = lambda layer: lambda y: y + norms[layer](bottleneck(tensors, layer, y, "no inner residual"))
    return with_norms(backbone, p, {layer: apply(layer) for layer in layers})


METHODS |= {case: functools.partial(of_tasks, case) for case in hyper.MISTAKES}


def hyperdecoder(backbone, p, broken=""):
    return Change(decoders.Hyperdecoder(p, broken).hooks(backbone))


def runner(backbone):
    return lambda hooks: backbone.forward(Change(hooks))


METHODS |= dict.fromkeys(decoders.MISTAKES, hyperdecoder)


def cases_of(family, chosen=None):
    return [case for case in chosen or METHODS if family in ONLY.get(case, ALL)]


# ------------------------------------------------------------------------------------------------------ backbones
class Backbone:
    def __init__(self, folder, golden, dtype):
        self.kind, self.model = load(folder, dtype)
        self.family, self.golden, self.dtype = folder.name, golden, dtype
        self.model.requires_grad_(False)
        config, modules = self.model.config, dict(self.model.named_modules())
        self.d, self.layers = config.hidden_size, config.num_hidden_layers
        channels = config.d_kv if self.kind == "t5" else getattr(config, "head_dim", None)
        heads = getattr(config, "num_key_value_heads", config.num_attention_heads)
        self.heads = heads, channels or self.d // config.num_attention_heads
        self.weights = dict(self.model.named_parameters(remove_duplicate=False))
        self.norms = [name for name, module in modules.items() if type(module).__name__.endswith("Norm")]
        self.sites = []
        for name in modules:
            if found := re.fullmatch(SITE[self.kind], name):
                block, _, part = name.rpartition(".")
                self.sites.append((found[1], name, f"{block}.{NORM_OF[self.kind][part]}", int(found[2])))
        self.biased = [name for name, module in modules.items() if getattr(module, "bias", None) is not None]
        if not self.biased:
            linear = [name for name, module in modules.items() if isinstance(module, torch.nn.Linear)]
            self.biased = [name for name in linear + self.norms if re.search(r"\.\d+\.", name)] + ["lm_head"]
        if dtype == torch.float64:
            # transformers' norms and CodeGen's eager attention compute in float32, whatever the model's type.
            for module in self.model.modules():
                if hasattr(module, "variance_epsilon"):
                    module.forward = lambda x, m=module: plain.rms_norm(x, m.weight, m.variance_epsilon)
            if self.kind == "codegen":
                self.model.set_attn_implementation("sdpa")

    def call(self, change, **inputs):
        """The changed model's result for arguments of transformers."""
        if change.side:
            return change.side(inputs)
        if change.prefix:
            cache = DynamicCache([[part.expand(common.B, -1, -1, -1) for part in pair] for pair in change.prefix])
            inputs["cache"] = EncoderDecoderCache(cache, DynamicCache()) if self.kind == "t5" else cache
        with contextlib.ExitStack() as stack:
            for name, kind, hook in change.hooks:
                stack.callback(getattr(self.model.get_submodule(name), kind)(hook).remove)
            for name, forward in change.forwards.items():
                module = self.model.get_submodule(name)
                stack.enter_context(unittest.mock.patch.object(module, "forward", forward))
            return torch.func.functional_call(self.model, change.weights, kwargs=inputs | {"use_cache": False})

    def run(self, change):
        """A decoder's logits for the tokens' embeddings, mask and positions."""

        def run(x, mask, positions):
            mask = pad(mask, (PREFIX, 0), value=1) if change.prefix else mask
            inputs = {"inputs_embeds": x, "attention_mask": mask, "position_ids": positions + change.first}
            return self.call(change, **inputs).logits

        return run

    def enter(self, change, batch):
        """The embedding matrix; the input's embeddings and mask."""
        table, mask = (self.weights | change.weights)[EMBEDDING[self.kind]], self.golden[f"{batch}.attention_mask"]
        x = change.offset(table[self.golden[f"{batch}.input_ids"]])
        return table, *((x, mask) if change.prompt is None else common.adapt("pt", {"prompt": change.prompt}, x, mask))

    def forward(self, change, run=None):
        """Logits and loss."""
        _, x, mask = self.enter(change, "train")
        labels = self.golden["train.labels"]
        if self.kind == "t5":
            result = self.call(change, inputs_embeds=x, attention_mask=mask, labels=labels)
            return result.logits, result.loss
        positions = causal.count_slots(mask)
        assert change.prompt is not None or torch.equal(positions, self.golden["base.position_ids"])
        logits = (run or self.run(change))(x, mask, positions)
        return logits, causal.mean_loss(logits, pad(labels, (x.shape[1] - labels.shape[1], 0), value=-100))

    @torch.no_grad()
    def generate(self, change, broken=""):
        """Greedy output and its margins, or None for both if one is too small."""
        if self.kind == "t5":
            _, x, mask = self.enter(change, "train")
            start = torch.zeros(common.B, 1, dtype=torch.long)
            if change.side:
                # The encoder of the side network reads the states of the model's: both run in every step.
                whole = lambda encoder_outputs, **inputs: self.call(change, inputs_embeds=x, **inputs)
                return t5.greedy(whole, None, mask)
            first = self.call(change, inputs_embeds=x, attention_mask=mask, decoder_input_ids=start)
            return t5.greedy(lambda **inputs: self.call(change, **inputs), first.encoder_last_hidden_state, mask)
        table, x, mask = self.enter(change, "gen")
        embed = lambda ids: change.offset(table[ids])
        if broken == "new tokens embedded plainly":
            embed = lambda ids: self.weights[EMBEDDING[self.kind]][ids]
        count = causal.count_slots if broken == "padding counted" else causal.count_tokens
        return causal.greedy(self.run(change), embed, x, mask, count(mask), broken)

    def comparable(self, case, found):
        """A decoder's logits at padding are arbitrary."""
        mask = found.get(f"{case}.attention_mask", self.golden["train.attention_mask"])
        return slice(None) if self.kind == "t5" else mask.bool()


# ------------------------------------------------------------------------------------------------------ a case
def norm_shapes(backbone):
    return {f"{BASE}{norm}.weight": ((backbone.d,), 0.2) for norm in backbone.norms}


def shapes(case, backbone):
    """Shape and scale of each trained tensor."""
    d, weights = backbone.d, backbone.weights
    width = backbone.heads[0] * backbone.heads[1]
    rows = 2 * backbone.layers * width
    dense = lambda name, i, o, scale: {f"{name}.weight": ((o, i), scale), f"{name}.bias": ((o,), 0.3)}
    biases = {f"{BASE}{name}.bias": (weights[f"{name}.weight"].shape[:1], 0.3) for name in backbone.biased}
    if case == "bitfit":
        return biases
    if case == "lora_bitfit":
        out = {}
        for name in (name for name, _ in backbone.model.named_modules() if re.search(TARGETS[backbone.kind], name)):
            (o, i), key = weights[f"{name}.weight"].shape, f"{BASE}{name}."
            out |= {key + A: ((RANK, i), 0.2), key + "lora_B.weight": ((o, RANK), 0.2)}
        return out | {name: (shape, 0.1) for name, (shape, _) in biases.items()}
    if case == "prefix":
        return {"prompt_embeddings": ((PREFIX, rows), 0.7)}
    if case == "prefix_mlp":
        transform = dense("transform.0", width, HIDDEN, width**-0.5) | dense("transform.2", HIDDEN, rows, 0.4)
        return {"embedding.weight": ((PREFIX, width), 1.0)} | transform
    if METHODS[case] is prefix_all:
        out = {}
        for site in SITES:
            rows = 2 * blocks(backbone, site) * width
            if case == "prefix_all":
                out[f"{site}.prompt_embeddings"] = ((PREFIX, rows), 0.7)
                continue
            out[f"{site}.embedding.weight"] = ((PREFIX, width), 1.0)
            out |= dense(f"{site}.transform.0", width, HIDDEN, width**-0.5)
            out |= dense(f"{site}.transform.2", HIDDEN, rows, 0.4)
        return out
    if case == "prompt_embedding":
        table = weights[EMBEDDING[backbone.kind]]
        delta = {BASE + EMBEDDING[backbone.kind]: (table.shape, 0.3 * table.std().item())}
        return {"prompt_embeddings": ((PROMPT, d), 1.0)} | delta
    out = norm_shapes(backbone)
    for layer, _, _, block in backbone.sites:
        if case == "adapter" or block >= SKIPPED:
            name = f"{BASE}{layer}.adapter"
            out |= dense(f"{name}.down", d, BOTTLENECK, 0.3) | dense(f"{name}.up", BOTTLENECK, d, 0.3)
    return out


def make(case, backbone, seed):
    generator, p = torch.Generator().manual_seed(seed), {}
    if case in tasks.MISTAKES:
        return tasks.random(case, backbone.d, generator)
    if case in hyper.MISTAKES:
        p = hyper.random(case, places(backbone), backbone.d, BOTTLENECK, generator)
    if case in decoders.MISTAKES:
        return decoders.random(case, backbone, BOTTLENECK, generator, runner(backbone))
    if case.startswith("adept_"):
        p = prompts.make(ADEPT_NETWORK[case], backbone.d, generator)
        made = common.make_adapters(generator, backbone.d, 1)["adept"]
        names = {"w_down": "A", "b1": "a", "w_up": "B", "b2": "b"}
        return p | {f"lora_embedding_{letter}": made[name] for name, letter in names.items()}
    if case in SKIP_EVERY:
        p = ladders.random(ladder_of(case, backbone), generator)
        for key in p:
            # As below; a gate would be shut, and the decay of its gradient's sum unseen.
            if not key.endswith("gate"):
                p[key].view(-1)[torch.randint(p[key].numel(), (), generator=generator)] = -3.9
        return p
    entries = norm_shapes(backbone) if case in hyper.MISTAKES else shapes(case, backbone)
    for key, (shape, scale) in entries.items():
        p[key] = scale * torch.randn(shape, generator=generator)
        # The rate is 1e-4, so decay moves a value w by 1.5e-6·w in three steps: a value near 4 makes a missing one
        # visible. A negative one prefers no token where it is the head's bias.
        p[key].view(-1)[torch.randint(p[key].numel(), (), generator=generator)] = -3.9
    return p


PROMPT_OF = {"prompt_embedding": "prompt_embeddings", "adept_residual": "prompt", "mpt": "prompt_embeddings"}


def is_prompt(case, key):
    return key.rpartition(".")[2] == PROMPT_OF.get(case)


def rate_of(case, key):
    return 0.3 if is_prompt(case, key) else 1e-4


def vanishes(name):
    """T5's key biases add the same to all scores of a query: their gradient is mere rounding, which AdamW magnifies."""
    return bool(re.search(r"after3.*Attention\.k\.bias", name))


def limit_of(name):
    if vanishes(name):
        return 10 * common.LIMIT["after3"]
    case, part = name.split(".", 1)
    return common.LIMIT["after3.prompt"] if is_prompt(case, part) and "after3" in part else common.limit_of(name)


def steep(reference, other):
    """`other` with the reference's values after three steps where the gradient is flat: AdamW magnifies the gradient's
    rounding there, and `adept verify` leaves them out. In cases of this many values there are always some."""
    out = dict(other)
    for name in (name for name in other if ".after3." in name and name.split(".")[0] in BY_MODULES):
        flat = reference[name.replace(".after3.", ".grad.", 1)].abs() <= FLAT
        out[name] = torch.where(flat, reference[name].to(other[name].dtype), other[name])
    return out


def measure(case, start, backbone, decay=0.01, kinks=None):
    """All tensors of a case but those of its greedy output; adds to `kinks` the steps after which a unit is near its own."""
    p = {key: tensor.to(backbone.dtype).clone() for key, tensor in start.items()}
    trained = {key: tensor.requires_grad_(True) for key, tensor in p.items() if key not in tasks.FROZEN.get(case, ())}
    groups = [{"params": [tensor], "lr": rate_of(case, key)} for key, tensor in trained.items()]
    adam = torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6, weight_decay=decay)
    rates = torch.optim.lr_scheduler.LambdaLR(adam, common.multiplier)
    out, losses = {}, []
    for step in range(4):
        logits, loss = backbone.forward(METHODS[case](backbone, p))
        losses.append(loss.detach())
        if step == 3:
            break
        adam.zero_grad()
        loss.backward()
        if step == 0:
            out |= {f"{case}.logits": logits.detach(), f"{case}.loss": loss.detach()}
            # Tensors of another task have none, and AdamW leaves them as they are.
            grads = {key: torch.zeros_like(t) if t.grad is None else t.grad.clone() for key, t in trained.items()}
            out |= {f"{case}.grad.{key}": grad for key, grad in grads.items()}
        adam.step()
        rates.step()
        # Units cross their kinks in three steps; what matters is that none stands on one when its gradient is taken.
        if kinks is not None and kinks_of_networks(case, p, backbone, 1e-4):
            kinks.append(step)
    out |= {f"{case}.after3.{key}": tensor.detach() for key, tensor in trained.items()}
    return out | {f"{case}.step_losses": torch.stack(losses)}


def kinks(case, p, backbone):
    """Whether a hidden unit of the network or of the offset is near its kink, where rounding decides the gradient."""
    if case in BY_MODULES:
        return kinks_of_networks(case, p, backbone)
    offset = {"adept": {"w_down": p["lora_embedding_A"], "b1": p["lora_embedding_a"]}}
    x = backbone.weights[EMBEDDING[backbone.kind]][backbone.golden["train.input_ids"]]
    return prompts.near_a_kink(ADEPT_NETWORK[case], p) or common.near_a_kink(offset, x)


def kinks_of_networks(case, p, backbone, *least):
    """The same for networks that make others and, of Hyperdecoders, for those that are made."""
    if case in decoders.MISTAKES:
        return decoders.near_a_kink(p, backbone, runner(backbone), *least)
    return case in hyper.MISTAKES and case != "adapter_tasks" and hyper.near_a_kink(p, places(backbone), *least)


def attempt(case, seed, single, double, batch):
    """A reason to reject a seed or None; trained tensors, all results, those in float64, and the largest deviation."""
    p = make(case, single, seed)
    if (case.startswith("adept_") or case in BY_MODULES) and kinks(case, p, single):
        return "kink", None
    change = METHODS[case](single, p)
    ids, margin = single.generate(change)
    if ids is None:
        return "margin", None
    if min(len(set(row.tolist())) for row in ids) < 3:
        return "dull", None
    if torch.equal(ids, single.golden["base.gen_ids_nostop"]):
        return "without effect", None
    # MPT's new tokens are embedded plainly.
    if change.prompt is not None and single.kind != "t5" and case != "mpt":
        if torch.equal(ids, single.generate(change, "new tokens embedded plainly")[0]):
            return "new tokens without effect", None
    crossed = []
    found = measure(case, p, single, kinks=crossed) | {f"{case}.gen_ids_nostop": ids, f"{case}.gen_margin": margin}
    if crossed:
        return "kink in a later step", None
    if case in ("bitfit", "lora_bitfit") and single.kind == "codegen":
        with torch.no_grad():
            found[f"{case}.merged_logits"] = single.forward(merged(single, change, p))[0]
    if change.prompt is not None:
        found[f"{case}.attention_mask"] = single.enter(change, "train")[2]
    exact = steep(found, measure(case, p, double))
    noise = max(common.difference(name, found | batch, exact) / limit_of(name) for name in exact)
    # Gradients at products are large, and so is their noise, as in golden_weights.py.
    most = 2 if case == "lora_bitfit" else 0.3
    return "noise" if noise > most else None, (p, found, exact, noise)


# ------------------------------------------------------------------------------------------------------ self-checks
def attend(query, key, value, pair, mask, bias, scale):
    """Causal attention with a prefix, [B, h, S, c] each; mask [B, S], bias [h, S, m + S]."""
    group, size = query.shape[1] // pair[0].shape[0], mask.shape[1]
    keys, values = (rows.repeat_interleave(group, 0).expand(common.B, -1, -1, -1) for rows in pair)
    scores = query @ torch.cat([keys, key], 2).transpose(2, 3) * scale + bias
    seen = mask.bool()[:, None, None] & torch.ones(size, size, dtype=torch.bool).tril()
    scores = scores.masked_fill(~pad(seen, (PREFIX, 0), value=True), torch.finfo(scores.dtype).min)
    return (scores.softmax(-1) @ torch.cat([values, value], 2)).transpose(1, 2).flatten(2)


def written_out(backbone, change):
    """Logits with a prefix that enters `attend` instead of a cache of transformers."""
    pairs = iter(change.prefix)
    if backbone.kind != "t5":
        attention = lambda q, k, v, mask, broken: attend(q, k, v, next(pairs), mask, 0, q.shape[-1] ** -0.5)
        run = causal.written_out(backbone.family, backbone.model, backbone.dtype)
        with unittest.mock.patch.object(plain, "attention", attention):
            return backbone.forward(Change(), lambda x, mask, at: run(x, mask, at + change.first))[0]
    modules = [block.layer[0].SelfAttention for block in backbone.model.decoder.block]
    at = change.first + torch.arange(backbone.golden["train.labels"].shape[1])
    distance = torch.cat([torch.arange(PREFIX), at]) - at[:, None]
    bucket = modules[0]._relative_position_bucket(distance, bidirectional=False)
    bias = modules[0].relative_attention_bias(bucket).permute(2, 0, 1)

    def forward(module, x):
        q, k, v = (part(x).unflatten(-1, backbone.heads).transpose(1, 2) for part in (module.q, module.k, module.v))
        return module.o(attend(q, k, v, next(pairs), torch.ones(x.shape[:2]), bias, 1)), None, None

    with contextlib.ExitStack() as stack:
        for module in modules:
            replaced = lambda x, module=module, **_: forward(module, x)
            stack.enter_context(unittest.mock.patch.object(module, "forward", replaced))
        return backbone.forward(Change())[0]


@torch.no_grad()
def check(case, p, found, backbone):
    """Mistakes in tolerances of the logits, at least ten; a missing decay in those of each tensor, at least two."""
    report, where = {}, (backbone.family, case)
    slots = backbone.comparable(case, found)
    limits = lambda logits: (logits - found[f"{case}.logits"])[slots].abs().max().item() / common.LIMIT["logits"]
    if case in ("prefix", "prefix_mlp"):
        assert limits(written_out(backbone, prefix(backbone, p))) < 0.1, where
    elif METHODS[case] is prefix_all:
        assert limits(backbone.forward(prefix_all(backbone, p, attend=weighted))[0]) < 0.1, where
    elif case in SKIP_EVERY:
        same = backbone.forward(Change(side=lambda inputs: ladders.check_identity(backbone, inputs)))[0]
        assert torch.allclose(same[slots], backbone.golden["base.logits"][slots], atol=1e-5), where
    elif case == "attempt":
        assert limits(backbone.forward(Change(prompt=tasks.row_by_row(p, *source(backbone))))[0]) < 0.1, where
    elif case not in ("prompt_embedding", "mpt") and not case.startswith("adept_"):
        nothing = {key: torch.zeros_like(tensor) for key, tensor in p.items()}
        logits = backbone.forward(METHODS[case](backbone, nothing))[0]
        assert torch.allclose(logits[slots], backbone.golden["base.logits"][slots], atol=1e-5), where
    if case in BY_MODULES:
        assert limits(backbone.forward(by_modules(case, backbone, p))[0]) < 0.1, where
    for broken in (name for name, families in MISTAKES[case].items() if backbone.family in families):
        change = METHODS[case](backbone, p, broken)
        # T5 counts distances, not positions, and its cache decides on them.
        by_cache = backbone.kind == "t5" and change.prefix and broken == "positions from 0"
        logits = written_out(backbone, change) if by_cache else backbone.forward(change)[0]
        # The two variants of gelu differ by at most 5e-4.
        common.require(report, broken, limits(logits), 5 if broken == "exact gelu" else 10)
    with torch.enable_grad():
        other = steep(found, measure(case, p, backbone, decay=0))
    names = [name for name in other if ".after3." in name and not vanishes(name) and not name.endswith("gate")]
    names = [name for name in names if not hyper.is_idle(name)]
    least = min(common.difference(name, found, other) / limit_of(name) for name in names)
    common.require(report, "no decay", least, 2)
    return report


def repaired(wrapped, kind):
    """peft's model, with transformers' keyword `cache` and T5's two caches."""
    get_prompt, prepare = wrapped.get_prompt, wrapped.base_model_prepare_inputs_for_generation
    old_name = lambda name: "past_key_values" if name == "cache" else name
    renamed = lambda *args, **kwargs: {old_name(name): value for name, value in prepare(*args, **kwargs).items()}
    wrapped.base_model_prepare_inputs_for_generation = renamed
    if kind == "t5":
        wrapped.get_prompt = lambda *args, **kwargs: EncoderDecoderCache(get_prompt(*args, **kwargs), DynamicCache())
    return wrapped.eval()


def generated(wrapped, backbone):
    """The tokens added by peft's `generate`, padded to 20; the end token and the padding."""
    if backbone.kind != "t5":
        end = causal.EOS[backbone.family]
        return causal.generated(wrapped, backbone.golden), end, end
    inputs = {name: backbone.golden[f"train.{name}"] for name in ("input_ids", "attention_mask")}
    ids = wrapped.generate(**inputs, max_new_tokens=common.NEW_TOKENS, do_sample=False)[:, 1:]
    return pad(ids, (0, common.NEW_TOKENS - ids.shape[1])), 1, 0


# ------------------------------------------------------------------------------------------------------ files
def save_prefix(folder, target, case, p, found, backbone):
    """Saves a prefix by peft, with whose logits, gradients and greedy output it must agree."""
    where, slots = (backbone.family, case), backbone.comparable(case, found)
    sizes = {"token_dim": backbone.heads[0] * backbone.heads[1], "num_attention_heads": backbone.heads[0]}
    config = peft.PrefixTuningConfig(
        task_type="SEQ_2_SEQ_LM" if backbone.kind == "t5" else "CAUSAL_LM",
        num_virtual_tokens=PREFIX,
        num_transformer_submodules=1,
        prefix_projection=case == "prefix_mlp",
        encoder_hidden_size=HIDDEN if case == "prefix_mlp" else None,
        **(sizes if backbone.kind == "t5" else {}),
    )
    wrapped = repaired(peft.get_peft_model(load(folder)[1], config), backbone.kind)
    encoder, names = wrapped.prompt_encoder["default"], {"prompt_embeddings": "embedding.weight"}
    encoder.load_state_dict({names.get(key, key): tensor for key, tensor in p.items()}, strict=True)
    result = wrapped(**inputs_of(backbone.kind, backbone.golden))
    result.loss.backward()
    assert torch.allclose(result.logits[slots], found[f"{case}.logits"][slots], atol=1e-5), where
    for key in p:
        grad = encoder.get_parameter(names.get(key, key)).grad
        assert torch.allclose(grad, found[f"{case}.grad.{key}"], atol=common.LIMIT["grad"] / 3), (where, key)
    ids, end, padding = generated(wrapped, backbone)
    assert torch.equal(ids, common.pad_after_eos(found[f"{case}.gen_ids_nostop"], end, padding)), where
    saved = common.save_by_peft(wrapped, target / case)
    assert list(saved) == ["prompt_embeddings"]
    safetensors.torch.save_file(saved | p, target / case / "adapter_model.safetensors")
    if case == "prefix_mlp":
        # The project's own key: the trained tensors are there, too.
        path = target / case / "adapter_config.json"
        common.write_json(path, json.loads(path.read_text()) | {"adept": {"hidden": HIDDEN}})
    # peft reads the result, and ignores the tensors beside it.
    again = repaired(peft.PeftModel.from_pretrained(load(folder)[1], target / case), backbone.kind)
    with torch.no_grad():
        logits = again(**inputs_of(backbone.kind, backbone.golden)).logits
    assert torch.allclose(logits[slots], found[f"{case}.logits"][slots], atol=1e-5), where


def save_mpt(folder, target, p, found, backbone):
    """Saves MPT's tensors by peft, with whose logits, gradients and greedy output they must agree."""
    where, slots = (backbone.family, "mpt"), backbone.comparable("mpt", found)
    config = peft.MultitaskPromptTuningConfig(
        task_type="SEQ_2_SEQ_LM" if backbone.kind == "t5" else "CAUSAL_LM",
        num_virtual_tokens=tasks.M,
        num_transformer_submodules=1,
        num_tasks=tasks.MPT_TASKS,
        num_ranks=tasks.MPT_RANK,
    )
    wrapped = peft.get_peft_model(load(folder)[1], config).eval()
    encoder, names = wrapped.prompt_encoder["default"], {"prompt_embeddings": "embedding.weight"}
    encoder.load_state_dict({names.get(key, key): tensor for key, tensor in p.items()}, strict=True)
    inputs = inputs_of(backbone.kind, backbone.golden) | {"task_ids": torch.full((common.B,), tasks.TASK)}
    result = wrapped(**inputs)
    result.loss.backward()
    assert torch.allclose(result.logits[slots], found["mpt.logits"][slots], atol=1e-5), where
    for key in p:
        grad = encoder.get_parameter(names.get(key, key)).grad
        assert torch.allclose(grad, found[f"mpt.grad.{key}"], atol=common.LIMIT["grad"] / 3), (where, key)
    ours = found["mpt.gen_ids_nostop"]
    if backbone.kind != "t5":
        # Without repair the prompt enters at every new token; behind a prompt, peft counts a decoder's padding.
        wrapped, ours = repaired(wrapped, backbone.kind), backbone.generate(mpt(backbone, p), "padding counted")[0]
    wrapped.generate = functools.partial(wrapped.generate, task_ids=inputs["task_ids"])
    ids, end, padding = generated(wrapped, backbone)
    assert torch.equal(ids, common.pad_after_eos(ours, end, padding)), where
    saved = common.save_by_peft(wrapped, target / "mpt")
    assert saved.keys() == p.keys() and all(torch.equal(saved[key], p[key]) for key in p), where
    path = target / "mpt" / "adapter_config.json"
    common.write_json(path, json.loads(path.read_text()) | tasks.config("mpt", source_width(backbone)))
    # peft reads the result.
    with torch.no_grad():
        logits = peft.PeftModel.from_pretrained(load(folder)[1], target / "mpt").eval()(**inputs).logits
    assert torch.allclose(logits[slots], found["mpt.logits"][slots], atol=1e-5), where


def source_width(backbone):
    return backbone.golden["train.input_ids"].shape[1]


def save(target, case, p, backbone):
    config = {
        "base_model_name_or_path": "",
        "inference_mode": True,
        "peft_type": "LST" if case in SKIP_EVERY else case.upper(),
        "task_type": "SEQ_2_SEQ_LM" if backbone.kind == "t5" else "CAUSAL_LM",
    }
    if case == "lora_bitfit":
        targets = {"t5": ["q", "v"], "llama": ["q_proj", "v_proj"], "codegen": ["qkv_proj"]}[backbone.kind]
        config |= {"bias": "none", "lora_alpha": ALPHA, "lora_dropout": 0.0, "r": RANK, "target_modules": targets}
    if case in ("adapter", "adapter_drop"):
        config |= {"bottleneck": BOTTLENECK, "placement": "houlsby", "train_norms": True}
    if case in BY_MODULES:
        config |= (decoders if case in decoders.MISTAKES else hyper).config(case, BOTTLENECK)
    if case == "adapter_drop":
        config["skip_blocks"] = SKIPPED
    tensors = p
    if case.startswith("adept_"):
        network = ADEPT_NETWORK[case]
        own = {"hidden": prompts.H, "prompt": case.removeprefix("adept_")}
        config |= {"peft_type": "PROMPT_TUNING_LORAX", "r": common.BOTTLENECK, "adept": own}
        config |= {"num_virtual_tokens": prompts.M, "token_dim": backbone.d, "num_transformer_submodules": 1}
        tensors = p | {"prompt_embeddings": prompts.NETWORKS[network](p)}
    if METHODS[case] is prefix_all:
        own = {"encoder_layers": blocks(backbone, "encoder"), "sites": "all"}
        config |= {"peft_type": "PREFIX_TUNING_ALL", "num_layers": blocks(backbone, "decoder")}
        config |= {"num_virtual_tokens": PREFIX, "num_transformer_submodules": 1}
        config |= {"num_attention_heads": backbone.heads[0], "token_dim": backbone.heads[0] * backbone.heads[1]}
        config["adept"] = own | ({"hidden": HIDDEN} if case == "prefix_all_mlp" else {})
    if case in SKIP_EVERY:
        config |= {"reduction": ladders.REDUCTION, "skip_every": SKIP_EVERY[case], "temperature": ladders.TEMPERATURE}
    if case == "prompt_embedding":
        config |= {"num_virtual_tokens": PROMPT, "token_dim": backbone.d, "num_transformer_submodules": 1}
    if case == "attempt":
        config |= tasks.config(case, source_width(backbone)) | {"token_dim": backbone.d}
    (target / case).mkdir(parents=True, exist_ok=True)
    common.write_json(target / case / "adapter_config.json", dict(sorted(config.items())))
    safetensors.torch.save_file(tensors, target / case / "adapter_model.safetensors")


def find(case, single, double, batch, known):
    """The first usable seed, with its tensors. A known one is used as it is: rounding differs between processors."""
    rejected = {}
    for seed in range(10_000) if known is None else [known]:
        reason, made = attempt(case, seed, single, double, batch)
        if reason is None or (made and known is not None):
            try:
                report = check(case, *made[:2], single)
                break
            except AssertionError as cause:
                reason = str(cause)
        rejected[reason] = rejected.get(reason, 0) + 1
    else:
        raise SystemExit(f"{single.family}, {case}: no usable seed; {rejected}")
    print(f"{single.family}, {case}: seed {seed}; rejected before it: {rejected}")
    for name, ratio in (report | {"float64": made[3]}).items():
        print(f"  {ratio:12.2f} limits  {name}")
    return seed, made[:3]


def kept(folder, cases):
    """Tensors and noise of the cases that a folder has beside these."""
    if not (folder / FILE).exists():
        return {}, {}
    other = lambda named: {name: value for name, value in named.items() if name.split(".")[0] not in cases}
    noise = json.loads((folder / NOISE_FILE).read_text())["tensors"]
    return other(safetensors.torch.load_file(folder / FILE)), other(noise)


def write(folder, target, seeds, chosen=None):
    golden = safetensors.torch.load_file(folder / "golden.safetensors")
    single, double = (Backbone(folder, golden, dtype) for dtype in (torch.float32, torch.float64))
    batch = {name: golden[name] for name in ("train.attention_mask", "gen.input_ids") if name in golden}
    new, exact, used, cases = {}, {}, {}, cases_of(folder.name, chosen)
    for case in cases:
        seed, (p, found, in_double) = find(case, single, double, batch, seeds.get(case))
        if METHODS[case] is prefix:
            save_prefix(folder, target, case, p, found, single)
        elif case == "mpt":
            save_mpt(folder, target, p, found, single)
        else:
            save(target, case, p, single)
        new, exact, used[case] = new | found, exact | in_double, seed
    assert all(tensor.isfinite().all() for tensor in (new | exact).values())
    tensors = {name: tensor.detach().contiguous().clone() for name, tensor in sorted(new.items())}
    old, old_noise = kept(folder, cases) if chosen else ({}, {})
    used = (seeds if chosen else {}) | used
    safetensors.torch.save_file(dict(sorted((old | tensors).items())), target / FILE, {"seeds": json.dumps(used)})
    noise = common.noise(new | batch, exact)
    # Another backend may round any of them as badly as PyTorch its worst.
    rounding = [name for name in noise if vanishes(name)]
    for name in rounding:
        noise[name]["noise"] = max(noise[other]["noise"] for other in rounding)
    # A gradient that is rounding alone has no scale to compare it with.
    noise = {name: entry for name, entry in noise.items() if not re.search(r"grad.*Attention\.k\.bias", name)}
    common.write_json(target / NOISE_FILE, {"tensors": dict(sorted((old_noise | noise).items()))})
    # safetensors makes files private to their owner; these should be readable by everyone.
    for path in [target / FILE, *(target / case / "adapter_model.safetensors" for case in cases)]:
        path.chmod(0o644)
    return tensors


def compare(folder, target, new, chosen=None):
    old, cases = safetensors.torch.load_file(folder / FILE), cases_of(folder.name, chosen)
    if chosen:
        old = {name: tensor for name, tensor in old.items() if name.split(".")[0] in cases}
    assert old.keys() == new.keys(), old.keys() ^ new.keys()
    for name, tensor in steep(old, new).items():
        deviation = (tensor.double() - old[name].double()).abs().max().item()
        assert deviation <= (limit_of(name) if tensor.is_floating_point() else 0), (folder.name, name, deviation)
    for case in cases:
        texts = [(root / case / "adapter_config.json").read_bytes() for root in (folder, target)]
        a, b = (safetensors.torch.load_file(root / case / "adapter_model.safetensors") for root in (folder, target))
        assert texts[0] == texts[1] and a.keys() == b.keys(), (folder.name, case)
        assert all(torch.allclose(a[key], b[key], atol=1e-6) for key in a), (folder.name, case)
    print(f"{folder.name}: {len(new)} tensors and {len(cases)} adapters agree")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--goldens", type=pathlib.Path, default=common.HERE.parent / "goldens")
    parser.add_argument("--only", choices=FAMILIES)
    parser.add_argument("--cases", nargs="+", choices=METHODS, help="these alone; others stay as they are")
    parser.add_argument("--check", action="store_true", help="write nothing, compare with a fresh computation")
    parser.add_argument("--new-seeds", action="store_true", help="look for every seed anew")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for family in [arguments.only] if arguments.only else FAMILIES:
        folder, seeds = arguments.goldens / family, {}
        if (folder / FILE).exists():
            with safetensors.safe_open(folder / FILE, "pt") as file:
                seeds = json.loads(file.metadata()["seeds"])
        if arguments.new_seeds:
            seeds = {case: seed for case, seed in seeds.items() if case not in (arguments.cases or METHODS)}
        with tempfile.TemporaryDirectory() as scratch:
            target = pathlib.Path(scratch) if arguments.check else folder
            new = write(folder, target, seeds, arguments.cases)
            if arguments.check:
                compare(folder, target, new, arguments.cases)


if __name__ == "__main__":
    main()
