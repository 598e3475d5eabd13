"""The encoder's first self-attention computed by transformers: `first_attention.safetensors` beside the tiny T5 models.

    python tests/generators/first_attention.py crates/adept-models/tests/fixtures

The models and their inputs (`inputs_embeds`, `attention_mask`) are those of `t5_reference.py`. Patterns are what
`output_attentions` returns; scores are made from the outputs of the first layer's own projections and of its
`compute_bias`; contexts are the input of its output projection.

Written with torch 2.15 and transformers 5.24 (float32, CPU, evaluation mode). With b rows, s slots, h heads, c channels:

    logits [b,h,s,s]           q·k + relative bias, without the mask
    probabilities [b,h,s,s]    the pattern; row 2 sees nothing at all
    outputs [b,s,h*c]          what the queries read
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import T5ForConditionalGeneration


def first_attention(folder: Path) -> dict[str, torch.Tensor]:
    model = T5ForConditionalGeneration.from_pretrained(folder, attn_implementation="eager").eval()
    inputs = load_file(folder / "reference.safetensors")
    layer = model.encoder.block[0].layer[0].SelfAttention
    seen = {}
    layer.q.register_forward_hook(lambda _, __, output: seen.update(q=output))
    layer.k.register_forward_hook(lambda _, __, output: seen.update(k=output))
    layer.o.register_forward_pre_hook(lambda _, given: seen.update(context=given[0]))
    with torch.no_grad():
        result = model.encoder(
            inputs_embeds=inputs["inputs_embeds"], attention_mask=inputs["attention_mask"], output_attentions=True
        )
        b, s, _ = seen["q"].shape
        q, k = (seen[name].view(b, s, layer.n_heads, -1).transpose(1, 2) for name in "qk")
        logits = q @ k.transpose(2, 3) + layer.compute_bias(s, s)
    return {"logits": logits, "probabilities": result.attentions[0], "outputs": seen["context"]}


def main() -> None:
    torch.set_num_threads(1)
    for name in ["t5_relu", "t5_gated"]:
        folder = Path(sys.argv[1]) / name
        path = folder / "first_attention.safetensors"
        save_file({key: value.contiguous() for key, value in first_attention(folder).items()}, path)
        path.chmod(0o644)
        print(path)


if __name__ == "__main__":
    main()
