"""The families of `golden_decoders.py`: `config.json` in the form of published checkpoints, with sizes and patterns
so small that every branch of an architecture matters within 18 slots."""

import dataclasses

from golden_causal_configs import BYTES_AND_MERGES, EOS, V

# The tokenizer, the texts and the end token of all families.
TOKENIZER = "llama_tied"


@dataclasses.dataclass
class Scale:
    """Of random weights: standard deviation of embeddings as they enter the first block, gain of the maps out of
    feed-forward layers, standard deviation of the logits. With larger logits fewer seeds have two that are near to each
    other, and float32 is less precise."""

    embedding: float = 0.7
    feed_forward: float = 3.0
    logits: float = 1.9


def llama_like(kind, architecture, **own):
    shared = {
        "architectures": [architecture],
        "attention_dropout": 0.0,
        "bos_token_id": BYTES_AND_MERGES,
        "eos_token_id": EOS[TOKENIZER],
        "hidden_act": "silu",
        "hidden_size": 32,
        "initializer_range": 0.02,
        "intermediate_size": 48,
        "max_position_embeddings": 512,
        "model_type": kind,
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-05,
        "rope_theta": 5000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vocab_size": V,
    }
    return dict(sorted((shared | own).items()))


def gemma_like(kind, architecture, **own):
    shared = {
        "attention_bias": False,
        "head_dim": 12,
        "hidden_act": "gelu_pytorch_tanh",
        "hidden_activation": "gelu_pytorch_tanh",
        "pad_token_id": 0,
        "rms_norm_eps": 1e-06,
        "tie_word_embeddings": True,
    }
    return llama_like(kind, architecture, **(shared | own))


def gpt2():
    return {
        "activation_function": "gelu_new",
        "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": 0.1,
        "bos_token_id": BYTES_AND_MERGES,
        "embd_pdrop": 0.1,
        "eos_token_id": EOS[TOKENIZER],
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05,
        "model_type": "gpt2",
        "n_ctx": 128,
        "n_embd": 32,
        "n_head": 4,
        "n_inner": None,
        "n_layer": 2,
        "n_positions": 128,
        "resid_pdrop": 0.1,
        "scale_attn_by_inverse_layer_idx": False,
        "torch_dtype": "bfloat16",
        "vocab_size": V,
    }


def gpt_neox():
    return {
        "architectures": ["GPTNeoXForCausalLM"],
        "attention_bias": True,
        "attention_dropout": 0.0,
        "bos_token_id": BYTES_AND_MERGES,
        "eos_token_id": EOS[TOKENIZER],
        "hidden_act": "gelu",
        "hidden_dropout": 0.0,
        "hidden_size": 48,
        "initializer_range": 0.02,
        "intermediate_size": 64,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 256,
        "model_type": "gpt_neox",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "rotary_emb_base": 5000,
        "rotary_pct": 0.5,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "use_cache": True,
        "use_parallel_residual": True,
        "vocab_size": V,
    }


CONFIGS = {
    # A window in every block: through three of them, the end of a row still sees the virtual tokens in front of it.
    "mistral": llama_like("mistral", "MistralForCausalLM", head_dim=12, sliding_window=11),
    # A window from the second block on, and YaRN with a kept pair, a mixed one and two divided ones.
    "qwen2": llama_like(
        "qwen2",
        "Qwen2ForCausalLM",
        max_window_layers=1,
        rope_scaling={
            "beta_fast": 4.0,
            "beta_slow": 0.5,
            "factor": 4.0,
            "original_max_position_embeddings": 64,
            "rope_type": "yarn",
        },
        rope_theta=1000.0,
        sliding_window=5,
        use_sliding_window=True,
    ),
    "qwen3": llama_like(
        "qwen3",
        "Qwen3ForCausalLM",
        attention_bias=True,
        head_dim=12,
        layer_types=["full_attention", "sliding_attention", "full_attention"],
        sliding_window=7,
        use_sliding_window=True,
        tie_word_embeddings=True,
    ),
    # The second block has no positions, and a window.
    "smollm3": llama_like(
        "smollm3",
        "SmolLM3ForCausalLM",
        no_rope_layer_interval=2,
        no_rope_layers=[1, 0, 1],
        pad_token_id=BYTES_AND_MERGES + 2,
        rope_scaling={"factor": 2.0, "rope_type": "dynamic"},
        sliding_window=6,
        tie_word_embeddings=True,
        use_sliding_window=True,
    ),
    # Three of four pairs are turned; every batch is longer than the original positions.
    "phi3": llama_like(
        "phi3",
        "Phi3ForCausalLM",
        embd_pdrop=0.0,
        num_hidden_layers=2,
        original_max_position_embeddings=8,
        pad_token_id=BYTES_AND_MERGES + 2,
        partial_rotary_factor=0.75,
        resid_pdrop=0.0,
        rope_scaling={"long_factor": [1.1, 1.7, 2.9], "short_factor": [1.0, 1.2, 1.4], "type": "longrope"},
        sliding_window=14,
    ),
    "gemma": gemma_like("gemma", "GemmaForCausalLM", hidden_act="gelu", hidden_activation=None, num_hidden_layers=2),
    # The first and the third block have a window; caps that scores and logits of a few units come near to.
    "gemma2": gemma_like(
        "gemma2",
        "Gemma2ForCausalLM",
        attn_logit_softcapping=4.0,
        final_logit_softcapping=8.0,
        query_pre_attn_scalar=20,
        sliding_window=6,
    ),
    # Windows and positions of their own in the first two blocks, linear scaling in the third.
    "gemma3": gemma_like(
        "gemma3_text",
        "Gemma3ForCausalLM",
        query_pre_attn_scalar=20,
        rope_local_base_freq=100.0,
        rope_scaling={"factor": 2.0, "rope_type": "linear"},
        sliding_window=6,
        sliding_window_pattern=3,
    ),
    "gpt_neox": gpt_neox(),
    "gpt2": gpt2(),
}
SCALES = {name: Scale() for name in CONFIGS} | {
    **{name: Scale(logits=1.6) for name in ("mistral", "gpt_neox")},
    # A tied head would repeat its input if the layers added little to it.
    **{name: Scale(0.5, 6.0) for name in ("qwen3", "smollm3", "gemma", "gemma2", "gemma3", "gpt2")},
}
LORA = {"phi3": ["qkv_proj", "gate_up_proj"], "gpt_neox": ["query_key_value"], "gpt2": ["c_attn"]}


def lora_targets(family):
    return LORA.get(family, ["q_proj", "v_proj"])
