"""Hyperdecoders (Ivison and Peters, 2022), for `golden_methods.py`: networks beside T5's feed-forward layers, those of
the decoder made of each row's input. The model's own tensors are frozen, norms included.

With n = norm(x), a layer gives `x + FF(n) + relu(n·W_d + b_d)·W_u + b_u`.

| case | z, of which the decoder's networks are made |
|---|---|
| `hyperdecoder` | `W_b·relu(W_a·s + b_a) + b_b` of the s below |
| `hyperdecoder_direct` | s: the mean of the encoder's output, behind its norm, over the row's unmasked positions |

The encoder's networks are tensors of the file, as in `adapter`. Those of the decoder's block i are made of
u = relu(H·[z; embedding i] + h) by linear maps with bias, the same for all blocks: flat, by rows of W_d's [d, r] and of
W_u's [r, d]. They are made once and serve every step of decoding. Through s, gradients reach the encoder's networks, too.

Shapes: B rows, d model width, r bottleneck.
"""

import torch

from golden_hyper import loaded

BASE = "base_model.model."
EMBEDDING, HIDDEN = 10, 128
MADE = ("down_weight", "down_bias", "up_weight", "up_bias")
IN_BOTH = (
    "input before the norm",
    "behind the layer",
    "mean over padding",
    "state before the final norm",
    "block 0 everywhere",
    "first row's weights",
    "no relu in network",
    "no relu of hidden",
    "down not transposed",
    "up not transposed",
    "no encoder networks",
    "no decoder networks",
)
MISTAKES = {
    "hyperdecoder": (*IN_BOTH, "no source network", "no relu of source"),
    "hyperdecoder_direct": IN_BOTH,
}


def places(backbone, stack):
    """The feed-forward layers of a stack: key, module, norm and block of each."""
    return [site for site in backbone.sites if site[0].startswith(stack) and site[1].endswith("DenseReluDense")]


class Hyperdecoder:
    """The method with its tensors. A run of the model with its hooks leaves s [B, d] in `mean`, and what enters every
    relu in `entered`."""

    def __init__(self, p, broken=""):
        self.p, self.broken, self.mean, self.entered = p, broken, None, []

    def dense(self, name, x):
        return x @ self.p[f"{name}.weight"].T + self.p[f"{name}.bias"]

    def relu(self, x, left_out):
        self.entered.append(x)
        return x if self.broken == left_out else torch.relu(x)

    def source(self, mean):
        """z [B, d]."""
        if "hyper.input.up.weight" not in self.p or self.broken == "no source network":
            return mean
        return self.dense("hyper.input.down", self.relu(self.dense("hyper.input.up", mean), "no relu of source"))

    def joined(self, z, block):
        """[z; embedding], [B, d + EMBEDDING]."""
        own = self.p["hyper.block_embeddings"][0 if self.broken == "block 0 everywhere" else block]
        return torch.cat([z, own.expand(len(z), -1)], -1)

    def hidden(self, z, block):
        """u [B, HIDDEN]."""
        u = self.relu(self.dense("hyper.hidden", self.joined(z, block)), "no relu of hidden")
        return u[:1].expand_as(u) if self.broken == "first row's weights" else u

    def made(self, z, block):
        """The network of a block of the decoder for each row: [B, d, r], [B, 1, r], [B, r, d], [B, 1, d]."""
        u = self.hidden(z, block)
        down, down_bias, up, up_bias = (self.dense(f"hyper.{name}", u) for name in MADE)
        d, r = up_bias.shape[1], down_bias.shape[1]
        down = down.view(-1, r, d).mT if self.broken == "down not transposed" else down.view(-1, d, r)
        up = up.view(-1, d, r).mT if self.broken == "up not transposed" else up.view(-1, r, d)
        return down, down_bias[:, None], up, up_bias[:, None]

    def read(self, layer):
        """The network of a block of the encoder, the same for all rows: [d, r], [r], [r, d], [d]."""
        part = lambda name: self.p[f"{BASE}{layer}.adapter.{name}"]
        return part("down.weight").T, part("down.bias"), part("up.weight").T, part("up.bias")

    def hooks(self, backbone):
        """Modules, kinds of hook, and hooks."""
        mask, before_norm, out = backbone.golden["train.attention_mask"], {}, []
        of_stack = lambda stack: [] if self.broken == f"no {stack} networks" else places(backbone, stack)
        encoder, decoder = of_stack("encoder"), of_stack("decoder")
        networks = {layer: self.read(layer) for layer, _, _, _ in encoder}

        def make(_, args, output):
            states = args[0] if self.broken == "state before the final norm" else output
            seen = (torch.ones_like(mask) if self.broken == "mean over padding" else mask)[..., None]
            self.mean = (states * seen).sum(1) / seen.sum(1)
            z = self.source(self.mean)
            networks.update({layer: self.made(z, block) for layer, _, _, block in decoder})

        def beside(layer, norm):
            def add(_, args, output):
                down, down_bias, up, up_bias = networks[layer]
                n = {"input before the norm": before_norm[norm], "behind the layer": output}.get(self.broken, args[0])
                return output + self.relu(n @ down + down_bias, "no relu in network") @ up + up_bias

            return add

        for layer, module, norm, _ in encoder + decoder:
            keep = lambda _, args, norm=norm: before_norm.update({norm: args[0]})
            out.append((norm, "register_forward_pre_hook", keep))
            out.append((module, "register_forward_hook", beside(layer, norm)))
        return [("encoder.final_layer_norm", "register_forward_hook", make), *out]


# -------------------------------------------------------------------------------------------------------- values
def shapes(case, backbone, r):
    """The shape of every tensor, in the files' order."""
    d, out = backbone.d, {}
    dense = lambda name, i, o: {f"{name}.weight": (o, i), f"{name}.bias": (o,)}
    for layer, _, _, _ in places(backbone, "encoder"):
        out |= dense(f"{BASE}{layer}.adapter.down", d, r) | dense(f"{BASE}{layer}.adapter.up", r, d)
    if case == "hyperdecoder":
        out |= dense("hyper.input.up", d, d) | dense("hyper.input.down", d, d)
    out["hyper.block_embeddings"] = (len(places(backbone, "decoder")), EMBEDDING)
    out |= dense("hyper.hidden", d + EMBEDDING, HIDDEN)
    for name, size in zip(MADE, (d * r, r, r * d, d)):
        out |= dense(f"hyper.{name}", HIDDEN, size)
    return out


# Scales of tensors, by the first end that their key has; a matrix's is over the root of its width.
SCALES = {
    "adapter.down.weight": 1.7,
    "adapter.up.weight": 0.6,
    "embeddings": EMBEDDING**0.5,
    "_weight.weight": 0.4,
    "_bias.weight": 0.4,
    "weight": 1.6,
    "_weight.bias": 0.1,
    "bias": 0.3,
}
# Biases in front of a relu.
INNER = ("adapter.down.bias", "input.up.bias", "hidden.bias", "down_bias.bias")


def random(case, backbone, r, generator, run):
    """Tensors with which every row, block and channel matters; each has a value of size 3.9, without which a missing
    decay is not seen: the rate is 1e-4. `run` runs the model with hooks."""
    p = {}
    any_of = lambda size: torch.randint(size, (), generator=generator).item()
    for key, shape in shapes(case, backbone, r).items():
        scale = next(value for end, value in SCALES.items() if key.endswith(end))
        p[key] = scale * (shape[-1] ** -0.5 if len(shape) > 1 else 1) * torch.randn(shape, generator=generator)
        if not is_placed(key):
            # A unit that is never active would have no gradient.
            p[key].view(-1)[any_of(p[key].numel())] = 3.9 if key.endswith(INNER) else -3.9

    def place(name, x):
        # At a channel of its input that is small for most rows: a large value beside another would decide everything.
        channel = (x.abs().mean(0) - 0.3).abs().argmin()
        p[f"{name}.weight"][any_of(len(p[f"{name}.weight"])), channel] = 3.9 * x[:, channel].mean().sign()

    method, blocks = Hyperdecoder(p), range(len(p["hyper.block_embeddings"]))
    with torch.no_grad():
        run(method.hooks(backbone))
        if case == "hyperdecoder":
            place("hyper.input.up", method.mean)
            place("hyper.input.down", torch.relu(method.dense("hyper.input.up", method.mean)))
        z = method.source(method.mean)
        place("hyper.hidden", torch.cat([method.joined(z, block) for block in blocks]))
        u = torch.cat([method.hidden(z, block) for block in blocks])
        for name in MADE:
            place(f"hyper.{name}", u)
    return p


def is_placed(key):
    """Whether a large value's place depends on the networks' values."""
    return key.startswith("hyper.") and key.endswith(".weight")


def near_a_kink(p, backbone, run, least=1e-3):
    """Whether what enters a relu is near its kink, where rounding decides the gradient."""
    method = Hyperdecoder(p)
    with torch.no_grad():
        run(method.hooks(backbone))
    return any(x.abs().min() < least for x in method.entered)


def config(case, r):
    return {"peft_type": "HYPERDECODER", "bottleneck": r, "source_network": case == "hyperdecoder"}


# ---------------------------------------------------------------------------------------------- by torch's modules
def by_modules(p, backbone):
    """The same by torch's modules, row by row without padding: a hook, and forward passes in place of layers' own."""
    linear = lambda name: loaded(torch.nn.Linear(*p[f"{name}.weight"].T.shape), p, name)
    perceptron = lambda first, second: torch.nn.Sequential(linear(first), torch.nn.ReLU(), linear(second))
    direct = "hyper.input.up.weight" not in p
    source = torch.nn.Identity() if direct else perceptron("hyper.input.up", "hyper.input.down")
    hidden = torch.nn.Sequential(linear("hyper.hidden"), torch.nn.ReLU())
    table = torch.nn.Embedding.from_pretrained(p["hyper.block_embeddings"])
    maps, forwards, made = [linear(f"hyper.{name}") for name in MADE], {}, {}
    d, r = backbone.d, p["hyper.down_bias.bias"].numel()
    sizes = (d, r), (1, r), (r, d), (1, d)

    def make(_, args, output):
        for layer, _, _, block in places(backbone, "decoder"):
            made[layer] = []
            for row, seen in zip(output.last_hidden_state, backbone.golden["train.attention_mask"].bool()):
                u = hidden(torch.cat([source(row[seen].mean(0)), table(torch.tensor(block))]))
                made[layer].append([of(u).reshape(size) for of, size in zip(maps, sizes)])

    def of_rows(layer, n):
        down, down_bias, up, up_bias = (torch.stack(tensors) for tensors in zip(*made[layer]))
        return torch.baddbmm(up_bias, torch.baddbmm(down_bias, n, down).relu(), up)

    def layer_of(layer, network):
        module = backbone.model.get_submodule(layer)

        def forward(x):
            n = module.layer_norm(x)
            return x + module.DenseReluDense(n) + network(n)

        return forward

    for layer, _, _, _ in places(backbone, "encoder"):
        front = f"{BASE}{layer}.adapter"
        forwards[layer] = layer_of(layer, perceptron(f"{front}.down", f"{front}.up"))
    for layer, _, _, _ in places(backbone, "decoder"):
        forwards[layer] = layer_of(layer, lambda n, layer=layer: of_rows(layer, n))
    return [("encoder", "register_forward_hook", make)], forwards
