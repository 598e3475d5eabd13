"""Reference values for the T5 backbone, from transformers and torch (float32, CPU, evaluation mode).

Run from the repository root:

    python tests/generators/t5_reference.py crates/adept-models/tests/fixtures

Written with torch 2.15 and transformers 5.23. Creates two tiny random models, `t5_relu` (v1.0: ReLU, tied head) and
`t5_gated` (v1.1: gated GELU, untied head), each a Hugging Face folder with `reference.safetensors`, and the table of
relative position buckets. Weights have a wider distribution than Hugging Face's initialisation where a part of the
model would otherwise hardly affect the logits (relative bias, norms), so that a mistake in any part is visible.

`reference.safetensors`, with b rows, s input slots, t target slots, v vocabulary, d model width:

    input_ids [b,s], attention_mask [b,s]   right padded; row 2 sees nothing at all
    labels [b,t]                            -100 = ignored; the last row is ignored altogether
    decoder_input_ids [b,t]
    inputs_embeds [b,s,d]                   embeddings plus noise: what an adapter would hand over
    encoder_out [b,s,d], logits [b,t,v], loss [], grad_inputs_embeds [b,s,d]
    gen_ids [b,n], gen_margin [b,n]         greedy without stopping: plain argmax over an uncached forward pass
    gen_ids_stop [b,n]                      `generate()`: pads after the end token
    label_ids [c,w], label_scores [b,c]     summed log-probability of fixed answers (-100 = padding)
    grad.<parameter>                        of a few parameters, for full fine-tuning
    long.input_ids [1,150], long.decoder_input_ids [1,140], long.encoder_out [1,15,d] (every tenth slot),
    long.logits_last [1,3,v]                relative distances beyond the last bucket's edge
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import T5Config, T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5Attention

NEW_TOKENS = 12

GRADIENTS = {
    "shared.weight",
    "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
    "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
    "encoder.block.1.layer.0.SelfAttention.k.weight",
    "decoder.block.1.layer.1.EncDecAttention.v.weight",
    "decoder.block.0.layer.2.layer_norm.weight",
}

FAMILIES = {
    "t5_relu": dict(
        vocab_size=59, d_model=16, d_kv=6, d_ff=24, num_layers=2, num_decoder_layers=3, num_heads=2,
        feed_forward_proj="relu",
    ),
    "t5_gated": dict(
        vocab_size=61, d_model=16, d_kv=4, d_ff=20, num_layers=3, num_decoder_layers=2, num_heads=3,
        feed_forward_proj="gated-gelu",
    ),
}


def make_checkpoint(folder: Path, name: str, seed: int) -> T5ForConditionalGeneration:
    """Writes a random checkpoint and reloads it through `from_pretrained`, with the head tied or not by its config."""
    torch.manual_seed(seed)
    untied = name == "t5_gated"
    config = T5Config(decoder_start_token_id=0, dropout_rate=0.1, **FAMILIES[name])
    model = T5ForConditionalGeneration(config)
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if "layer_norm" in key:
                weight.copy_(torch.rand_like(weight) + 0.5)
            elif "relative_attention_bias" in key:
                weight.copy_(2.0 * torch.randn_like(weight))
            elif key == "shared.weight":
                weight.copy_(torch.randn_like(weight))
            elif ".q." in key:
                weight.mul_(3.0)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    state = load_file(folder / "model.safetensors")
    if untied:
        state["lm_head.weight"] = torch.randn(config.vocab_size, config.d_model) * 0.5
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    # The file as in published checkpoints: v1.0 without `tie_word_embeddings`, v1.1 with `false`.
    fields = dict(
        architectures=["T5ForConditionalGeneration"], model_type="t5", is_encoder_decoder=True, pad_token_id=0,
        eos_token_id=1, decoder_start_token_id=0, dropout_rate=0.1, initializer_factor=1.0, layer_norm_epsilon=1e-06,
        relative_attention_num_buckets=32, **FAMILIES[name],
    )
    if untied:
        fields["tie_word_embeddings"] = False
    else:
        del fields["feed_forward_proj"]
    (folder / "config.json").write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n")
    for leftover in ("generation_config.json",):
        (folder / leftover).unlink(missing_ok=True)
    model = T5ForConditionalGeneration.from_pretrained(folder, attn_implementation="eager").eval()
    assert (model.lm_head.weight is model.shared.weight) != untied
    assert model.config.scale_decoder_outputs != untied
    return model


def greedy(model, embeds, mask):
    """Argmax token by token over a full, uncached pass."""
    ids = torch.zeros(embeds.shape[0], 1, dtype=torch.long)
    margins = []
    for _ in range(NEW_TOKENS):
        logits = model(inputs_embeds=embeds, attention_mask=mask, decoder_input_ids=ids, use_cache=False).logits[:, -1]
        top = logits.topk(2, dim=-1)
        margins.append(top.values[:, 0] - top.values[:, 1])
        ids = torch.cat([ids, top.indices[:, :1]], dim=1)
    return ids[:, 1:], torch.stack(margins, dim=1)


def reference(model, seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    v, d = model.config.vocab_size, model.config.d_model
    b, s, t = 4, 11, 5
    out = {}
    ids = torch.randint(2, v, (b, s))
    mask = torch.ones(b, s, dtype=torch.long)
    for row, length in enumerate([s, 6, 0, 9]):
        ids[row, length:] = 0
        mask[row, length:] = 0
    labels = torch.randint(2, v, (b, t))
    labels[0, 4], labels[1, 2] = 1, 1
    labels[1, 3:] = -100
    labels[3] = -100
    embeds = model.shared(ids).detach() + 0.3 * torch.randn(b, s, d)
    out.update(input_ids=ids, attention_mask=mask, labels=labels, decoder_input_ids=model._shift_right(labels))
    out["inputs_embeds"] = embeds.clone()

    embeds.requires_grad_(True)
    result = model(inputs_embeds=embeds, attention_mask=mask, labels=labels, use_cache=False)
    result.loss.backward()
    out.update(
        encoder_out=result.encoder_last_hidden_state, logits=result.logits, loss=result.loss,
        grad_inputs_embeds=embeds.grad,
    )
    for name, parameter in model.named_parameters():
        if name in GRADIENTS or name == "lm_head.weight":
            out[f"grad.{name}"] = parameter.grad

    with torch.no_grad():
        embeds = out["inputs_embeds"]
        out["gen_ids"], out["gen_margin"] = greedy(model, embeds, mask)
        stopped = model.generate(
            inputs_embeds=embeds, attention_mask=mask, max_new_tokens=NEW_TOKENS, do_sample=False, num_beams=1,
            use_cache=False,
        )[:, 1:]
        out["gen_ids_stop"] = stopped
        answers = [[5, 1], [5, 9, 1], [40, 1], [7, 8, 9, 1]]
        width = max(map(len, answers))
        table = torch.tensor([answer + [-100] * (width - len(answer)) for answer in answers])
        scores = torch.zeros(b, len(answers))
        for column, answer in enumerate(answers):
            target = torch.tensor([answer] * b)
            logits = model(inputs_embeds=embeds, attention_mask=mask, labels=target, use_cache=False).logits
            scores[:, column] = logits.log_softmax(-1).gather(2, target[..., None]).sum((1, 2))
        out.update(label_ids=table, label_scores=scores)

        long_ids = torch.randint(2, v, (1, 150))
        long = model.shared(long_ids)
        decoder = torch.randint(2, v, (1, 140))
        result = model(inputs_embeds=long, decoder_input_ids=decoder, use_cache=False)
        out["long.input_ids"] = long_ids
        out["long.decoder_input_ids"] = decoder
        out["long.encoder_out"] = result.encoder_last_hidden_state[:, ::10]
        out["long.logits_last"] = result.logits[:, -3:]
    return {key: value.detach().clone().contiguous() for key, value in out.items()}


def main() -> None:
    root = Path(sys.argv[1])
    torch.set_num_threads(1)
    for name in FAMILIES:
        # Search for a seed with clear greedy choices (float noise must not flip a token), in which some row ends early.
        for seed in range(1, 400):
            model = make_checkpoint(root / name, name, seed)
            values = reference(model, seed)
            ends = (values["gen_ids"] == 1).any(1)
            if values["gen_margin"].min() > 5e-3 and ends.any() and not ends.all():
                break
        else:
            raise SystemExit(f"{name}: no seed with clear choices")
        save_file(values, root / name / "reference.safetensors")
        print(name, "seed", seed, "smallest margin", values["gen_margin"].min().item())
    distance = torch.arange(-300, 301)
    bucket = T5Attention._relative_position_bucket
    save_file(
        {
            "rel.distance": distance.to(torch.int16),
            "rel.bucket_bidirectional": bucket(distance, bidirectional=True).to(torch.uint8),
            "rel.bucket_causal": bucket(distance, bidirectional=False).to(torch.uint8),
        },
        root / "buckets.safetensors",
    )
    # safetensors makes files private to their owner; these should be readable by everyone.
    for path in root.rglob("*.safetensors"):
        path.chmod(0o644)


if __name__ == "__main__":
    main()
