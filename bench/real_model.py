"""Compares a pretrained decoder-only checkpoint in `adept` with transformers.

    python bench/real_model.py --backbone path/to/smollm2 --adept target/release/adept [--out FOLDER] [--json FILE]

| what | how the program is asked | must be |
|---|---|---|
| ids of 500 texts, with and without special tokens, and the texts decoded again | `adept verify`, group `tokenizer` | equal |
| logits of 20 texts in float32 | `adept verify`, group `base.logits` | within 1e-3 of the largest logit |
| with PT, DePT and ADePT their logits, losses and gradients | `adept verify`, the other groups | within four times PyTorch's own float32 noise |
| greedy continuations of 20 prompts, 64 tokens each | `adept predict` on the bare backbone | equal |

Three optimiser steps, which the small models of `tests/goldens` are compared in, are left out: Adam's first steps take
the sign of a gradient, and of many gradients of a trained model float32 does not resolve it. PyTorch's own float32 ends
as far from its float64.

The texts are in `real_texts.py`. A folder in the form of `tests/goldens` is written for `verify`, 0.4 GB for a
vocabulary of 49,152; with `--out` it is kept. About 4 GB of memory and ten minutes on two cores for 135 M parameters,
most of it float64, whose distance from float32 decides the tolerances. Needs bench/requirements.txt.
"""

import argparse
import copy
import json
import pathlib
import subprocess
import sys
import tempfile

import safetensors
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "generators"))

import golden_causal as causal  # noqa: E402
import golden_common as common  # noqa: E402
from real_texts import PROMPTS, TEXTS, tokenizer_texts  # noqa: E402

CASES, NEW_TOKENS, MOST_TOKENS, ROWS_WRITTEN = 500, 64, 16, 1
RELATIVE = 1e-3
# Gradients that `adept verify` takes for 0.
FLAT = 5e-6
# Groups after optimiser steps.
LEFT_OUT = ("_after3", ".step_losses")


def left_padded(rows, value, width):
    return torch.tensor([[value] * (width - len(row)) + row for row in rows])


def make_batch(tokenizer, eos):
    """The texts (of long ones the beginning), the last third of each labelled."""
    rows = [tokenizer(text)["input_ids"][:MOST_TOKENS] for text in TEXTS]
    labels = [[-100] * (2 * len(row) // 3) + row[2 * len(row) // 3 :] for row in rows]
    width = max(map(len, rows))
    ones = lambda rows: left_padded([[1] * len(row) for row in rows], 0, width)
    return {
        "train.input_ids": left_padded(rows, eos, width),
        "train.attention_mask": ones(rows),
        "train.labels": left_padded(labels, -100, width),
    }


def begun(batch, first, eos):
    """The beginning of a text to continue, as wide as the batch because DePT has a row for each slot."""
    width = batch["train.input_ids"].shape[1]
    own = [row[mask.bool()].tolist() for row, mask in zip(batch["train.input_ids"], batch["train.attention_mask"])]
    rows = [row[: len(row) // 2] for row in (own + own)[first : first + ROWS_WRITTEN]]
    ones = [[1] * len(row) for row in rows]
    return {"gen.input_ids": left_padded(rows, eos, width), "gen.attention_mask": left_padded(ones, 0, width)}


def cases(tokenizer):
    """What `tokenizer_cases.json` holds, by transformers."""
    special = list(tokenizer.get_added_vocab())
    out = []
    for text in tokenizer_texts(CASES, special):
        ids = tokenizer(text)["input_ids"]
        out.append(
            {
                "text": text,
                "ids": ids,
                "ids_no_special": tokenizer(text, add_special_tokens=False)["input_ids"],
                "decoded": tokenizer.decode(ids, skip_special_tokens=True),
                "decoded_with_special": tokenizer.decode(ids, skip_special_tokens=False),
            }
        )
    return out


def rotary(model, base_logits):
    """What a Llama's folder holds besides; the published frequencies come from their configurations."""
    if model.config.model_type != "llama":
        return {}
    cos, sin = model.model.rotary_emb(torch.zeros(1), torch.arange(64)[None])
    out = {"rope.inv_freq": model.model.rotary_emb.inv_freq, "rope.cos": cos[0], "rope.sin": sin[0]}
    plain = copy.deepcopy(model.config)
    is_scaled = plain.rope_parameters["rope_type"] != "default"
    assert not is_scaled, "a checkpoint with scaled positions needs its unscaled logits"
    return out | {"base.logits_unscaled_rope": base_logits} | causal.published_frequencies()


def without_flat(single, double):
    """Where a gradient is within float32's noise of 0, Adam's first steps are of arbitrary sign: `adept verify` leaves
    such values out, and their distance from float64 says nothing."""
    for name in [name for name in double if ".after3." in name]:
        flat = single[name.replace(".after3.", ".grad.")].abs() <= FLAT
        double[name] = torch.where(flat, single[name].double(), double[name])


def cap_noise(path):
    """`adept verify` takes no more than a thousandth of a tensor's scale for noise; a prompt after Adam's steps may have
    a little more. Less noise only makes a tolerance narrower."""
    noise = json.loads(path.read_text())
    for entry in noise["tensors"].values():
        entry["noise"] = min(entry["noise"], 0.999e-3 * entry["scale"])
    common.write_json(path, noise)


def write_golden(folder, model, tokenizer, batch, eos):
    """The folder that `adept verify` reads."""
    causal.EOS["real"] = eos
    embedding, run = causal.table(model), causal.by_transformers(model)
    width = batch["train.input_ids"].shape[1]
    for seed in range(len(TEXTS)):
        batch |= begun(batch, seed, eos)
        generator = torch.Generator().manual_seed(seed)
        adapters = common.make_adapters(generator, embedding.shape[1], width)
        # Prompts as large as the embeddings that they stand beside, and smaller offsets: large ones make of a trained
        # model one whose logits float32 resolves a hundred times worse.
        scale = embedding.std().item()
        for tensors in adapters.values():
            tensors["prompt"] *= scale
        for method, name in (("dept", "b"), ("adept", "w_up"), ("adept", "b2")):
            adapters[method][name] *= 0.2 * scale
        greedy = causal.generation("real", run, embedding, adapters, batch)
        verdict = "two next tokens are too near" if greedy is None else "taken"
        print(f"adapters of seed {seed}: {verdict}", flush=True)
        if greedy is not None:
            break
    else:
        sys.exit("no texts whose continuations rounding cannot change")
    single = causal.compute(run, embedding, adapters, batch) | greedy
    common.write_json(folder / "tokenizer_cases.json", cases(tokenizer))
    inputs = {name: batch[f"train.{name}"] for name in ("input_ids", "attention_mask", "labels")}
    common.pt_by_peft(model, adapters["pt"]["prompt"], inputs, folder / "pt_peft", "CAUSAL_LM")
    single |= {"schedule": common.schedule()} | rotary(model, single["base.logits"])
    for method, parameters in adapters.items():
        single |= {f"{method}.{name}": tensor for name, tensor in parameters.items()}
    with common.in_float64():
        wide = copy.deepcopy(model).double()
        double = causal.compute(causal.by_transformers(wide), causal.table(wide), adapters, batch, dtype=torch.float64)
    without_flat(single, double)
    if "base.logits_unscaled_rope" in single:
        double["base.logits_unscaled_rope"] = double["base.logits"]
    common.write_golden(folder, model.config.model_type, seed, single, double)
    cap_noise(folder / common.NOISE_FILE)


def verify(adept, backbone, folder):
    told = [adept, "verify", "--backbone", backbone, "--golden", folder, "--json"]
    done = subprocess.run(list(map(str, told)), stdout=subprocess.PIPE, text=True)
    if not done.stdout:
        sys.exit(f"adept verify ended with {done.returncode}")
    return {row["group"]: row for row in json.loads(done.stdout)["rows"]}


def continuations(adept, backbone):
    told = [adept, "predict", "--backbone", backbone, "--generate", "--jsonl", "--max-new-tokens", NEW_TOKENS]
    lines = "".join(json.dumps({"source": prompt}) + "\n" for prompt in PROMPTS)
    done = subprocess.run(list(map(str, told)), input=lines, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line)["prediction"] for line in done.stdout.splitlines()]


@torch.no_grad()
def expected_continuations(model, tokenizer):
    out = []
    for prompt in PROMPTS:
        given = tokenizer(prompt, return_tensors="pt")
        ids = model.generate(**given, max_new_tokens=NEW_TOKENS, do_sample=False)[0, given["input_ids"].shape[1] :]
        # `predict` drops white space around an answer.
        out.append(tokenizer.decode(ids, skip_special_tokens=True).strip())
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--backbone", type=pathlib.Path, required=True, help="checkpoint of a decoder-only model")
    parser.add_argument("--adept", type=pathlib.Path, required=True, help="the program")
    parser.add_argument(
        "--out", type=pathlib.Path, help="keep the golden folder here; one that is there already is not written again"
    )
    parser.add_argument("--json", type=pathlib.Path, help="write the figures to this file, too")
    arguments = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(arguments.backbone)
    model = AutoModelForCausalLM.from_pretrained(
        arguments.backbone, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    model.requires_grad_(False)
    eos = model.generation_config.eos_token_id
    eos = eos[0] if isinstance(eos, list) else eos

    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.out or pathlib.Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "golden.safetensors").exists():
            write_golden(folder, model, tokenizer, make_batch(tokenizer, eos), eos)
        with safetensors.safe_open(folder / "golden.safetensors", "pt") as file:
            logits = file.get_tensor("base.logits")[file.get_tensor("train.attention_mask").bool()]
        rows = verify(arguments.adept, arguments.backbone, folder)
    expected, found = expected_continuations(model, tokenizer), continuations(arguments.adept, arguments.backbone)
    equal = [ours == theirs for ours, theirs in zip(found, expected)]
    for prompt, ours, theirs in zip(PROMPTS, found, expected):
        if ours != theirs:
            print(f"{prompt!r}\n  adept        {ours!r}\n  transformers {theirs!r}")

    scale = logits.abs().max().item()
    deviation = rows["base.logits"]["deviation"]
    compared = {name: row for name, row in rows.items() if not name.endswith(LEFT_OUT)}
    told = lambda name, row: f"{name}: {row['deviation']:.3g}, limit {row['limit']:.3g}"
    failed = [told(name, row) for name, row in compared.items() if not row["pass"]]
    figures = {
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "texts": {"equal": rows["tokenizer"]["compared"] - int(rows["tokenizer"]["deviation"]), "of": CASES},
        "logits": {
            "texts": len(TEXTS),
            "slots": logits.shape[0],
            "largest": scale,
            "difference": deviation,
            "relative": deviation / scale,
            "to float64, PyTorch": rows["base.logits"].get("noise"),
        },
        "continuations": {"equal": sum(equal), "of": len(PROMPTS), "tokens": NEW_TOKENS},
        "groups": {"passed": len(compared) - len(failed), "of": len(compared)},
    }
    print(json.dumps(figures, indent=2), *failed, sep="\n")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    is_right = all(equal) and not failed and figures["texts"]["equal"] == CASES and deviation <= RELATIVE * scale
    sys.exit(0 if is_right else 1)


if __name__ == "__main__":
    main()
