"""The PyTorch side of the benchmark for decoders alone: transformers' CodeGen and Llama with random weights.

Rows are `[P; pads; tokens]` with positions that leave pads out. A step computes the logits of the labelled slots only, as
adept does. Texts are written by a plain greedy loop over `past_key_values`, which is faster than `generate()`: once with
the soft prompt's keys and values computed beforehand and repeated for the rows (`greedy`), once with the prompt in every
row (`reread`).
"""

import torch
from transformers import CodeGenConfig, CodeGenForCausalLM, DynamicCache, LlamaConfig, LlamaForCausalLM

TINY = dict(vocab_size=320)
LLAMA_3 = dict(vocab_size=128256, num_attention_heads=32, num_key_value_heads=8, rope_theta=500000.0, rms_norm_eps=1e-5)
SIZES = {
    "codegen-350m": dict(vocab_size=51200, n_embd=1024, n_layer=20, n_head=16, rotary_dim=32),
    "smollm2-135m": dict(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, head_dim=64, rope_theta=100000.0, rms_norm_eps=1e-5, tie_word_embeddings=True,
    ),
    "llama-3.2-1b": dict(
        LLAMA_3, hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, head_dim=64, tie_word_embeddings=True
    ),
    "llama-3-8b": dict(LLAMA_3, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, head_dim=128),
    "tiny-codegen": dict(TINY, n_embd=32, n_inner=64, n_layer=2, n_head=4, rotary_dim=4),
    "tiny-llama": dict(
        TINY, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        head_dim=8,
    ),  # fmt: skip
}


def width(size):
    """d_model of a size."""
    return SIZES[size].get("n_embd") or SIZES[size]["hidden_size"]


def build(size):
    """The model; attention is PyTorch's fused one where transformers has it for the family."""
    config = dict(SIZES[size], use_cache=True)
    if "n_embd" in config:
        return CodeGenForCausalLM(CodeGenConfig(attn_pdrop=0.0, resid_pdrop=0.0, embd_pdrop=0.0, **config)).eval()
    return LlamaForCausalLM(LlamaConfig(**config)).eval()


def body(model):
    """The stack without the head."""
    return model.transformer if hasattr(model, "transformer") else model.model


def make_batch(rows, slots, target, vocabulary):
    """The formula of `joined` in crates/adept-lab/src/bench/batch.rs."""
    one = lambda row, slot: 3 + (row * 7919 + slot * 104_729 + 31) % (vocabulary - 3)
    ids, mask = [], []
    for row in range(rows):
        pads = (row * 13) % (slots // 2)
        ids.append([0] * pads + [one(row, slot) for slot in range(slots - pads)])
        mask.append([0] * pads + [1] * (slots - pads))
    ids = torch.tensor(ids)
    return ids, torch.tensor(mask), ids[:, -target:]


def positions(mask, prompt):
    """Of the rows `[P; pads; tokens]`: pads are not counted."""
    own = (mask.cumsum(1) - 1).clamp(min=0) + prompt
    return torch.cat([torch.arange(prompt, device=mask.device).expand(mask.shape[0], -1), own], 1)


def embedded(model, adapter, batch):
    ids, mask, _ = batch
    x, full = adapter(model.get_input_embeddings()(ids), mask)
    return x, full, positions(mask, full.shape[1] - mask.shape[1])


def loss(model, adapter, batch):
    labels = batch[2]
    x, full, place = embedded(model, adapter, batch)
    hidden = body(model)(inputs_embeds=x, attention_mask=full, position_ids=place, use_cache=False).last_hidden_state
    logits = model.lm_head(hidden[:, -labels.shape[1] - 1 : -1])
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), labels.flatten())


def prefix(model, prompt):
    """Keys and values of the soft prompt, of one row."""
    cache = DynamicCache(config=model.config)
    if prompt is not None:
        body(model)(inputs_embeds=prompt[None].to(model.dtype), past_key_values=cache, use_cache=True)
    return [(layer.keys, layer.values) for layer in cache.layers] if prompt is not None else []


@torch.no_grad()
def write(model, adapter, batch, new_tokens, read):
    """Greedy ids `[rows, new_tokens]`; `read` is the prefix, none where every row reads the prompt itself."""
    rows = batch[0].shape[0]
    x, full, place = embedded(model, adapter, batch)
    cache = DynamicCache(config=model.config)
    if read:
        prompt = read[0][0].shape[2]
        x, place = x[:, prompt:], place[:, prompt:]
        for number, (keys, values) in enumerate(read):
            cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), number)
    out = []
    for step in range(new_tokens):
        states = body(model)(
            inputs_embeds=x, attention_mask=full, position_ids=place, past_key_values=cache, use_cache=True
        ).last_hidden_state
        ids = model.lm_head(states[:, -1]).argmax(-1, keepdim=True)
        out.append(ids)
        ids.tolist()  # As a program that looks for the end does.
        full = torch.cat([full, torch.ones_like(ids)], 1)
        place = place[:, -1:] + 1
        x = adapter.offset(model.get_input_embeddings()(ids), place - adapter.slots())
    return torch.cat(out, 1)
