"""Writes the golden folder `tests/goldens/pretrain`: the pretraining step computed by PyTorch and transformers.

    python tests/generators/golden_pretrain.py

A tiny T5 v1.0 with random weights, one span-corrupted batch and one batch of a task (shorter, padded). The loss of
each, the gradient of their mean (of the two means, not of all tokens), its norm, and every tensor after three steps on
that gradient, clipped, with AdamW (`torch.optim.AdamW`) and with Adafactor (`transformers.Adafactor`, scale_parameter,
relative_step off), the embedding at five times the rate. The spans are chosen by hand below, following T5's scheme:
each is replaced by a sentinel of descending id, and the target repeats sentinel and span.

A golden folder is only useful if mistakes change its values by more than the tolerance, so the script also makes the
steps with deliberate mistakes and refuses to write if one stays below ten times the tolerance.
"""

import json
import pathlib

import safetensors.torch
import torch
import transformers
from transformers import T5Config, T5ForConditionalGeneration

OUT = pathlib.Path(__file__).resolve().parent.parent / "goldens" / "pretrain"
VOCAB, EOS, PAD, SENTINELS = 60, 1, 0, [59, 58, 57, 56]
LIMIT = {"loss": 1e-5, "gradient": 5e-6, "after": 2e-5}
STEPS, CLIP, DECAY, FACTOR = 3, 1.0, 0.01, 5.0
ADAMW = {"learning_rate": 2e-3, "beta1": 0.9, "beta2": 0.98, "epsilon": 1e-6}
ADAFACTOR = {"learning_rate": 1e-2, "decay_rate": 0.8, "clip_threshold": 1.0, "square_epsilon": 1e-30, "scale_epsilon": 1e-3}
# Warm-up of 2 steps, decay over the last 2 of 4: factors 1/2, 1, 1, 1/2.
SCHEDULE = [0.5, 1.0, 1.0]

CONFIG = {
    "architectures": ["T5ForConditionalGeneration"],
    "model_type": "t5",
    "vocab_size": VOCAB,
    "d_model": 16,
    "d_kv": 4,
    "d_ff": 24,
    "num_layers": 2,
    "num_decoder_layers": 1,
    "num_heads": 3,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 16,
    "layer_norm_epsilon": 1e-6,
    "feed_forward_proj": "relu",
    "tie_word_embeddings": True,
    "scale_decoder_outputs": True,
    "dropout_rate": 0.0,
    "pad_token_id": PAD,
    "eos_token_id": EOS,
    "decoder_start_token_id": PAD,
    "is_encoder_decoder": True,
}


def model():
    torch.manual_seed(5)
    made = T5ForConditionalGeneration(T5Config(**CONFIG))
    for name, tensor in made.named_parameters():
        # Norm weights away from one, so that their gradients and their decay are visible.
        if "layer_norm" in name:
            tensor.data += 0.1 * torch.randn_like(tensor)
    return made.eval()


def batches():
    generator = torch.Generator().manual_seed(9)
    inputs, labels = [], []
    for begins in ([2, 7], [1, 9], [4, 10]):
        row = torch.randint(3, 56, (14,), generator=generator).tolist()
        source, target, place = [], [], 0
        for sentinel, begin in zip(SENTINELS, begins):
            source += row[place:begin] + [sentinel]
            target += [sentinel] + row[begin : begin + 2]
            place = begin + 2
        inputs.append(source + row[place:] + [EOS])
        labels.append(target + [EOS])
    text = (torch.tensor(inputs), torch.tensor(labels))
    sources = [torch.randint(3, 56, (n,), generator=generator).tolist() + [EOS] for n in (7, 4, 5, 2)]
    inputs = torch.tensor([row + [PAD] * (8 - len(row)) for row in sources])
    labels = torch.tensor([[11, EOS, -100], [12, 13, EOS], [11, EOS, -100], [12, 13, EOS]])
    return {"text": text, "tasks": (inputs, labels)}


def losses(made, mistake):
    out = {}
    for name, (inputs, labels) in batches().items():
        mask = (inputs != PAD).long()
        if mistake == "padding is attended to":
            mask = torch.ones_like(mask)
        if mistake == "no end token" and name == "text":
            labels = labels.masked_fill(labels == EOS, -100)
        out[name] = made(input_ids=inputs, attention_mask=mask, labels=labels).loss
    return out


def mean(found, mistake):
    if mistake == "mean over tokens":
        counts = {name: (labels != -100).sum() for name, (_, labels) in batches().items()}
        return sum(found[name] * counts[name] for name in found) / sum(counts.values())
    if mistake == "sum of passes":
        return sum(found.values())
    return sum(found.values()) / len(found)


def optimiser(made, name, mistake):
    factor = 1.0 if mistake == "one rate for all" else FACTOR
    shared = [made.shared.weight]
    rest = [p for n, p in made.named_parameters() if n != "shared.weight"]
    section = ADAMW if name == "adamw" else ADAFACTOR
    groups = [{"params": shared, "factor": factor}, {"params": rest, "factor": 1.0}]
    rate, decay = section["learning_rate"], 0.0 if mistake == "no decay" else DECAY
    if name == "adamw":
        betas = (section["beta1"], section["beta2"])
        return torch.optim.AdamW(groups, lr=rate, betas=betas, eps=section["epsilon"], weight_decay=decay), rate
    adafactor = transformers.optimization.Adafactor(
        groups,
        lr=rate,
        eps=(section["square_epsilon"], section["scale_epsilon"]),
        clip_threshold=1e9 if mistake == "no update clipping" else section["clip_threshold"],
        decay_rate=-section["decay_rate"],
        weight_decay=decay,
        scale_parameter=mistake != "no parameter scale",
        relative_step=False,
        warmup_init=False,
    )
    return adafactor, rate


def compute(mistake=None, double=False):
    tensors = {}
    for name in ("adamw", "adafactor"):
        made = model()
        if double:
            made = made.double()
        step, rate = optimiser(made, name, mistake)
        for number, multiplier in enumerate([1.0] * STEPS if mistake == "no schedule" else SCHEDULE):
            made.zero_grad()
            found = losses(made, mistake)
            mean(found, mistake).backward()
            if number == 0:
                tensors |= {f"loss/{kind}": loss.detach().reshape(1) for kind, loss in found.items()}
                parameters = dict(made.named_parameters())
                tensors |= {f"gradient/{n}": p.grad.clone() for n, p in parameters.items()}
            norm = torch.nn.utils.clip_grad_norm_(made.parameters(), 1e9 if mistake == "no clipping" else CLIP)
            if number == 0:
                tensors["norm"] = norm.reshape(1)
            for group in step.param_groups:
                group["lr"] = rate * multiplier * group["factor"]
            step.step()
        tensors |= {f"after/{name}/{n}": p.detach().clone() for n, p in made.named_parameters()}
    return tensors


def furthest(left, right, kind):
    names = [name for name in left if name.startswith(kind)]
    return max((left[name].double() - right[name].double()).abs().max().item() for name in names)


def main():
    tensors, exact = compute(), compute(double=True)
    for kind, limit in LIMIT.items():
        rounding = furthest(tensors, exact, kind)
        print(f"float32 against float64, {kind}: {rounding:.1e} of {limit:.0e}")
        assert rounding < limit / 3, (kind, rounding)
    assert tensors["norm"].item() > CLIP, "clipping has to take part"
    for mistake in (
        "padding is attended to",
        "no end token",
        "mean over tokens",
        "sum of passes",
        "one rate for all",
        "no decay",
        "no update clipping",
        "no parameter scale",
        "no schedule",
        "no clipping",
    ):
        moved = {kind: furthest(tensors, compute(mistake), kind) / limit for kind, limit in LIMIT.items()}
        print(f"{mistake}: {', '.join(f'{kind} {times:.0f} limits' for kind, times in moved.items())}")
        assert max(moved.values()) > 10, mistake
    OUT.mkdir(parents=True, exist_ok=True)
    made = model()
    weights = {name: tensor.detach() for name, tensor in made.named_parameters()}
    safetensors.torch.save_file(weights, OUT / "model.safetensors", metadata={"format": "pt"})
    for name, (inputs, labels) in batches().items():
        tensors[f"batch/{name}/inputs"] = inputs
        tensors[f"batch/{name}/labels"] = labels
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    about = {
        "adamw": json.dumps(ADAMW),
        "adafactor": json.dumps(ADAFACTOR),
        "limits": json.dumps(LIMIT),
        "steps": str(STEPS),
        "clip_norm": str(CLIP),
        "weight_decay": str(DECAY),
        "embedding_factor": str(FACTOR),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    safetensors.torch.save_file(tensors, OUT / "golden.safetensors", metadata=about)
    (OUT / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")


if __name__ == "__main__":
    main()
