"""Writes the golden folders of decoder-only models: `tests/goldens/codegen`, `llama` and `llama_tied`.

    python tests/generators/golden_causal.py              # writes all three
    python tests/generators/golden_causal.py --only llama
    python tests/generators/golden_causal.py --check      # compares their tensors with a fresh computation

The folders are like T5's (`golden_t5.py`), for a model that reads `[P; pads; tokens]` from the left: positions counted
in two ways (including padding, as in peft, and excluding it, as in transformers' `generate`), and greedy output for
both, with generated tokens fed back with and without ADePT's offset.

| folder | special features |
|---|---|
| `codegen` | fused query, value and key in 4 blocks of 2 heads each, rotary on 4 of 6 channels, biased head; float16 |
| `llama` | Llama 3.1: 4 heads in 2 groups, `rope_scaling` of type llama3, untied head; bfloat16 |
| `llama_tied` | Llama 3.2 as written by transformers 5: `rope_parameters`, `head_dim` other than d/h, tied head; bfloat16 |

Origin of the values: transformers runs the backbone, peft runs LoRA and a cross-check of the plain prompt. Both
families are reimplemented in `golden_causal_forward.py`, which must agree with transformers, provides the float64
values, and contains the deliberate mistakes (wrong order of query, key and value, wrong pairs of channels, no scaling,
...). A folder in which one of them stays below ten times its tolerance is not written.

Shapes: B rows, S source width, V model vocabulary, d model width, m prompt length, L = m + S.
"""

import shutil
import tempfile
import pathlib

import safetensors.torch
import torch
from transformers import AutoTokenizer, CodeGenConfig, CodeGenForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

import golden_bpe
import golden_causal_forward as plain
import golden_common as common
from golden_causal_configs import EOS, FAMILIES, V, config_json, tokenizer_config, unscaled
from golden_common import LEAST_MARGIN, NEW_TOKENS, adapt, offset, pad_after_eos, train_three, worst


# ------------------------------------------------------------------------------------------------------ backbone
def make_model(config):
    if config["model_type"] == "codegen":
        return CodeGenForCausalLM(CodeGenConfig(**config)).eval()
    return LlamaForCausalLM(LlamaConfig(**config, attn_implementation="eager")).eval()


def build(family, generator):
    """A model in which every weight matters, with values exactly representable in the checkpoint's two-byte type."""
    config, scale = config_json(family), FAMILIES[family]
    model = make_model(config)
    normal = lambda shape, std: torch.randn(shape, generator=generator) * std
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            *_, kind, what = name.split(".")
            shape = parameter.shape
            if kind in ("wte", "embed_tokens"):
                value = normal(shape, scale.embedding)
            elif kind == "lm_head":
                value = normal(shape, 1.6 * config_width(config) ** -0.5) if what == "weight" else normal(shape, 1.0)
            elif kind.startswith("ln_") or kind.endswith("norm"):
                value = normal(shape, 0.2) + (what == "weight")
                if config["tie_word_embeddings"] and name == "model.norm.weight":
                    # Logits of a few units: the tolerances are a small part of them, float32's noise is far below.
                    value *= 1.6 / scale.embedding * config_width(config) ** -0.5
            elif what == "bias":
                value = normal(shape, 0.3)
            else:
                # A feed-forward that outweighs attention makes the next token depend on the last one, not on the
                # input alone; otherwise greedy output is one token over and over.
                gain = scale.feed_forward if kind in ("fc_out", "down_proj") else 1.2
                value = normal(shape, gain * shape[1] ** -0.5)
            parameter.copy_(value)
        # The end token should come up within twenty tokens in some rows, so that stopping at it is covered.
        (model.model.embed_tokens if config["tie_word_embeddings"] else model.lm_head).weight[EOS[family]] *= 1.8
        if family == "codegen":
            model.lm_head.bias[EOS[family]] += 1.0
        for parameter in model.parameters():
            parameter.copy_(parameter.to(stored_type(config)).float())
            parameter.requires_grad_(False)
    return model


def config_width(config):
    return config.get("n_embd") or config["hidden_size"]


def stored_type(config):
    return getattr(torch, config.get("dtype") or config["torch_dtype"])


def table(model):
    return model.get_input_embeddings().weight


def by_transformers(model):
    return lambda x, mask, positions: model(
        inputs_embeds=x, attention_mask=mask, position_ids=positions, use_cache=False
    ).logits


def written_out(family, model, dtype, broken=""):
    """The same model by `golden_causal_forward`, with or without a mistake."""
    weights = {name: tensor.to(dtype) for name, tensor in model.named_parameters()}
    forward = plain.codegen if family == "codegen" else plain.llama
    return lambda x, mask, positions: forward(weights, config_json(family), x, mask, positions, broken)


# ------------------------------------------------------------------------------------------- what the folder holds
def count_slots(mask):
    return torch.arange(mask.shape[1]).expand(mask.shape[0], -1).contiguous()


def count_tokens(mask):
    """Counts unmasked slots from 0; masked ones get 1, as in transformers."""
    return (mask.cumsum(1) - 1).masked_fill(mask == 0, 1)


def loss_per_token(logits, labels):
    """[B, L - 1]: loss of a slot's logits for the next slot's label; 0 where the label is ignored."""
    target = labels[:, 1:]
    losses = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), target.flatten(), ignore_index=-100, reduction="none"
    )
    return losses.view(target.shape)


def mean_loss(logits, labels):
    return loss_per_token(logits, labels).sum() / (labels[:, 1:] != -100).sum()


@torch.no_grad()
def greedy(run, embed, x, mask, positions, broken=""):
    """Greedy output that ignores the end token, without a cache: ids and margins between top 1 and top 2, [B, 20]
    each."""
    ids, margins = [], []
    for step in range(NEW_TOKENS):
        best = run(x, mask, positions)[:, -1].topk(2, -1)
        margins.append(best.values[:, 0] - best.values[:, 1])
        if margins[-1].min() < LEAST_MARGIN and not broken:
            return None, None  # This seed is unusable: float32 noise might flip a token.
        ids.append(best.indices[:, :1])
        x = torch.cat([x, embed(ids[-1])], 1)
        mask = torch.cat([mask, torch.ones_like(ids[-1])], 1)
        further = 2 if broken == "steps one too far" and step == 0 else 1
        positions = torch.cat([positions, positions[:, -1:] + further], 1)
    return torch.cat(ids, 1), torch.stack(margins, 1)


def generation(family, run, embedding, adapters, batch, broken=""):
    """All greedy sequences, or None if a margin is too small."""
    out, eos = {}, EOS[family]
    x, mask = embedding[batch["gen.input_ids"]], batch["gen.attention_mask"]
    plainly = lambda ids: embedding[ids]
    counts = {"arange": count_slots, "mask": count_tokens}
    for method in ("base", *adapters):
        p = adapters.get(method)
        entered, full = adapt(method, p, x, mask) if p else (x, mask)
        # The bare model with transformers' generate, an adapted one with peft's.
        first = "mask" if method == "base" else "arange"
        ways = [(first, plainly, "nostop"), *((c, plainly, f"{c}_nostop") for c in counts if c != first)]
        if method == "adept":
            shifted = lambda ids, p=p: offset("adept", p, embedding[ids])
            ways += [(count, shifted, f"{count}_adaptnew_nostop") for count in counts]
        for count, embed, name in ways:
            seen = torch.ones_like(full) if broken == "pads visible" else full
            ids, margin = greedy(run, embed, entered, seen, counts[count](full), broken)
            if ids is None:
                return None
            out[f"{method}.gen_ids_{name}"] = ids
            if name == "nostop":
                out[f"{method}.gen_margin"] = margin
                out[f"{method}.gen_ids"] = pad_after_eos(ids, eos, pad=eos)
    return out


def compute(run, embedding, adapters, batch, dtype=torch.float32, optimiser="", broken=""):
    """All tensors of `base`, `pt`, `dept`, `adept` except greedy output, with the batch; optionally with one
    mistake."""
    out = dict(batch)
    mask, labels = batch["train.attention_mask"], batch["train.labels"]
    x = embedding[batch["train.input_ids"]].to(dtype)
    if broken == "pads visible":
        mask = torch.ones_like(mask)

    def forward(method, entered, full):
        positions, by_token = count_slots(full), count_tokens(full)
        logits = run(entered, full, positions)
        out[f"{method}.logits"] = logits
        out[f"{method}.position_ids"], out[f"{method}.position_ids_mask"] = positions, by_token
        out[f"{method}.logits_maskpos_last"] = run(entered, full, by_token)[:, -1]
        return logits

    with torch.no_grad():
        losses = loss_per_token(forward("base", x, mask), labels)
        out["base.loss_per_token"], out["base.loss"] = losses, losses.sum() / (labels[:, 1:] != -100).sum()
    for method, start in adapters.items():
        p = {name: tensor.to(dtype) for name, tensor in start.items()}
        behind = torch.cat([torch.full((labels.shape[0], p["prompt"].shape[0]), -100), labels], 1)
        with torch.no_grad():
            entered, full = adapt(method, p, x, mask, broken)
            logits = forward(method, entered, full)
        out |= {
            f"{method}.inputs_embeds": entered,
            f"{method}.attention_mask": full,
            f"{method}.loss": mean_loss(logits, behind),
        }
        loss_of = lambda entered, full: mean_loss(run(entered, full, count_slots(full)), behind)
        out |= common.trained(method, train_three(loss_of, method, start, x, mask, optimiser, dtype))
    return out


# ------------------------------------------------------------------------------------------------------- self-checks
def self_check(family, model, adapters, batch, reference):
    """Every mistake must exceed ten times a tolerance; float32 must stay within a third of every tolerance."""
    report, embedding = {}, table(model)
    again = lambda run, **mistake: compute(run, embedding, adapters, batch, **mistake)
    common.check_noise(report, reference, again(written_out(family, model, torch.float64), dtype=torch.float64))
    for name in plain.CODEGEN_MISTAKES if family == "codegen" else plain.LLAMA_MISTAKES:
        other = again(written_out(family, model, torch.float32, name))
        for prefix in ("base.logits", "base.loss", "pt.logits", "dept.logits", "adept.logits", "adept.loss", "adept.grad."):
            # The two variants of gelu differ by at most 5e-4: visible in logits and gradients, but hardly in the mean
            # loss.
            least = 10 if name != "exact gelu" else 0 if prefix.endswith("loss") else 5
            common.require(report, f"{name}, {prefix}", worst(reference, other, prefix), least)
    transformers_again = lambda **mistake: again(by_transformers(model), **mistake)
    common.check_adapters(report, reference, transformers_again)
    common.check_optimiser(report, reference, transformers_again)
    # The last slot with positions counted one way must not pass for the other. The bare model has no prompt before its
    # padding: only distances matter, and they are the same.
    # its pads: only distances count, and they are the same.
    for method in adapters:
        last, by_token = reference[f"{method}.logits"][:, -1], reference[f"{method}.logits_maskpos_last"]
        padded = batch["train.attention_mask"][:, 0] == 0
        found = (last - by_token)[padded].abs().amax(1).min().item() / common.LIMIT["logits"]
        common.require(report, f"positions counted the other way, {method}.logits", found, 10)
    return report


def rejection(out):
    """Why the greedy output is unusable, or None."""
    reason = common.check_generation(out)
    if reason:
        return reason
    equal = lambda a, b: torch.equal(out[f"{a}_nostop"], out[f"{b}_nostop"])
    if any(equal(f"{method}.gen_ids", f"{method}.gen_ids_mask") for method in ("pt", "dept", "adept")):
        return "positions without effect"
    shifted = {count: f"adept.gen_ids_{count}_adaptnew" for count in ("arange", "mask")}
    if equal(shifted["arange"], "adept.gen_ids") or equal(shifted["mask"], "adept.gen_ids_mask"):
        return "shift without effect"
    # The offset is similar for all tokens, so tokens fed back through it are hard to tell apart.
    if any(max(len(set(row.tolist())) for row in out[f"{name}_nostop"]) < 3 for name in shifted.values()):
        return "dull"
    return "positions without effect" if equal(*shifted.values()) else None


def is_sensitive(out, generate):
    """Whether a mistake in the steps changes every sequence."""
    for broken in ("steps one too far", "pads visible"):
        other = generate(broken)
        if any(torch.equal(out[name], other[name]) for name in out if name.endswith("nostop")):
            return False
    return True


def attempt(family, seed, batch):
    """A reason to reject a seed or None, and the results: family, model, adapters, batch, tensors."""
    generator = torch.Generator().manual_seed(seed)
    model = build(family, generator)
    adapters = common.make_adapters(generator, config_width(config_json(family)), batch["train.input_ids"].shape[1])
    embedding, run = table(model), by_transformers(model)
    if common.near_a_kink(adapters, embedding[batch["train.input_ids"]]):
        return "kink", None
    greedily = generation(family, run, embedding, adapters, batch)
    if greedily is None:
        return "margin", None
    reason = rejection(greedily)
    if reason is None and not is_sensitive(greedily, lambda broken: generation(family, run, embedding, adapters, batch, broken)):
        reason = "steps without effect"
    if reason:
        return reason, None
    return None, (family, model, adapters, batch, compute(run, embedding, adapters, batch) | greedily)


# ------------------------------------------------------------------------------------------------------------- files
def make_batch(family, tokenizer):
    """`<source> Label : ` and the target, tokenised separately, with the end token; left-padded."""
    width, pairs, eos = FAMILIES[family].width, FAMILIES[family].texts, EOS[family]
    left = lambda row, value: [value] * (width - len(row)) + row
    batch = {f"{kind}.{name}": [] for kind in ("train", "gen") for name in ("input_ids", "attention_mask")}
    batch["train.labels"] = []
    for source, target in pairs:
        prompt = tokenizer.encode(f"{source} Label : ").ids
        answer = tokenizer.encode(target, add_special_tokens=False).ids + [eos]
        for kind, row in (("train", prompt + answer), ("gen", prompt)):
            batch[f"{kind}.input_ids"].append(left(row, eos))
            batch[f"{kind}.attention_mask"].append(left([1] * len(row), 0))
        batch["train.labels"].append(left([-100] * len(prompt) + answer, -100))
    batch = {name: torch.tensor(rows) for name, rows in batch.items()}
    lengths = batch["train.attention_mask"].sum(1)
    assert lengths.max() == width and lengths.min() < width - 2, lengths
    return batch


def tables(family, model, batch):
    """The rotary tables, and Llama's logits without scaling."""
    if family == "codegen":
        return {"rope.sincos": model.transformer.h[0].attn.embed_positions}
    rotary = model.model.rotary_emb
    cos, sin = rotary(torch.zeros(1), torch.arange(64)[None])
    without = make_model(unscaled(config_json(family)))
    without.load_state_dict(model.state_dict())
    x, mask = table(model)[batch["train.input_ids"]], batch["train.attention_mask"]
    with torch.no_grad():
        logits = by_transformers(without)(x, mask, count_slots(mask))
    out = {"rope.inv_freq": rotary.inv_freq, "rope.cos": cos[0], "rope.sin": sin[0], "base.logits_unscaled_rope": logits}
    return out | published_frequencies()


def published_frequencies():
    """Rotary frequencies of three published Llamas, from their configurations."""
    out = {}
    kind = {"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    for name, heads, scaling in (
        ("8b_v3", 32, None),
        ("8b_v3_1", 32, kind | {"factor": 8.0}),
        ("1b_v3_2", 64, kind | {"factor": 32.0}),
    ):
        config = LlamaConfig(
            hidden_size=4096, num_attention_heads=heads, rope_theta=500000.0, rope_scaling=scaling, max_position_embeddings=8192
        )
        out[f"rope.inv_freq_{name}"] = LlamaRotaryEmbedding(config).inv_freq
    return out


def check_files(family, folder, model, tokenizer, batch, found):
    """transformers' own loaders must give the same results for the folder as for the model in memory."""
    again = type(model).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    inputs = {name: batch[f"train.{name}"] for name in ("input_ids", "attention_mask", "labels")}
    with torch.no_grad():
        loaded = again(**inputs, position_ids=found["base.position_ids"])
    assert torch.equal(loaded.logits, found["base.logits"]), "the saved checkpoint loads as another model"
    assert torch.allclose(loaded.loss, found["base.loss"], atol=1e-6), (loaded.loss, found["base.loss"])
    assert torch.equal(generated(again, batch), found["base.gen_ids"]), "generate() and the greedy loop differ"
    with tempfile.TemporaryDirectory() as scratch:
        forms = [folder]
        if family == "codegen":
            # Again without `tokenizer.json`: from `vocab.json`, `merges.txt` and `added_tokens.json`.
            forms.append(pathlib.Path(scratch))
            for name in ("vocab.json", "merges.txt", "added_tokens.json", "tokenizer_config.json", "config.json"):
                shutil.copy(folder / name, scratch)
        for form in forms:
            theirs = AutoTokenizer.from_pretrained(form)
            for text in golden_bpe.CASES:
                ids = tokenizer.encode(text).ids
                assert theirs(text)["input_ids"] == ids, (form, text, theirs(text)["input_ids"], ids)
                assert theirs.decode(ids) == tokenizer.decode(ids, skip_special_tokens=False), (form, text)


def generated(model, batch):
    """The tokens added by `generate`, padded to 20."""
    eos = model.config.eos_token_id
    with torch.no_grad():
        ids = model.generate(
            input_ids=batch["gen.input_ids"],
            attention_mask=batch["gen.attention_mask"],
            max_new_tokens=NEW_TOKENS,
            do_sample=False,
            pad_token_id=eos,
        )[:, batch["gen.input_ids"].shape[1] :]
    return torch.nn.functional.pad(ids, (0, NEW_TOKENS - ids.shape[1]), value=eos)


def write(family, folder, known):
    tokenizer = golden_bpe.codegen() if family == "codegen" else golden_bpe.llama()
    assert tokenizer.get_vocab_size() < V and EOS[family] == tokenizer.token_to_id(FAMILIES[family].end)
    batch = make_batch(family, tokenizer)
    find, check = (lambda seed: attempt(family, seed, batch)), (lambda *made: self_check(*made))
    seed, (_, model, adapters, _, found) = common.find_seed(family, find, check, known)

    config = config_json(family)
    common.write_json(folder / "config.json", config)
    ids = {name: config[name] for name in ("bos_token_id", "eos_token_id")}
    common.write_json(folder / "generation_config.json", {"_from_model_config": True, **ids})
    tensors = {name: tensor.to(stored_type(config)).contiguous() for name, tensor in model.named_parameters()}
    safetensors.torch.save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"))
    common.write_json(folder / "tokenizer_config.json", tokenizer_config(family))
    common.write_json(folder / "tokenizer_cases.json", common.tokenizer_cases(tokenizer, golden_bpe.CASES))
    if family == "codegen":
        golden_bpe.write_gpt2_form(tokenizer, folder)
    check_files(family, folder, model, tokenizer, batch, found)

    inputs = {name: batch[f"train.{name}"] for name in ("input_ids", "attention_mask", "labels")}
    logits, wrapped = common.pt_by_peft(model, adapters["pt"]["prompt"], inputs, folder / "pt_peft", "CAUSAL_LM")
    slots = found["pt.attention_mask"].bool()
    assert torch.allclose(logits[slots], found["pt.logits"][slots], atol=1e-5), "peft's prompt and the one here differ"
    assert torch.equal(generated(wrapped, batch), found["pt.gen_ids"]), "peft's generate() and the greedy loop differ"

    tensors = found | {"schedule": common.schedule()}
    for method, parameters in adapters.items():
        tensors |= {f"{method}.{name}": tensor for name, tensor in parameters.items()}
    targets = ["qkv_proj"] if family == "codegen" else ["q_proj", "v_proj"]
    inputs["position_ids"] = found["base.position_ids"]
    generator = torch.Generator().manual_seed(seed)
    tensors |= common.lora(model, inputs, generator, folder / "lora", "CAUSAL_LM", targets)
    written = written_out(family, model, torch.float64)
    double = compute(written, table(model), adapters, batch, dtype=torch.float64)
    common.write_golden(folder, family, seed, tensors | tables(family, model, batch), double)


if __name__ == "__main__":
    common.main(__doc__.split("\n")[0], write, list(FAMILIES))
