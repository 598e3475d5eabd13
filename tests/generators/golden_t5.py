"""Writes the golden folders `tests/goldens/t5_v1_0` and `tests/goldens/t5_v1_1`.

A golden folder contains a tiny T5 with random weights and PyTorch's results for it: logits, losses, gradients and
tensors after three AdamW steps for the bare model and for PT, DePT, ADePT and LoRA, greedy output, and tokenizer cases.
`adept verify` compares a backend with it.

    python tests/generators/golden_t5.py            # writes both folders
    python tests/generators/golden_t5.py --check    # compares their tensors with a fresh computation

Origin of the values: the backbone is transformers' T5ForConditionalGeneration; LoRA and a cross-check of the plain
prompt are peft's; the adapters of PT, DePT and ADePT (equations 1 to 3 of the paper) are implemented in
`golden_common.py`, on `inputs_embeds`, independently of the Rust code they check.

A golden folder is only useful if mistakes change its values by more than the tolerance. The script therefore also
computes the tensors with typical mistakes (no relative bias, wrong head scale, missing bias in the offset, wrong weight
decay, ...) and refuses to write a folder in which one of them stays below ten times its tolerance, or in which float32
itself is further than a third of the tolerance from float64.

Shapes: B rows, S source width, T target width, V model vocabulary, d model width, m prompt length, L = m + S.
"""

import collections
import copy
import math
import unicodedata

import safetensors.torch
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import T5Config, T5ForConditionalGeneration

import golden_common as common
from golden_common import B, HERE, LEAST_MARGIN, NEW_TOKENS, adapt, pad_after_eos, train_three, worst

S, T, V, TOKENIZER_V, D = 10, 6, 160, 150, 32
EMBEDDING_STD = 0.15
FAMILIES = {"t5_v1_0": "relu", "t5_v1_1": "gated-gelu"}
# Row 0 fills the width, the others are padded; the last consists of a single piece and `</s>`.
SOURCES = ["The cat was late for the film.", "It is a fine review", "the soup", "the"]
TARGETS = ["not true", "the first", "is", "no one said"]


# ---------------------------------------------------------------------------------------------------- tokenizer
def train_pieces(count):
    """Unigram pieces with log-probabilities: every character, then the substrings that save the most characters.

    The tokenizers library's own trainer sums over hash maps in random order, so that its result differs from run to
    run.
    """
    words = collections.Counter()
    for line in (HERE / "corpus.txt").read_text(encoding="utf-8").splitlines():
        words.update("▁" + word for word in unicodedata.normalize("NFKC", line).split())
    found = collections.Counter()
    for word, times in words.items():
        for start in range(len(word)):
            for end in range(start + 1, min(start + 8, len(word)) + 1):
                found[word[start:end]] += times
    single = sorted((piece for piece in found if len(piece) == 1), key=lambda piece: (-found[piece], piece))
    longer = [piece for piece in found if len(piece) > 1 and found[piece] > 1]
    longer.sort(key=lambda piece: (-found[piece] * (len(piece) - 1), piece))
    kept = single + longer[: count - len(single)]
    total = sum(found[piece] for piece in kept)
    return sorted(((piece, round(math.log(found[piece] / total), 6)) for piece in kept), key=lambda p: (-p[1], p[0]))


def train_tokenizer():
    """A Unigram tokenizer built like T5's: `▁` pieces, `</s>` appended, `<extra_id_*>` at the end."""
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    tokenizer = Tokenizer(models.Unigram(special + train_pieces(TOKENIZER_V - 7), unk_id=2, byte_fallback=False))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"] + [f"<extra_id_{i}>" for i in range(3, -1, -1)])
    assert tokenizer.get_vocab_size() == TOKENIZER_V, tokenizer.get_vocab_size()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return tokenizer


CASES = [
    "",
    " ",
    "the",
    "The ferry leaves the small harbour at seven.",
    "  two  spaces   and a trailing one ",
    "a line\nand another\tand a tab\r\n",
    "Straße, naïve café, Ångström, œuvre",
    "ﬁne ① Ⅷ ｆｕｌｌ ｗｉｄｔｈ … ½",  # NFKC rewrites all of these.
    "日本語 и кириллица العربية",
    "🙂 emoji 👩‍👩‍👧 with joiners",
    "numbers 0 12 345.67 -8 1,000,000 and symbols #@%&*()[]{}<>|~^`",
    "a\u00a0no-break\u3000ideographic\u200bzero-width space",
    "e\u0301 is é only after composition",
    "<extra_id_0> in the middle <extra_id_3> of it",
    "</s> <pad> <unk> as text",
    "▁ the piece mark itself ▁▁",
    'quotes "double" and \'single\' and `back`',
    "ALL CAPITALS AND MiXeD CaSe",
    "control \x01 characters \x7f here",
    "supercalifragilisticexpialidocious",
    "the soup was cold and the music was loud " * 30,
    "x" * 400,
]


# ------------------------------------------------------------------------------------------------------ backbone
def config_json(family):
    """`config.json` as in the published checkpoints: v1.0 omits fields with defaults, v1.1 includes them."""
    config = {
        "architectures": ["T5ForConditionalGeneration"],
        "d_ff": 48,
        "d_kv": 8,
        "d_model": D,
        "decoder_start_token_id": 0,
        "dropout_rate": 0.1,
        "eos_token_id": 1,
        "initializer_factor": 1.0,
        "is_encoder_decoder": True,
        "layer_norm_epsilon": 1e-06,
        "model_type": "t5",
        "num_heads": 3,
        "num_layers": 2,
        "pad_token_id": 0,
        "relative_attention_num_buckets": 32,
        "use_cache": True,
        "vocab_size": V,
    }
    if family == "t5_v1_1":
        config |= {
            "feed_forward_proj": "gated-gelu",
            "num_decoder_layers": 2,
            "relative_attention_max_distance": 128,
            "tie_word_embeddings": False,
        }
    return config


def build(family, generator):
    """A T5 in which every weight matters: relative biases of order one, norms away from one.

    Embeddings are smaller than what the layers add to them; otherwise a tied head would only repeat its input. With 3
    heads of 8 the attention's inner width (24) is not d, so that a transposed matrix cannot be taken for the right one.
    """
    model = T5ForConditionalGeneration(T5Config(**config_json(family))).eval()
    if family == "t5_v1_1":
        # transformers 5 ties the parameters of a model created from a config; the published v1.1 heads are untied.
        model.lm_head.weight = torch.nn.Parameter(torch.empty(V, D))
    normal = lambda shape, std: torch.randn(shape, generator=generator) * std
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            kind = name.split(".")[-2]
            if kind in ("layer_norm", "final_layer_norm"):
                value = 1 + normal(parameter.shape, 0.2)
                if name.startswith("decoder.final"):
                    # Logits of a few units: the tolerances are a small part of them, float32's noise is far below.
                    value *= 1.6 if family == "t5_v1_1" else 1.6 / EMBEDDING_STD
            elif kind == "relative_attention_bias":
                value = normal(parameter.shape, 1.0)
            elif kind == "shared":
                value = normal(parameter.shape, EMBEDDING_STD)
            elif kind == "lm_head":
                value = normal(parameter.shape, D**-0.5)
            elif kind in ("q", "k"):
                value = normal(parameter.shape, 1.2 * (D * 8) ** -0.25 * D**-0.25)
            else:
                # A feed-forward that outweighs attention makes the next token depend on the last one, not on the
                # input alone; otherwise greedy output is one token over and over.
                gain = 3.0 if name.startswith("decoder") and kind == "wo" else 1.2
                value = normal(parameter.shape, gain * parameter.shape[1] ** -0.5)
            parameter.copy_(value)
        # `</s>` should come up within twenty tokens in some rows, so that stopping at it is covered.
        (model.lm_head if family == "t5_v1_1" else model.shared).weight[1] *= 1.8
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model


def checkpoint(model, family):
    """Tensors of `model.safetensors`: a single shared table, and the head if it is untied (as published)."""
    keep = {}
    for name, tensor in model.state_dict().items():
        alias = name.endswith("embed_tokens.weight") or (name == "lm_head.weight" and family == "t5_v1_0")
        if not alias:
            keep[name] = tensor.contiguous()
    return keep


# ------------------------------------------------------------------------------------------- what the folder holds
@torch.no_grad()
def greedy(model, encoded, mask):
    """Greedy output that ignores `</s>`, without a cache: ids [B, 20] and margins between top 1 and top 2 [B, 20]."""
    ids = torch.zeros(B, 1, dtype=torch.long)
    margins = []
    for _ in range(NEW_TOKENS):
        logits = model(encoder_outputs=(encoded,), attention_mask=mask, decoder_input_ids=ids).logits[:, -1]
        best = logits.topk(2, -1)
        margins.append(best.values[:, 0] - best.values[:, 1])
        ids = torch.cat([ids, best.indices[:, :1]], 1)
        if margins[-1].min() < LEAST_MARGIN:
            return None, None  # This seed is unusable: float32 noise might flip a token.
    return ids[:, 1:], torch.stack(margins, 1)


def compute(model, adapters, batch, dtype=torch.float32, optimiser="", broken="", generate=False):
    """All tensors of `base`, `pt`, `dept`, `adept`. `broken` and `optimiser` introduce one mistake."""
    out = {}
    ids, mask, labels = batch["train.input_ids"], batch["train.attention_mask"], batch["train.labels"]
    x = model.shared.weight[ids]
    if broken == "pads visible":
        mask = torch.ones_like(mask)
    with torch.no_grad():
        base = model(input_ids=ids, attention_mask=mask, labels=labels, output_hidden_states=True)
        out["base.logits"], out["base.loss"] = base.logits, base.loss
        flat = torch.nn.functional.cross_entropy(
            base.logits.view(-1, V), labels.view(-1), ignore_index=-100, reduction="none"
        )
        out["base.loss_per_token"] = flat.view(B, T)
        for i, hidden in enumerate(base.encoder_hidden_states):
            out[f"base.encoder_hidden.{i}"] = hidden
        for i, hidden in enumerate(base.decoder_hidden_states):
            out[f"base.decoder_hidden.{i}"] = hidden
        if generate:
            nostop, margin = greedy(model, base.encoder_last_hidden_state, mask)
            if nostop is None:
                return None
            out |= {"base.gen_ids_nostop": nostop, "base.gen_margin": margin}
            out["base.gen_ids"] = pad_after_eos(nostop, eos=1, pad=0)
    for method, start in adapters.items():
        p = {name: tensor.to(dtype) for name, tensor in start.items()}
        with torch.no_grad():
            embeds, full = adapt(method, p, x, mask, broken)
            result = model(inputs_embeds=embeds, attention_mask=full, labels=labels)
            out |= {
                f"{method}.inputs_embeds": embeds,
                f"{method}.attention_mask": full,
                f"{method}.encoder_out": result.encoder_last_hidden_state,
                f"{method}.logits": result.logits,
                f"{method}.loss": result.loss,
            }
            if generate:
                nostop, margin = greedy(model, result.encoder_last_hidden_state, full)
                if nostop is None:
                    return None
                out[f"{method}.gen_ids_nostop"], out[f"{method}.gen_margin"] = nostop, margin
                out[f"{method}.gen_ids"] = pad_after_eos(nostop, eos=1, pad=0)
        loss_of = lambda embeds, full: model(inputs_embeds=embeds, attention_mask=full, labels=labels).loss
        out |= common.trained(method, train_three(loss_of, method, start, x, mask, optimiser, dtype))
    return out


# ------------------------------------------------------------------------------------------------------- self-checks
def mistakes(model):
    """Backbones with one mistake each: name, model."""

    def variant(name, change):
        broken = copy.deepcopy(model)
        with torch.no_grad():
            change(broken)
        return name, broken

    def set_activation(m):
        for module in m.modules():
            if hasattr(module, "wi_0"):
                module.act = torch.nn.GELU()

    def flip_direction(m):
        m.encoder.block[0].layer[0].SelfAttention.is_decoder = True

    def scale_scores(m):
        for name, parameter in m.named_parameters():
            if name.endswith(".q.weight"):
                parameter.mul_(m.config.d_kv**-0.5)

    def flip_head(m):
        m.config.scale_decoder_outputs = not m.config.scale_decoder_outputs

    bias = lambda stack: getattr(model, stack).block[0].layer[0].SelfAttention.relative_attention_bias
    assert bias("encoder").weight.shape == (32, 3) and bias("decoder").weight.shape == (32, 3)
    yield variant(
        "no relative bias in the encoder",
        lambda m: m.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight.zero_(),
    )
    yield variant(
        "no relative bias in the decoder",
        lambda m: m.decoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight.zero_(),
    )
    yield variant("encoder's relative bias is causal", flip_direction)
    yield variant("head scale of the other family", flip_head)
    yield variant("scores divided by sqrt(d_kv)", scale_scores)
    if model.config.is_gated_act:
        yield variant("exact instead of tanh gelu", set_activation)


def self_check(model, adapters, batch, reference):
    """Every mistake must exceed ten times a tolerance; float32 must stay within a third of every tolerance."""
    report = {}
    common.check_noise(report, reference, compute(copy.deepcopy(model).double(), adapters, batch, dtype=torch.float64))
    for name, broken in mistakes(model):
        other = compute(broken, adapters, batch)
        for prefix in ("base.logits", "base.loss", "pt.logits", "dept.logits", "adept.logits", "adept.loss", "adept.grad."):
            # The two variants of gelu differ by at most 5e-4: visible in logits and gradients, but hardly in the mean
            # loss.
            least = 10 if "gelu" not in name else 0 if prefix.endswith("loss") else 5
            common.require(report, f"{name}, {prefix}", worst(reference, other, prefix), least)
    again = lambda **mistake: compute(model, adapters, batch, **mistake)
    common.check_adapters(report, reference, again)
    common.check_optimiser(report, reference, again)
    return report


# ------------------------------------------------------------------------------------------------------------- main
def make_batch(tokenizer):
    def padded(texts, width, pad):
        rows = []
        for text in texts:
            ids = tokenizer.encode(text, add_special_tokens=False).ids[: width - 1] + [1]
            rows.append(ids + [pad] * (width - len(ids)))
        return torch.tensor(rows)

    input_ids = padded(SOURCES, S, 0)
    labels = padded(TARGETS, T, -100)
    lengths = (input_ids != 0).sum(1)
    assert lengths.max() == S and lengths.min() <= 3, lengths
    assert (labels != -100).sum(1).max() == T and (labels == -100).any(), labels
    decoder = torch.cat([torch.zeros(B, 1, dtype=torch.long), labels[:, :-1]], 1).clamp(min=0)
    return {
        "train.input_ids": input_ids,
        "train.attention_mask": (input_ids != 0).long(),
        "train.labels": labels,
        "train.decoder_input_ids": decoder,
    }


def tables(model):
    distance = torch.arange(-300, 301)
    bucket = model.encoder.block[0].layer[0].SelfAttention._relative_position_bucket
    return {
        "rel.distance": distance,
        "rel.bucket_bidirectional": bucket(distance, bidirectional=True, num_buckets=32, max_distance=128),
        "rel.bucket_causal": bucket(distance, bidirectional=False, num_buckets=32, max_distance=128),
    }



def attempt(family, seed, batch):
    """A reason to reject a seed or None, and the results: model, adapters, batch, tensors."""
    generator = torch.Generator().manual_seed(seed)
    model = build(family, generator)
    adapters = common.make_adapters(generator, D, S)
    found = compute(model, adapters, batch, generate=True)
    if found is None:
        return "margin", None
    reason = common.check_generation(found)
    if reason is None and common.near_a_kink(adapters, model.shared.weight[batch["train.input_ids"]]):
        reason = "kink"
    return reason, (model, adapters, batch, found)


def write(family, folder, known):
    tokenizer = train_tokenizer()
    batch = make_batch(tokenizer)
    find = lambda seed: attempt(family, seed, batch)
    seed, (model, adapters, _, found) = common.find_seed(family, find, self_check, known)
    common.write_json(folder / "config.json", config_json(family))
    ids = {"decoder_start_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
    common.write_json(folder / "generation_config.json", ids)
    safetensors.torch.save_file(checkpoint(model, family), folder / "model.safetensors", {"format": "pt"})
    # transformers' own loader must give the same results for the file as for the model in memory.
    again = T5ForConditionalGeneration.from_pretrained(folder).eval()
    inputs = {name: batch[f"train.{name}"] for name in ("input_ids", "attention_mask", "labels")}
    with torch.no_grad():
        loaded = again(**inputs)
    assert torch.equal(loaded.logits, found["base.logits"]), "the saved checkpoint loads as another model"
    stopped = again.generate(
        input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], max_new_tokens=NEW_TOKENS, do_sample=False
    )[:, 1:]
    stopped = torch.nn.functional.pad(stopped, (0, NEW_TOKENS - stopped.shape[1]))
    assert torch.equal(stopped, found["base.gen_ids"]), "generate() and the greedy loop differ"
    by_peft, _ = common.pt_by_peft(model, adapters["pt"]["prompt"], inputs, folder / "pt_peft", "SEQ_2_SEQ_LM")
    assert torch.allclose(by_peft, found["pt.logits"], atol=1e-5), "peft's prompt and the one written here differ"

    tensors = batch | {"schedule": common.schedule()}
    for method, parameters in adapters.items():
        tensors |= {f"{method}.{name}": tensor for name, tensor in parameters.items()}
    generator = torch.Generator().manual_seed(seed)
    tensors |= found | common.lora(model, inputs, generator, folder / "lora", "SEQ_2_SEQ_LM", ["q", "v"]) | tables(model)
    double = compute(copy.deepcopy(model).double(), adapters, batch, dtype=torch.float64)
    common.write_golden(folder, family, seed, tensors, double)
    tokenizer.save(str(folder / "tokenizer.json"))
    common.write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": "</s>",
            "pad_token": "<pad>",
            "unk_token": "<unk>",
            "clean_up_tokenization_spaces": False,
            "model_max_length": 512,
        },
    )
    common.write_json(folder / "tokenizer_cases.json", common.tokenizer_cases(tokenizer, CASES))


if __name__ == "__main__":
    common.main(__doc__.split("\n")[0], write, list(FAMILIES))
