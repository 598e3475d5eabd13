"""Writes a Llama checkpoint of Llama-3-8B's widths with random bf16 weights, in shards as published ones are.

    python bench/sharded_llama.py DIR --layers 8

`cargo run --release -p adept-models --features flex --example random_backbone -- load DIR` then says how much memory it
takes to load it. One shard is in memory at a time here, so that a checkpoint may be larger than the machine's memory.
"""

import argparse
import json
import pathlib

import torch
from safetensors.torch import save_file

D, INNER, HEADS, GROUPS, HEAD, VOCAB = 4096, 14336, 32, 8, 128, 128256


def shards(layers):
    """Name and shape of the tensors of each shard: the embedding, two layers at a time, the head."""
    yield {"model.embed_tokens.weight": (VOCAB, D)}
    for first in range(0, layers, 2):
        shard = {}
        for layer in range(first, min(first + 2, layers)):
            at = f"model.layers.{layer}."
            for name, rows, columns in [
                ("self_attn.q_proj", HEADS * HEAD, D), ("self_attn.k_proj", GROUPS * HEAD, D),
                ("self_attn.v_proj", GROUPS * HEAD, D), ("self_attn.o_proj", D, HEADS * HEAD),
                ("mlp.gate_proj", INNER, D), ("mlp.up_proj", INNER, D), ("mlp.down_proj", D, INNER),
            ]:  # fmt: skip
                shard[f"{at}{name}.weight"] = (rows, columns)
            shard[f"{at}input_layernorm.weight"] = shard[f"{at}post_attention_layernorm.weight"] = (D,)
        yield shard
    yield {"model.norm.weight": (D,), "lm_head.weight": (VOCAB, D)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("--layers", type=int, default=8, help="the published model has 32")
    options = parser.parse_args()
    options.dir.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": D,
        "intermediate_size": INNER, "num_hidden_layers": options.layers, "num_attention_heads": HEADS,
        "num_key_value_heads": GROUPS, "max_position_embeddings": 8192, "rms_norm_eps": 1e-5, "rope_theta": 500000.0,
        "tie_word_embeddings": False, "vocab_size": VOCAB, "bos_token_id": 128000, "eos_token_id": 128001,
        "torch_dtype": "bfloat16",
    }  # fmt: skip
    (options.dir / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    everything = list(shards(options.layers))
    index, total = {}, 0
    for number, shard in enumerate(everything, 1):
        file = f"model-{number:05}-of-{len(everything):05}.safetensors"
        one = lambda shape: torch.ones(shape, dtype=torch.bfloat16) if len(shape) == 1 else (
            torch.empty(shape, dtype=torch.bfloat16).normal_(0, 0.02)
        )  # fmt: skip
        tensors = {name: one(shape) for name, shape in shard.items()}
        save_file(tensors, options.dir / file, metadata={"format": "pt"})
        index |= dict.fromkeys(tensors, file)
        total += sum(tensor.nbytes for tensor in tensors.values())
    listing = {"metadata": {"total_size": total}, "weight_map": index}
    (options.dir / "model.safetensors.index.json").write_text(json.dumps(listing, indent=2) + "\n")
    print(f"{total / 2**20:.0f} MiB in {len(everything)} shards")


if __name__ == "__main__":
    main()
