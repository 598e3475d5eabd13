"""Writes the golden folders of today's decoders: `tests/goldens/mistral`, `qwen2`, `qwen3`, `smollm3`, `phi3`,
`gemma`, `gemma2`, `gemma3`, `gpt_neox`, `gpt2`.

    python tests/generators/golden_decoders.py               # writes all
    python tests/generators/golden_decoders.py --only gemma2
    python tests/generators/golden_decoders.py --check       # compares their tensors with a fresh computation

The folders are like those of `golden_causal.py`, whose batches, greedy output and self-checks of adapters and
optimiser they share: values of the bare model, of PT, DePT and ADePT, and LoRA; `golden_weights.py` adds merged LoRA
and (IA)³. What each family's configuration covers is said in `golden_decoder_configs.py`.

Origin of the values: transformers with eager attention, peft for LoRA and for a cross-check of the plain prompt. The
float64 values behind `noise.json` are transformers', too, with its casts to float32 taken out (`in_float64`).
Mistakes in reading a family (a window off by one, a missing norm, rotary channels in another layout, ..) are planted
in the Rust tests, in copies of the folders (`tests/tests/all/verify_decoders.rs`).
"""

import copy
import math

import safetensors.torch
import torch
from transformers import AutoConfig, AutoModelForCausalLM

import golden_bpe
import golden_causal as causal
import golden_common as common
from golden_causal_configs import EOS, tokenizer_config
from golden_decoder_configs import CONFIGS, SCALES, TOKENIZER, lora_targets

# The tokenizer is that of `llama`, whose folder has all cases.
CASES = golden_bpe.CASES[:6]
# Maps out of a feed-forward layer; of GPT-2 both sublayers' have the same name.
DOWN = ("down_proj", "dense_4h_to_h")


def width(config):
    return config.get("n_embd") or config["hidden_size"]


def norm_weight(name, config, scale, noise):
    """Around 1. A last norm in front of a tied head is smaller, for logits of a few units; one behind a feed-forward
    layer is larger, so that the layer outweighs attention (see `golden_causal.build`)."""
    last = name.endswith(("model.norm.weight", "ln_f.weight", "final_layer_norm.weight"))
    weight = 1 + 0.2 * noise
    if last and is_tied(config):
        # The head reads embeddings that are not scaled.
        is_scaled = config["model_type"].startswith("gemma")
        raw = scale.embedding / math.sqrt(width(config)) if is_scaled else scale.embedding
        weight = weight * scale.logits / raw * width(config) ** -0.5
    if "post_feedforward" in name:
        weight = weight * scale.feed_forward / 2
    return weight - 1 if config["model_type"].startswith("gemma") else weight


def is_tied(config):
    return config.get("tie_word_embeddings", True)


def build(family, generator):
    """A model in which every weight matters, with values exactly representable in the checkpoint's two-byte type."""
    config, scale = CONFIGS[family], SCALES[family]
    model = AutoModelForCausalLM.from_config(
        # A copy: transformers writes into the object for rotary positions.
        AutoConfig.for_model(**copy.deepcopy(config)), attn_implementation="eager", dtype=torch.float32
    ).eval()
    normal = lambda shape, std=1.0: torch.randn(shape, generator=generator) * std
    scaled = math.sqrt(width(config)) if config["model_type"].startswith("gemma") else 1
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            *_, kind, what = name.split(".")
            shape = parameter.shape
            if kind in ("wte", "embed_tokens", "embed_in"):
                value = normal(shape, scale.embedding / scaled)
            elif kind == "wpe":
                value = normal(shape, 0.4)
            elif kind in ("lm_head", "embed_out"):
                value = normal(shape, scale.logits * width(config) ** -0.5)
            elif "norm" in kind or kind.startswith("ln_"):
                value = normal(shape, 0.2) if what == "bias" else norm_weight(name, config, scale, normal(shape))
            elif what == "bias":
                value = normal(shape, 0.3)
            else:
                is_down = kind in DOWN or name.endswith("mlp.c_proj.weight")
                inputs = shape[0] if config["model_type"] == "gpt2" else shape[1]
                value = normal(shape, (scale.feed_forward if is_down else 1.2) * inputs**-0.5)
            parameter.copy_(value)
        # The end token should come up within twenty tokens in some rows, so that stopping at it is covered.
        head = model.get_input_embeddings() if is_tied(config) else model.get_output_embeddings()
        head.weight[EOS[TOKENIZER]] *= 1.8
        for parameter in model.parameters():
            parameter.copy_(parameter.to(stored_type(config)).float())
            parameter.requires_grad_(False)
    return model


def stored_type(config):
    return getattr(torch, config["torch_dtype"])


@torch.no_grad()
def embeddings(model):
    """As they enter the first block: `[V, d]`, scaled where the model scales them."""
    table = model.get_input_embeddings()
    return table(torch.arange(table.weight.shape[0]))


def double(run_of, model):
    """The model's run in float64."""
    run = run_of(copy.deepcopy(model).double())

    def inside(*arguments):
        with common.in_float64():
            return run(*arguments)

    return inside


def self_check(family, model, adapters, batch, reference):
    """float32 must stay within a third of every tolerance, and every mistake in adapters and optimiser exceed ten times
    one."""
    report, embedding = {}, embeddings(model)
    in_double = double(causal.by_transformers, model)
    common.check_noise(report, reference, causal.compute(in_double, embedding, adapters, batch, dtype=torch.float64))
    again = lambda **mistake: causal.compute(causal.by_transformers(model), embedding, adapters, batch, **mistake)
    common.check_adapters(report, reference, again)
    common.check_optimiser(report, reference, again)
    return report


def rejection(out):
    """Why the greedy output is unusable, or None. Stopping, both ways of counting positions and shifted tokens are the
    same code for all families: the seeds of `golden_causal.py` are chosen for them, these are not."""
    plain = [out[f"{method}.gen_ids_nostop"] for method in ("base", "pt", "dept", "adept")]
    if min(len(set(row.tolist())) for ids in plain for row in ids) < 3:
        return "dull"
    return "adapter without effect" if any(torch.equal(plain[0], other) for other in plain[1:]) else None


@torch.no_grad()
def is_hopeless(run, embedding, adapters, batch):
    """Whether a margin will be too small: most seeds fail in a few batches of all ways of writing."""
    x, mask = embedding[batch["gen.input_ids"]], batch["gen.attention_mask"]
    for methods in (["base"], ["pt"], ["dept", "adept"]):
        entered = [common.adapt(name, adapters[name], x, mask) if name != "base" else (x, mask) for name in methods]
        ways = [(e, full, count(full)) for e, full in entered for count in (causal.count_slots, causal.count_tokens)]
        ids, _ = causal.greedy(run, lambda ids: embedding[ids], *(torch.cat(parts) for parts in zip(*ways)))
        if ids is None:
            return True
    return False


def attempt(family, seed, batch):
    """A reason to reject a seed or None, and the results: family, model, adapters, batch, tensors."""
    generator = torch.Generator().manual_seed(seed)
    model = build(family, generator)
    adapters = common.make_adapters(generator, width(CONFIGS[family]), batch["train.input_ids"].shape[1])
    embedding, run = embeddings(model), causal.by_transformers(model)
    if common.near_a_kink(adapters, embedding[batch["train.input_ids"]]):
        return "kink", None
    if is_hopeless(run, embedding, adapters, batch):
        return "margin", None
    greedily = causal.generation(TOKENIZER, run, embedding, adapters, batch)
    if greedily is None:
        return "margin", None
    reason = rejection(greedily)
    if reason:
        return reason, None
    return None, (family, model, adapters, batch, causal.compute(run, embedding, adapters, batch) | greedily)


def check_files(folder, batch, found):
    """transformers' own loader must give the same results for the folder as for the model in memory."""
    again = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    inputs = {name: batch[f"train.{name}"] for name in ("input_ids", "attention_mask", "labels")}
    with torch.no_grad():
        loaded = again(**inputs, position_ids=found["base.position_ids"])
    assert torch.equal(loaded.logits, found["base.logits"]), "the saved checkpoint loads as another model"
    assert torch.allclose(loaded.loss, found["base.loss"], atol=1e-6), (loaded.loss, found["base.loss"])
    assert torch.equal(causal.generated(again, batch), found["base.gen_ids"]), "generate() and the greedy loop differ"


def write(family, folder, known):
    tokenizer, config = golden_bpe.llama(), CONFIGS[family]
    batch = causal.make_batch(TOKENIZER, tokenizer)
    find, check = (lambda seed: attempt(family, seed, batch)), (lambda *made: self_check(*made))
    seed, (_, model, adapters, _, found) = common.find_seed(family, find, check, known)

    common.write_json(folder / "config.json", config)
    ids = {name: config[name] for name in ("bos_token_id", "eos_token_id")}
    common.write_json(folder / "generation_config.json", {"_from_model_config": True, **ids})
    # The name of GPT-NeoX's head in published files, which transformers 5 calls otherwise.
    published = lambda name: name.replace("lm_head.", "embed_out.") if family == "gpt_neox" else name
    named = {published(name): tensor.to(stored_type(config)).contiguous() for name, tensor in model.named_parameters()}
    safetensors.torch.save_file(named, folder / "model.safetensors", {"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"))
    common.write_json(folder / "tokenizer_config.json", tokenizer_config(TOKENIZER))
    common.write_json(folder / "tokenizer_cases.json", common.tokenizer_cases(tokenizer, CASES))
    check_files(folder, batch, found)

    inputs = {name: batch[f"train.{name}"] for name in ("input_ids", "attention_mask", "labels")}
    logits, _ = common.pt_by_peft(model, adapters["pt"]["prompt"], inputs, folder / "pt_peft", "CAUSAL_LM")
    slots = found["pt.attention_mask"].bool()
    assert torch.allclose(logits[slots], found["pt.logits"][slots], atol=1e-5), "peft's prompt and the one here differ"

    tensors = found | {"schedule": common.schedule()}
    for method, parameters in adapters.items():
        tensors |= {f"{method}.{name}": tensor for name, tensor in parameters.items()}
    inputs["position_ids"] = found["base.position_ids"]
    generator = torch.Generator().manual_seed(seed)
    # Through three blocks, a change as large as in the other folders would be chaotic: float32's noise would be near a
    # tolerance.
    lora = common.lora(model, inputs, generator, folder / "lora", "CAUSAL_LM", lora_targets(family), deviation=0.15)
    tensors |= lora
    common.sort_sets(folder / "lora" / "adapter_config.json")
    in_double = double(causal.by_transformers, model)
    noise = causal.compute(in_double, embeddings(model), adapters, batch, dtype=torch.float64)
    common.write_golden(folder, family, seed, tensors, noise)




if __name__ == "__main__":
    common.main(__doc__.split("\n")[0], write, list(CONFIGS))
