"""The methods of the benchmark that act inside a model: LoRA, (IA)³ and P-tuning by peft, the others as modules and hooks.
On decoders LoRA, and with `--peft` prompt tuning, as peft's users write them.

Only what `adept bench step` trains by default: ranks, widths and places are those of its `--method`. Each function gets a
model whose parameters are frozen and returns what is called with the batch and the groups of the optimiser.
"""

import peer_causal
import peft
import torch
from torch import nn

BOTTLENECK_SHARE, LORA_RANK, LORA_ALPHA, LORA_DROPOUT, RESIDUAL_HIDDEN = 32, 32, 32, 0.1, 800


def group(parameters, rate, decay=0.0):
    return {"params": list(parameters), "lr": rate, "weight_decay": decay}


def plain(model):
    """Calls a model on token ids."""
    return lambda ids, mask, labels: model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss


def causal(model, peft_loss):
    """Calls a decoder on rows of token ids whose last ones are labels: the head for those alone, as adept does, or as a
    model called with labels does it, for every slot."""

    def whole(ids, mask, labels):
        ignored = torch.full_like(ids[:, : -labels.shape[1]], -100)
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        return model(
            input_ids=ids, attention_mask=mask, labels=torch.cat([ignored, labels], 1), position_ids=positions, use_cache=False
        ).loss

    unchanged = lambda x, mask: (x, mask)
    return whole if peft_loss else lambda *batch: peer_causal.loss(model.get_base_model(), unchanged, batch)


def trainable(model):
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def lora(model, options):
    is_causal = options.size in peer_causal.SIZES
    config = peft.LoraConfig(
        task_type="CAUSAL_LM" if is_causal else "SEQ_2_SEQ_LM",
        r=options.rank or LORA_RANK,
        lora_alpha=LORA_ALPHA,
        lora_dropout=LORA_DROPOUT,
        target_modules=["q_proj", "v_proj"] if is_causal else ["q", "v"],
    )
    model = peft.get_peft_model(model, config)
    # The branches drop values as in training; the rest of the model does not.
    for name, module in model.named_modules():
        module.training = "lora_dropout" in name
    return causal(model, options.peft) if is_causal else plain(model), [group(trainable(model), 3e-4)]


def pt(model, options):
    """Prompt tuning of a decoder by peft itself."""
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=options.virtual_tokens)
    model = peft.get_peft_model(model, config).eval()
    return causal(model, True), [group(trainable(model), 0.3, 0.01)]


def ia3(model, options):
    config = peft.IA3Config(task_type="SEQ_2_SEQ_LM", target_modules=["k", "v", "wo"], feedforward_modules=["wo"])
    model = peft.get_peft_model(model, config)
    return plain(model), [group(trainable(model), 3e-3)]


def p_tuning(model, options):
    config = peft.PromptEncoderConfig(
        task_type="SEQ_2_SEQ_LM",
        num_virtual_tokens=options.virtual_tokens,
        encoder_hidden_size=model.config.d_model,
        num_transformer_submodules=1,
    )
    model = peft.get_peft_model(model, config)
    return plain(model), [group(trainable(model), 1e-3)]


def with_prompt(model, prompt):
    """Calls a T5 behind the virtual tokens that `prompt()` gives."""

    def loss(ids, mask, labels):
        virtual = prompt().expand(len(ids), -1, -1)
        embeds = torch.cat([virtual, model.shared(ids)], 1)
        full = torch.cat([torch.ones(virtual.shape[:2], dtype=mask.dtype), mask], 1)
        return model(inputs_embeds=embeds, attention_mask=full, labels=labels, use_cache=False).loss

    return loss


def residual(model, options):
    d = model.config.d_model
    prompt = nn.Parameter(torch.randn(options.virtual_tokens, d))
    network = nn.Sequential(nn.Linear(d, RESIDUAL_HIDDEN), nn.ReLU(), nn.Linear(RESIDUAL_HIDDEN, d), nn.LayerNorm(d))
    groups = [group([prompt], 0.3, 0.01), group(network.parameters(), 0.3, 1e-5)]
    return with_prompt(model, lambda: prompt + network(prompt)), groups


def prompt_embedding(model, options):
    prompt = nn.Parameter(torch.randn(options.virtual_tokens, model.config.d_model))
    model.shared.weight.requires_grad_(True)
    groups = [group([prompt], 0.3, 0.01), group([model.shared.weight], 1e-4, 1e-5)]
    return with_prompt(model, lambda: prompt), groups


def add_biases(model):
    """A bias behind every linear map and norm of the blocks and behind the head; final norms have none."""
    biases = []
    for name, module in model.named_modules():
        is_linear = isinstance(module, nn.Linear)
        is_norm = ".block." in name and type(module).__name__ == "T5LayerNorm"
        if not (is_linear or is_norm):
            continue
        width = module.out_features if is_linear else module.weight.shape[0]
        bias = nn.Parameter(torch.zeros(width))
        biases.append(bias)
        module.register_forward_hook(lambda _, inputs, output, bias=bias: output + bias)
    return biases


def bitfit(model, options):
    return plain(model), [group(add_biases(model), 3e-4)]


def lora_bitfit(model, options):
    # First the biases: peft wraps the maps that they stand behind.
    biases = add_biases(model)
    loss, groups = lora(model, options)
    groups[0]["params"] += biases
    return loss, groups


def adapter(model, options):
    d = model.config.d_model
    width = d // BOTTLENECK_SHARE
    trained = []
    for name, module in model.named_modules():
        kind = type(module).__name__
        if kind == "T5LayerNorm":
            module.weight.requires_grad_(True)
            trained.append(module.weight)
        if kind not in ("T5LayerSelfAttention", "T5LayerFF"):
            continue
        inner = module.SelfAttention if kind == "T5LayerSelfAttention" else module.DenseReluDense
        down, up = nn.Linear(d, width), nn.Linear(width, d)
        trained += [*down.parameters(), *up.parameters()]

        def hook(_, inputs, output, down=down, up=up):
            first = output[0] if isinstance(output, tuple) else output
            changed = first + up(nn.functional.gelu(down(first), approximate="tanh"))
            return (changed, *output[1:]) if isinstance(output, tuple) else changed

        inner.register_forward_hook(hook)
    return plain(model), [group(trained, 3e-4)]


# Those of a decoder.
CAUSAL = {"lora": lora, "pt": pt}

METHODS = {
    "lora": lora,
    "ia3": ia3,
    "p_tuning": p_tuning,
    "residual": residual,
    "prompt_embedding": prompt_embedding,
    "bitfit": bitfit,
    "lora_bitfit": lora_bitfit,
    "adapter": adapter,
}
