"""A ladder side network (Sung, Cho and Bansal, 2022) beside transformers' models, for `golden_methods.py`.

The side network is transformers' own model of the same family with every width divided by the reduction and the kept
blocks alone; its input and the input of its blocks are replaced. With the model's states `x` (what enters block 0) and
`h_i` (what leaves block i), for each stack:

    s = down_first(x);  at each kept block i: g = sigmoid(alpha_i / T), s = block_i(g·s + (1 - g)·down_i(h_i))

and the logits are the model's head's of `up(norm(s))`. The decoder's blocks attend to the side network's encoder.

| key in files | what |
|---|---|
| `side.<stack>.gate` | alpha of every block, kept or not |
| `side.<stack>.down.first`, `side.<stack>.down.<i>` | linear maps with bias into the side network |
| `side.<name>` | a tensor of a kept block, of the final norm or of T5's table of positions, by its name in the model |
| `side.up` | the linear map with bias out of it |
"""

import contextlib
import re
import types

import torch
from torch.func import functional_call
from transformers import CodeGenConfig, CodeGenModel, LlamaConfig, LlamaModel, T5Config, T5Model

import golden_causal_forward as plain

REDUCTION, TEMPERATURE = 2, 0.1
# Blocks by stack: the modules of a model, and the start of their tensors' names in it.
STACKS = {
    "t5": {"encoder": "encoder.block", "decoder": "decoder.block"},
    "llama": {"decoder": "model.layers"},
    "codegen": {"decoder": "transformer.h"},
}
# What the bare model's names lack of those of the model with a head.
OUTER = {"t5": "", "llama": "model.", "codegen": "transformer."}


def reduced(kind, config, blocks, r):
    """The family's model without a head, with `blocks` blocks in each stack and widths over `r`."""
    values = config.to_dict()
    if kind == "t5":
        narrow = ("d_model", "d_kv", "d_ff")
        values |= {"num_layers": blocks, "num_decoder_layers": blocks}
    elif kind == "llama":
        values["head_dim"] = values.get("head_dim") or config.hidden_size // config.num_attention_heads
        narrow = ("hidden_size", "intermediate_size", "head_dim")
        values["num_hidden_layers"] = blocks
    else:
        values["n_inner"] = values["n_inner"] or 4 * config.n_embd
        narrow = ("n_embd", "n_inner", "rotary_dim")
        values["n_layer"] = blocks
    for key in narrow:
        assert values[key] % r == 0, key
        values[key] //= r
    types_of = {"t5": (T5Config, T5Model), "llama": (LlamaConfig, LlamaModel), "codegen": (CodeGenConfig, CodeGenModel)}
    make, model = types_of[kind]
    return model(make(**values)).eval()


class Ladder:
    """The side network of a backbone; its tensors are given to every call."""

    def __init__(self, backbone, kept, r=REDUCTION):
        self.backbone, self.kept, self.r, self.kind = backbone, kept, r, backbone.kind
        config = backbone.model.config
        self.blocks, self.width = backbone.layers, backbone.d // r
        attention = getattr(config, "_attn_implementation", None)
        self.side = reduced(self.kind, config, len(kept), r).to(backbone.dtype)
        if self.kind != "t5":
            self.side.set_attn_implementation(attention)
        if backbone.dtype == torch.float64:
            for module in self.side.modules():
                if hasattr(module, "variance_epsilon"):
                    module.forward = lambda x, m=module: plain.rms_norm(x, m.weight, m.variance_epsilon)
        # Names in the side model, by key in files.
        self.names = {}
        for name, _ in self.side.named_parameters():
            if not re.search(r"shared|embed_tokens|wte", name):
                self.names[self.key(name)] = name

    def key(self, name):
        """The name in files of a tensor of the side model, whose blocks are the kept ones."""
        name = OUTER[self.kind] + name
        if "relative_attention_bias" in name:
            return f"side.{name}"
        own = lambda found: f"{found[1]}{self.kept[int(found[2])]}{found[3]}"
        return "side." + re.sub(r"^(.*?\.)(\d+)(\..*)$", own, name)

    def shapes(self):
        """Every tensor of the file, with its shape."""
        d, parameters = self.backbone.d, dict(self.side.named_parameters())
        out = {key: parameters[name].shape for key, name in self.names.items()}
        for stack in STACKS[self.kind]:
            out[f"side.{stack}.gate"] = (self.blocks,)
            for rung in ("first", *self.kept):
                out[f"side.{stack}.down.{rung}.weight"] = (self.width, d)
                out[f"side.{stack}.down.{rung}.bias"] = (self.width,)
        return out | {"side.up.weight": (d, self.width), "side.up.bias": (d,)}

    def states(self, inputs):
        """What enters the first block of each stack of the backbone, then what leaves each block; its result."""
        found = {stack: [] for stack in STACKS[self.kind]}
        first = lambda output: output[0] if isinstance(output, tuple) else output
        with contextlib.ExitStack() as stack:
            for name, blocks in STACKS[self.kind].items():
                modules = self.backbone.model.get_submodule(blocks)
                into, out = found[name], lambda _, args, output, into=found[name]: into.append(first(output))
                enter = lambda _, args, into=into: into.append(args[0])
                stack.callback(modules[0].register_forward_pre_hook(enter).remove)
                for module in modules:
                    stack.callback(module.register_forward_hook(out).remove)
            result = self.backbone.model(**inputs, use_cache=False)
        return found, result

    def climb(self, p, found, inputs, result, broken):
        """States [B, n, d'] after the side network's final norm."""
        dense = lambda name, x: x @ p[f"side.{name}.weight"].T + p[f"side.{name}.bias"]
        last = {}
        with contextlib.ExitStack() as stack:
            for name, blocks in STACKS[self.kind].items():
                modules = self.side.get_submodule(blocks.removeprefix(OUTER[self.kind]))
                for place, block in enumerate(self.kept):
                    temperature = 1.0 if broken == "no temperature" else TEMPERATURE
                    gate = torch.sigmoid(p[f"side.{name}.gate"][block] / temperature)
                    gate = 1 - gate if broken == "gate reversed" else gate
                    state = found[name][block if broken == "state before the block" else block + 1]
                    entering = (1 - gate) * dense(f"{name}.down.{block}", state)
                    mix = lambda _, args, gate=gate, entering=entering: (gate * args[0] + entering, *args[1:])
                    stack.callback(modules[place].register_forward_pre_hook(mix).remove)
                keep = lambda _, args, output, name=name: last.update({name: output})
                stack.callback(modules[-1].register_forward_hook(keep).remove)
            begin = {name: dense(f"{name}.down.first", found[name][0]) for name in found}
            weights = {name: p[key] for key, name in self.names.items()}
            if self.kind == "t5":
                kwargs = {"decoder_inputs_embeds": begin["decoder"], "attention_mask": inputs["attention_mask"]}
                if broken == "cross-attention to the backbone":
                    encoded = dense("encoder.down.first", result.encoder_last_hidden_state)
                    kwargs["encoder_outputs"] = (encoded,)
                else:
                    kwargs["inputs_embeds"] = begin["encoder"]
                if broken == "no encoder norm":
                    # The norm's input takes the place of its output.
                    norm = self.side.encoder.final_layer_norm
                    stack.callback(norm.register_forward_hook(lambda _, args, output: args[0]).remove)
            else:
                kwargs = {"inputs_embeds": begin["decoder"], "attention_mask": inputs["attention_mask"]}
                kwargs["position_ids"] = inputs["position_ids"]
            out = functional_call(self.side, weights, kwargs=kwargs | {"use_cache": False}).last_hidden_state
        if broken == "no side norm":
            out = last["decoder"]
            return out[0] if isinstance(out, tuple) else out
        return out

    def __call__(self, p, inputs, broken=""):
        """Logits and loss, as of transformers' models."""
        labels = inputs.pop("labels", None) if self.kind != "t5" else inputs.get("labels")
        found, result = self.states(inputs)
        top = self.climb(p, found, inputs, result, broken)
        up = top if broken == "no up" else top @ p["side.up.weight"].T + p["side.up.bias"]
        model = self.backbone.model
        if self.kind == "t5" and model.config.scale_decoder_outputs and broken != "head not scaled":
            up = up * self.backbone.d**-0.5
        logits, loss = model.lm_head(up), None
        if labels is not None:
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)
        encoded = getattr(result, "encoder_last_hidden_state", None)
        return types.SimpleNamespace(logits=logits, loss=loss, encoder_last_hidden_state=encoded)


def random(ladder, generator):
    """Tensors with which every part of the ladder matters."""
    p, config = {}, ladder.backbone.model.config
    # Embeddings as a head give large logits, unless they are scaled: their noise is a large part of the tolerances.
    rise = 0.4 if config.tie_word_embeddings and ladder.kind != "t5" else 1.2
    for key, shape in ladder.shapes().items():
        value = torch.randn(shape, generator=generator)
        if key.endswith("gate"):
            value *= 1.5 * TEMPERATURE
        elif re.search(r"(norm|ln_1|ln_f)\.weight$", key):
            value = 1 + 0.2 * value
        elif key.endswith("bias") or "relative_attention_bias" in key:
            value *= 0.3
        else:
            gain = 3.0 if re.search(r"fc_out|down_proj|wo\.", key) else 1.2
            gain = rise if key == "side.up.weight" else gain
            value *= gain * shape[1] ** -0.5
        p[key] = value
    return p


@torch.no_grad()
def check_identity(backbone, inputs):
    """With the model's own widths and weights, closed gates and identities around it, the side network is the model."""
    ladder = Ladder(backbone, list(range(backbone.layers)), 1)
    p = {key: torch.zeros(shape, dtype=backbone.dtype) for key, shape in ladder.shapes().items()}
    p |= {key: backbone.weights[key.removeprefix("side.")] for key in ladder.names}
    for stack in STACKS[backbone.kind]:
        p[f"side.{stack}.gate"] += 100
        p[f"side.{stack}.down.first.weight"] += torch.eye(backbone.d, dtype=backbone.dtype)
    p["side.up.weight"] += torch.eye(backbone.d, dtype=backbone.dtype)
    return ladder(p, inputs)
