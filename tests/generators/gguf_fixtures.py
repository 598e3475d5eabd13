"""Writes the GGUF files that adept-gguf is tested with, and what they have to become.

    python tests/generators/gguf_fixtures.py crates/adept-gguf/tests/fixtures

Needs gguf, numpy, safetensors, sentencepiece, protobuf and torch. Random numbers are of a fixed seed.

- models/NAME.gguf: the golden checkpoint NAME (tests/goldens) as llama.cpp's converter writes it: rows of queries and
  keys permuted (llama, smollm3), norms plus 1 (gemma), queries, keys and values of all heads together (gpt_neox), maps
  transposed (gpt2), Llama 3's factors and LongRoPE's as tensors. Matrices in bfloat16 (float16 in gpt_neox), vectors in
  float32, the tokenizer with `[PAD]` tokens up to the rows of the embedding.
- types.gguf, types.safetensors: random blocks of every type, and their values by the gguf package.
- split-0000N-of-00002.gguf: llama.gguf in two parts.
- pieces.gguf, pieces_plain.gguf, pieces.json: a SentencePiece vocabulary with and without a space in front of texts,
  and the ids that SentencePiece itself assigns.
"""

import io
import json
import math
import pathlib
import re
import sys

import gguf
import numpy
import sentencepiece
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from sentencepiece import sentencepiece_model_pb2

GOLDENS = pathlib.Path(__file__).parent.parent / "goldens"
CORPUS = pathlib.Path(__file__).parent / "corpus.txt"
LLAMA = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}
GEMMA_2 = LLAMA | {
    "post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
NEOX = {
    "gpt_neox.embed_in": "token_embd", "gpt_neox.final_layer_norm": "output_norm", "embed_out": "output",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "attention.query_key_value": "attn_qkv", "attention.dense": "attn_output",
    "mlp.dense_h_to_4h": "ffn_up", "mlp.dense_4h_to_h": "ffn_down",
}
GPT_2 = {
    "transformer.wte": "token_embd", "transformer.wpe": "position_embd", "transformer.ln_f": "output_norm",
    "ln_1": "attn_norm", "ln_2": "ffn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output",
    "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down",
}
# Golden folder: architecture, names.
MODELS = {
    "llama": ("llama", LLAMA), "llama_tied": ("llama", LLAMA), "mistral": ("llama", LLAMA), "qwen2": ("qwen2", LLAMA),
    "qwen3": ("qwen3", LLAMA), "smollm3": ("smollm3", LLAMA), "phi3": ("phi3", LLAMA), "gemma": ("gemma", LLAMA),
    "gemma2": ("gemma2", GEMMA_2), "gemma3": ("gemma3", GEMMA_2), "gpt_neox": ("gptneox", NEOX),
    "gpt2": ("gpt2", GPT_2),
}


def renamed(name, names):
    """`model.layers.1.mlp.up_proj.weight` -> `blk.1.ffn_up.weight`"""
    stem, part = name.rsplit(".", 1)
    block = re.fullmatch(r"(?:model\.layers|gpt_neox\.layers|transformer\.h)\.(\d+)\.(.*)", stem)
    return f"blk.{block[1]}.{names[block[2]]}.{part}" if block else f"{names[stem]}.{part}"


def pairs(values, heads):
    """Rows of each head: channel i beside channel i + d/2, as llama.cpp rotates them."""
    halves = values.reshape(heads, 2, values.shape[0] // heads // 2, -1)
    return numpy.stack([halves[:, 0], halves[:, 1]], axis=2).reshape(values.shape)


def by_part(values, heads):
    """Rows head by head (q, k, v of the first, ...) -> those of all queries, of all keys, of all values."""
    width = values.shape[0] // heads // 3
    return numpy.concatenate([values.reshape(heads, 3, width, -1)[:, part].reshape(heads * width, -1)
                              for part in range(3)]).reshape(values.shape)


def changed(architecture, name, values, config):
    heads = config.get("num_attention_heads")
    if architecture in ("llama", "smollm3") and re.search(r"attn_[qk]\.", name):
        return pairs(values, heads if "attn_q" in name else config["num_key_value_heads"])
    if architecture.startswith("gemma") and name.endswith("norm.weight"):
        return values + numpy.float32(1)
    if architecture == "gptneox" and "attn_qkv" in name:
        return by_part(values, heads)
    if architecture == "gpt2" and name.startswith("blk") and name.endswith("weight") and values.ndim == 2:
        return values.T
    return values


def factors(config, scaling):
    """Llama 3's factors, after its paper's code."""
    size = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    theta = scaling.get("rope_theta") or config["rope_theta"]
    out = []
    for pair in range(size // 2):
        turns = scaling["original_max_position_embeddings"] * theta ** (-2 * pair / size) / (2 * math.pi)
        smooth = min(max((turns - low) / (high - low), 0), 1)
        out.append(1 / ((1 - smooth) / scaling["factor"] + smooth))
    return numpy.array(out, numpy.float32)


def metadata(writer, architecture, config):
    get = lambda *names: next((config[name] for name in names if config.get(name) is not None), None)
    width, heads = get("hidden_size", "n_embd"), get("num_attention_heads", "n_head")
    head_dim = get("head_dim") or width // heads
    writer.add_block_count(get("num_hidden_layers", "n_layer"))
    writer.add_context_length(get("max_position_embeddings", "n_positions"))
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(get("intermediate_size") or 4 * width)
    writer.add_head_count(heads)
    if get("num_key_value_heads"):
        writer.add_head_count_kv(get("num_key_value_heads"))
    if get("head_dim"):
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    if get("rms_norm_eps"):
        writer.add_layer_norm_rms_eps(get("rms_norm_eps"))
    else:
        writer.add_layer_norm_eps(get("layer_norm_eps", "layer_norm_epsilon"))
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    theta = get("rope_theta", "rotary_emb_base") or scaling.get("rope_theta")
    if theta:
        writer.add_rope_freq_base(theta)
    kind = scaling.get("rope_type") or scaling.get("type")
    if kind == "llama3":
        writer.add_tensor("rope_freqs.weight", factors(config, scaling))
    elif kind in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(kind))
        writer.add_rope_scaling_factor(scaling["factor"])
        if kind == "yarn":
            writer.add_rope_scaling_orig_ctx_len(scaling["original_max_position_embeddings"])
            writer.add_rope_scaling_yarn_beta_fast(scaling["beta_fast"])
            writer.add_rope_scaling_yarn_beta_slow(scaling["beta_slow"])
    if architecture == "llama":
        writer.add_vocab_size(config["vocab_size"])
        writer.add_rope_dimension_count(head_dim)
    if architecture == "phi3":
        writer.add_rope_dimension_count(int(config["partial_rotary_factor"] * head_dim))
        original = config["original_max_position_embeddings"]
        writer.add_rope_scaling_orig_ctx_len(original)
        stretch = config["max_position_embeddings"] / original
        writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(stretch) / math.log(original)))
        for length in ("long", "short"):
            writer.add_tensor(f"rope_factors_{length}.weight", numpy.array(scaling[f"{length}_factor"], numpy.float32))
    if architecture == "gptneox":
        writer.add_rope_dimension_count(int(config["rotary_pct"] * head_dim))
        writer.add_parallel_residual(config["use_parallel_residual"])
    # Qwen2's and Qwen3's windows, and SmolLM3's, are left out by converters.
    if config.get("sliding_window") and architecture in ("llama", "phi3", "gemma2", "gemma3"):
        writer.add_sliding_window(config["sliding_window"])
    if architecture in ("gemma2", "gemma3"):
        writer.add_float32(f"{architecture}.attention.scale", config["query_pre_attn_scalar"] ** -0.5)
    if architecture == "gemma2":
        writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
        writer.add_final_logit_softcapping(config["final_logit_softcapping"])
    if architecture == "gemma3":
        writer.add_uint32("gemma3.attention.sliding_window_pattern", config["sliding_window_pattern"])
        writer.add_float32("gemma3.rope.freq_base_swa", config["rope_local_base_freq"])


def tokens(writer, folder, config):
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    added = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    texts = {id: text for text, id in (tokenizer["model"]["vocab"] | added).items()}
    all_ids = range(config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list([texts.get(id, f"[PAD{id}]") for id in all_ids])
    kind = lambda id: (gguf.TokenType.UNUSED if id not in texts else
                       gguf.TokenType.CONTROL if texts[id] in added else gguf.TokenType.NORMAL)
    writer.add_token_types([kind(id) for id in all_ids])
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["model"]["merges"]])
    for name in ("bos", "eos", "pad"):
        if (id := config.get(f"{name}_token_id")) is not None:
            getattr(writer, f"add_{name}_token_id")(id)


def model(name, path):
    architecture, names = MODELS[name]
    folder = GOLDENS / name
    config = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(path, architecture)
    metadata(writer, architecture, config)
    tokens(writer, folder, config)
    with safe_open(folder / "model.safetensors", "pt") as file:
        for key in file.keys():
            stored = file.get_tensor(key)
            new = renamed(key, names)
            values = numpy.ascontiguousarray(changed(architecture, new, stored.float().numpy(), config))
            if values.ndim == 1:
                writer.add_tensor(new, values)
            elif stored.dtype == torch.float16:
                writer.add_tensor(new, values.astype(numpy.float16))
            else:
                writer.add_tensor(new, bf16(values), raw_dtype=gguf.GGMLQuantizationType.BF16)
            if (architecture, new) == ("gpt2", "token_embd.weight"):
                # Older converters repeat the embedding as the output head.
                writer.add_tensor("output.weight", bf16(values), raw_dtype=gguf.GGMLQuantizationType.BF16)
    finish(writer)


def bf16(values):
    return torch.from_numpy(values).to(torch.bfloat16).view(torch.uint8).numpy()


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def split(source, out):
    """llama.cpp's gguf-split: metadata in the first part, and each part's number in all."""
    reader = gguf.GGUFReader(source)
    half = len(reader.tensors) // 2
    for number, part in enumerate((reader.tensors[:half], reader.tensors[half:])):
        writer = gguf.GGUFWriter(out / f"split-{number + 1:05}-of-00002.gguf", "llama")
        if number == 0:
            copy_metadata(reader, writer)
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", 2)
        writer.add_int32("split.tensors.count", len(reader.tensors))
        for tensor in part:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        finish(writer)


def copy_metadata(reader, writer):
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key != "general.architecture":
            kind = field.types[0]
            element = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(key, field.contents(), kind, element)


def types(out):
    """Random blocks: any bytes, but for the half-precision factors, which are finite."""
    kinds = gguf.GGMLQuantizationType
    # Offsets of the half-precision numbers in a block.
    halves = {
        kinds.F16: [0], kinds.Q4_0: [0], kinds.Q4_1: [0, 2], kinds.Q5_0: [0], kinds.Q5_1: [0, 2], kinds.Q8_0: [0],
        kinds.Q2_K: [80, 82], kinds.Q3_K: [108], kinds.Q4_K: [0, 2], kinds.Q5_K: [0, 2], kinds.Q6_K: [208],
        kinds.IQ4_NL: [0], kinds.IQ4_XS: [0],
    }
    random = numpy.random.default_rng(20261130)
    writer, expected = gguf.GGUFWriter(out / "types.gguf", "llama"), {}
    for kind in (kinds.F32, kinds.BF16, *halves):
        size, length = gguf.GGML_QUANT_SIZES[kind]
        rows, columns = 2, 512
        if kind == kinds.F32:
            data = random.standard_normal((rows, columns), numpy.float32)
            raw = data.view(numpy.uint8)
        elif kind == kinds.BF16:
            raw = bf16(random.standard_normal((rows, columns), numpy.float32))
        else:
            blocks = random.integers(0, 256, (rows * columns // size, length), numpy.uint8)
            for offset in halves[kind]:
                # Both signs, all exponents, subnormal numbers too.
                exponent = random.integers(0, 31, len(blocks), numpy.uint16) << 10
                half = exponent | random.integers(0, 1024, len(blocks), numpy.uint16)
                half |= random.integers(0, 2, len(blocks), numpy.uint16) << 15
                blocks[:, offset:offset + 2] = half[:, None].view(numpy.uint8)
            raw = blocks.reshape(rows, -1)
        writer.add_tensor(kind.name, raw, raw_dtype=kind)
        expected[kind.name] = gguf.dequantize(raw if kind != kinds.F32 else data, kind).astype(numpy.float32)
        assert expected[kind.name].shape == (rows, columns) and numpy.isfinite(expected[kind.name]).all(), kind
    finish(writer)
    save_file(expected, out / "types.safetensors")


TEXTS = [
    "", " ", "a", "The committee met on Tuesday.", "  two  spaces", "trailing  ", "line\nbreak", "\n\n\nthree",
    "tab\there",
    "naïve café", "漢字かな", "emoji 🙂🚀", "▁under▁", "1234567 + 89", "def f(x):\n    return x + 1\n",
    "a<turn>b", "what the people of the town said about the report", "x" * 30, " " * 20 + "deep", "½ of it",
]


def pieces(out):
    """A vocabulary trained on the corpus of this folder."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS.read_text().splitlines()), model_writer=model, model_type="bpe", vocab_size=700,
        byte_fallback=True, character_coverage=0.995,
        user_defined_symbols=["<turn>", "▁▁", "▁▁▁", "▁▁▁▁", "\n", "\n\n"],
        normalization_rule_name="identity", remove_extra_whitespaces=False, pad_id=3, num_threads=1,
    )
    proto = sentencepiece_model_pb2.ModelProto.FromString(model.getvalue())
    expected = {"texts": TEXTS}
    for name, prefix in (("pieces", True), ("pieces_plain", False)):
        proto.normalizer_spec.add_dummy_prefix = prefix
        processor = sentencepiece.SentencePieceProcessor()
        processor.LoadFromSerializedProto(proto.SerializeToString())
        # With a space in front of texts, ours puts one behind added tokens as well (as llama.cpp does); SentencePiece
        # does not.
        differs = lambda text: prefix and ("\n" in text or "<turn>" in text)
        expected[name] = [None if differs(text) else [processor.bos_id(), *processor.encode(text)] for text in TEXTS]
        write_pieces(out / f"{name}.gguf", proto, prefix)
    (out / "pieces.json").write_text(json.dumps(expected, ensure_ascii=False) + "\n")


def write_pieces(path, proto, prefix):
    writer = gguf.GGUFWriter(path, "llama")
    config = {"hidden_size": 8, "num_attention_heads": 1, "num_hidden_layers": 1, "max_position_embeddings": 64,
              "intermediate_size": 8, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "vocab_size": len(proto.pieces)}
    metadata(writer, "llama", config)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    kinds = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6}
    # Converters write spaces out in what users have defined, and give it a low score.
    user = lambda piece: piece.type == 4
    writer.add_token_list([piece.piece.replace("▁", " ") if user(piece) else piece.piece for piece in proto.pieces])
    writer.add_token_scores([-1000.0 if user(piece) else piece.score for piece in proto.pieces])
    writer.add_token_types([kinds[piece.type] for piece in proto.pieces])
    for name, id in (("unk", 0), ("bos", 1), ("eos", 2), ("pad", 3)):
        getattr(writer, f"add_{name}_token_id")(id)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(prefix)
    writer.add_chat_template("{{ messages[0]['content'] }}")
    random = numpy.random.default_rng(1)
    zeros = lambda *shape: numpy.zeros(shape, numpy.float32)
    writer.add_tensor("token_embd.weight", random.standard_normal((len(proto.pieces), 8)).astype(numpy.float16))
    writer.add_tensor("output_norm.weight", zeros(8))
    for name, shape in (("attn_norm", (8,)), ("ffn_norm", (8,)), ("attn_q", (8, 8)), ("attn_k", (8, 8)),
                        ("attn_v", (8, 8)), ("attn_output", (8, 8)), ("ffn_gate", (8, 8)), ("ffn_up", (8, 8)),
                        ("ffn_down", (8, 8))):
        writer.add_tensor(f"blk.0.{name}.weight", zeros(*shape))
    finish(writer)


def main(out):
    (out / "models").mkdir(parents=True, exist_ok=True)
    for name in MODELS:
        model(name, out / "models" / f"{name}.gguf")
    types(out)
    split(out / "models" / "llama.gguf", out)
    pieces(out)


main(pathlib.Path(sys.argv[1]))
