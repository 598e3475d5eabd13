"""CodeGen and Llama reimplemented without transformers.

`golden_causal.py` compares this with transformers, runs it in float64, and uses it to introduce typical mistakes.
`broken` names one mistake; a golden folder must detect every mistake in `CODEGEN_MISTAKES` and `LLAMA_MISTAKES`.

Shapes: B rows, L slots, d model width, h heads, g key/value heads, c channels a head, V vocabulary. `weights` are a
checkpoint's tensors by name, linear maps [out, in]. Embeddings are [B, L, d], masks and positions [B, L], logits [B, L, V].
"""

import math

import torch

CODEGEN_MISTAKES = [
    "query | key | value",
    "one block of query | value | key",
    "query, value, key head by head",
    "rotary halves",
    "rotary on the last channels",
    "rotary on every channel",
    "frequencies of the whole head",
    "no rotary",
    "feed-forward reads the attention's sum",
    "no head bias",
    "no bias in the feed-forward",
    "scores not scaled",
    "norm without mean",
    "exact gelu",
    "future visible",
]
LLAMA_MISTAKES = [
    "rotary neighbours",
    "no rotary",
    "no rope scaling",
    "every frequency scaled",
    "no smooth middle",
    "theta 10000",
    "heads dealt out to groups in turn",
    "gate and up swapped",
    "gelu gate",
    "scores not scaled",
    "feed-forward reads the block's input",
    "no final norm's weight",
    "future visible",
]


def attention(query, key, value, mask, broken):
    """[B, h, L, c] each, mask [B, L]: [B, L, h·c]."""
    length, channels = query.shape[-2:]
    scores = query @ key.transpose(2, 3)
    if broken != "scores not scaled":
        scores = scores / math.sqrt(channels)
    seen = mask.bool()[:, None, None, :]
    if broken != "future visible":
        seen = seen & torch.ones(length, length, dtype=torch.bool).tril()
    # The smallest finite number, so that a slot that sees nothing does not give NaN.
    scores = scores.masked_fill(~seen, torch.finfo(scores.dtype).min)
    out = scores.softmax(-1) @ value
    return out.transpose(1, 2).flatten(2)


def turn(first, second, angles):
    cos, sin = angles.cos(), angles.sin()
    return first * cos - second * sin, second * cos + first * sin


def neighbours(x, angles):
    """Channels 2i and 2i + 1 make a pair; `angles` is [B, 1, L, pairs]."""
    return torch.stack(turn(x[..., 0::2], x[..., 1::2], angles), -1).flatten(-2)


def halves(x, angles):
    """Channels i and i + c/2 make a pair."""
    half = x.shape[-1] // 2
    return torch.cat(turn(x[..., :half], x[..., half:], angles), -1)


def frequencies(base, channels, turned=None):
    places = torch.arange(0, turned or channels, 2, dtype=torch.float64)
    return base ** (-places / channels)


def angles_of(positions, frequency, like):
    return (positions[:, None, :, None].double() * frequency).to(like.dtype)


# ------------------------------------------------------------------------------------------------------------ CodeGen
def split_heads(fused, heads, broken):
    """The fused projection [B, L, 3d] as query, key and value [B, h, L, c].

    It consists of 4 blocks (the model was trained on 4 devices), each with query | value | key for a quarter of the
    heads.
    """
    blocks = {"one block of query | value | key": 1, "query, value, key head by head": heads}.get(broken, 4)
    rows, length, width = fused.shape
    parts = fused.view(rows, length, blocks, 3, width // 3 // blocks).unbind(3)
    query, value, key = [part.reshape(rows, length, heads, -1).transpose(1, 2) for part in parts]
    if broken == "query | key | value":
        key, value = value, key
    return query, key, value


def codegen_rotary(x, positions, turned, broken):
    width = x.shape[-1]
    if broken == "no rotary":
        return x
    if broken == "rotary on every channel":
        return neighbours(x, angles_of(positions, frequencies(10000.0, width), x))
    channels = width if broken == "frequencies of the whole head" else turned
    angles = angles_of(positions, frequencies(10000.0, channels, turned), x)
    rotate = halves if broken == "rotary halves" else neighbours
    if broken == "rotary on the last channels":
        return torch.cat([x[..., : width - turned], rotate(x[..., width - turned :], angles)], -1)
    return torch.cat([rotate(x[..., :turned], angles), x[..., turned:]], -1)


def layer_norm(x, weights, name, eps, broken):
    centred = x if broken == "norm without mean" else x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.pow(2).mean(-1, keepdim=True) + eps).sqrt()
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def gelu(x, broken=""):
    if broken == "exact gelu":
        return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def codegen(weights, config, x, mask, positions, broken=""):
    eps, heads = config["layer_norm_epsilon"], config["n_head"]
    biased = broken != "no bias in the feed-forward"
    for number in range(config["n_layer"]):
        block = f"transformer.h.{number}"
        linear = lambda x, name: x @ weights[f"{block}.{name}.weight"].T
        bias = lambda name: weights[f"{block}.{name}.bias"] if biased else 0
        normed = layer_norm(x, weights, f"{block}.ln_1", eps, broken)
        query, key, value = split_heads(linear(normed, "attn.qkv_proj"), heads, broken)
        query, key = (codegen_rotary(part, positions, config["rotary_dim"], broken) for part in (query, key))
        attended = linear(attention(query, key, value, mask, broken), "attn.out_proj")
        if broken == "feed-forward reads the attention's sum":
            normed = layer_norm(x + attended, weights, f"{block}.ln_1", eps, broken)
        inner = gelu(linear(normed, "mlp.fc_in") + bias("mlp.fc_in"), broken)
        x = x + attended + linear(inner, "mlp.fc_out") + bias("mlp.fc_out")
    logits = layer_norm(x, weights, "transformer.ln_f", eps, broken) @ weights["lm_head.weight"].T
    return logits if broken == "no head bias" else logits + weights["lm_head.bias"]


# -------------------------------------------------------------------------------------------------------------- Llama
def rope_of(config):
    """Base and scaling, from either form of `config.json`: two fields, or `rope_parameters` from transformers 5."""
    if "rope_parameters" in config:
        return config["rope_parameters"]["rope_theta"], config["rope_parameters"]
    return config["rope_theta"], config["rope_scaling"] or {"rope_type": "default"}


def llama_frequencies(config, broken=""):
    base, scaling = rope_of(config)
    base = 10000.0 if broken == "theta 10000" else base
    channels = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    plain = frequencies(base, channels)
    if scaling["rope_type"] == "default" or broken == "no rope scaling":
        return plain
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    original, slow = scaling["original_max_position_embeddings"], plain / scaling["factor"]
    if broken == "every frequency scaled":
        return slow
    wavelength = 2 * math.pi / plain
    s = (original / wavelength - low) / (high - low)
    s = s.round() if broken == "no smooth middle" else s
    return torch.where(wavelength < original / high, plain, torch.where(wavelength > original / low, slow, (1 - s) * slow + s * plain))


def rms_norm(x, weight, eps):
    return weight * (x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt())


def llama(weights, config, x, mask, positions, broken=""):
    eps, h, g = config["rms_norm_eps"], config["num_attention_heads"], config["num_key_value_heads"]
    angles = angles_of(positions, llama_frequencies(config, broken), x)
    rotate = neighbours if broken == "rotary neighbours" else halves
    for number in range(config["num_hidden_layers"]):
        block = f"model.layers.{number}"
        linear = lambda x, name: x @ weights[f"{block}.{name}.weight"].T
        normed = rms_norm(x, weights[f"{block}.input_layernorm.weight"], eps)
        heads = lambda name, count: linear(normed, f"self_attn.{name}").unflatten(-1, (count, -1)).transpose(1, 2)
        query, key, value = heads("q_proj", h), heads("k_proj", g), heads("v_proj", g)
        if broken != "no rotary":
            query, key = rotate(query, angles), rotate(key, angles)
        if broken == "heads dealt out to groups in turn":
            key, value = (part.repeat(1, h // g, 1, 1) for part in (key, value))
        else:
            key, value = (part.repeat_interleave(h // g, 1) for part in (key, value))
        entered = x
        x = x + linear(attention(query, key, value, mask, broken), "self_attn.o_proj")
        read = entered if broken == "feed-forward reads the block's input" else x
        normed = rms_norm(read, weights[f"{block}.post_attention_layernorm.weight"], eps)
        gate, up = linear(normed, "mlp.gate_proj"), linear(normed, "mlp.up_proj")
        if broken == "gate and up swapped":
            gate, up = up, gate
        gate = gelu(gate) if broken == "gelu gate" else gate * torch.sigmoid(gate)
        x = x + linear(gate * up, "mlp.down_proj")
    norm = weights["model.norm.weight"]
    x = rms_norm(x, torch.ones_like(norm) if broken == "no final norm's weight" else norm, eps)
    return x @ weights.get("lm_head.weight", weights["model.embed_tokens.weight"]).T
