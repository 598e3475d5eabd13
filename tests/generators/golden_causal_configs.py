"""The families of `golden_causal.py`: `config.json` as in published checkpoints, tokenizer settings, and texts."""

import dataclasses

import golden_bpe


@dataclasses.dataclass
class Family:
    """Width of the padded input, the end token, (source, target) of each row, and the scale of random weights: standard
    deviation of embeddings, gain of the down-projections."""

    width: int
    end: str
    texts: list
    embedding: float
    feed_forward: float


# Row 0 fills the width, the others are left-padded. Every byte of ` Label : ` is a token, so sources are short.
LONG = [("The cat was late", "entailed"), ("It is fine", "not true"), ("the", "is"), ("x", "no one")]
SHORT = [("the", "the end"), ("It", "is"), ("x", "no one"), ("a", "no")]
FAMILIES = {
    "codegen": Family(25, golden_bpe.END, LONG, 1.0, 3.0),
    "llama": Family(26, "<|end_of_text|>", LONG, 0.7, 3.0),
    # A tied head would repeat its input if the layers added little to it.
    "llama_tied": Family(18, "<|end_of_text|>", SHORT, 0.5, 6.0),
}
# 256 bytes and 24 merges, then each tokenizer's additions; the models have more rows than the tokenizers have tokens.
V = 288
BYTES_AND_MERGES = 256 + golden_bpe.MERGES
EOS = {"codegen": BYTES_AND_MERGES, "llama": BYTES_AND_MERGES + 1, "llama_tied": BYTES_AND_MERGES + 1}


def codegen_config():
    return {
        "activation_function": "gelu_new",
        "architectures": ["CodeGenForCausalLM"],
        "attn_pdrop": 0.0,
        "bos_token_id": 1,
        "embd_pdrop": 0.0,
        "eos_token_id": EOS["codegen"],
        "gradient_checkpointing": False,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05,
        "model_type": "codegen",
        "n_ctx": 128,
        "n_embd": 48,
        "n_head": 8,
        "n_inner": None,
        "n_layer": 2,
        "n_positions": 128,
        "resid_pdrop": 0.0,
        "rotary_dim": 4,
        "scale_attn_weights": True,
        "tie_word_embeddings": False,
        "tokenizer_class": "GPT2Tokenizer",
        "torch_dtype": "float16",
        "use_cache": True,
        "vocab_size": V,
    }


def llama_config():
    """Like Llama 3.1's; with so few original positions, each of the 4 frequencies is kept, interpolated or divided."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": BYTES_AND_MERGES,
        "eos_token_id": EOS["llama"],
        "hidden_act": "silu",
        "hidden_size": 32,
        "initializer_range": 0.02,
        "intermediate_size": 48,
        "max_position_embeddings": 512,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_scaling": {
            "factor": 8.0,
            "high_freq_factor": 4.0,
            "low_freq_factor": 1.0,
            "original_max_position_embeddings": 64,
            "rope_type": "llama3",
        },
        "rope_theta": 5000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vocab_size": V,
    }


def tied_config():
    """As written by transformers 5: a single field for rope, `dtype`, a head dimension other than d/h."""
    config = llama_config()
    rope = config.pop("rope_scaling") | {"rope_theta": config.pop("rope_theta"), "factor": 32.0}
    dtype = config.pop("torch_dtype")
    changed = {"dtype": dtype, "head_dim": 12, "pad_token_id": None, "rope_parameters": rope, "tie_word_embeddings": True}
    return dict(sorted((config | changed).items()))


def config_json(family):
    return {"codegen": codegen_config, "llama": llama_config, "llama_tied": tied_config}[family]()


def unscaled(config):
    """The same with unscaled rotary frequencies."""
    if "rope_parameters" in config:
        return config | {"rope_parameters": {"rope_type": "default", "rope_theta": config["rope_parameters"]["rope_theta"]}}
    return config | {"rope_scaling": None}


def tokenizer_config(family):
    if family == "codegen":
        end = golden_bpe.END
        return {
            "add_prefix_space": False,
            "bos_token": end,
            "clean_up_tokenization_spaces": False,
            "eos_token": end,
            "model_max_length": 128,
            "tokenizer_class": "CodeGenTokenizer",
            "unk_token": end,
        }
    return {
        "bos_token": golden_bpe.LLAMA_SPECIAL[0],
        "clean_up_tokenization_spaces": False,
        "eos_token": FAMILIES[family].end,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": 512,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
