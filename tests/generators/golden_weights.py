"""Adds PyTorch's results for methods that change weights to the golden folders: LoRA and (IA)³ by peft.

    python tests/generators/golden_weights.py              # all folders
    python tests/generators/golden_weights.py --check      # compares with a fresh computation

Each folder already has a backbone, a batch and a LoRA adapter (`golden_t5.py`, `golden_causal.py`). This adds the
adapter `ia3/`, saved by peft, and `weights.safetensors` with, for `<x>` in `lora` and `ia3`:

| tensor | what |
|---|---|
| `<x>.logits`, `<x>.loss` | from `train.*`; for decoders with `base.position_ids` |
| `<x>.grad.<key>` | d loss / d tensor, by key in the adapter's file |
| `<x>.after3.<key>` | after three AdamW steps, a single group of rate 1e-4, like offsets in `golden_common.train_three` |
| `<x>.step_losses` | before steps 1, 2, 3 and after step 3 |
| `<x>.merged_logits` | of the plain model returned by `merge_and_unload` |

`weights_noise.json` contains each tensor's deviation from float64, like `noise.json`.

transformers runs the backbone, peft the methods, torch AdamW. The mistakes that must be detected (another scale, no
alpha, rows of `qkv_proj` in another order, no factors) must exceed ten times a tolerance, or no file is written.
"""

import argparse
import contextlib
import pathlib
import tempfile

import peft
import safetensors.torch
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

import golden_common as common
from golden_decoder_configs import CONFIGS as DECODERS

FAMILIES = ("t5_v1_0", "t5_v1_1", "codegen", "llama", "llama_tied", *DECODERS)
FILE, NOISE_FILE = "weights.safetensors", "weights_noise.json"
# The scaled modules, and those scaled at their input.
IA3 = {
    "t5": (["k", "v", "wo"], ["wo"]),
    "codegen": (["qkv_proj", "fc_out"], ["fc_out"]),
    "phi3": (["qkv_proj", "down_proj"], ["down_proj"]),
    "gpt_neox": (["query_key_value", "dense_4h_to_h"], ["dense_4h_to_h"]),
    "gpt2": (["c_attn", "mlp.c_proj"], ["mlp.c_proj"]),
}
LLAMA_LIKE = (["k_proj", "v_proj", "down_proj"], ["down_proj"])


def load(folder, dtype=torch.float32):
    kind = AutoConfig.from_pretrained(folder).model_type
    auto = AutoModelForSeq2SeqLM if kind == "t5" else AutoModelForCausalLM
    # In float64 with eager attention, padding that sees nothing gives NaN.
    form = "sdpa" if kind == "llama" and dtype == torch.float64 else "eager"
    extra = {} if kind == "t5" else {"attn_implementation": form}
    return kind, auto.from_pretrained(folder, dtype=dtype, **extra).eval()


def inputs_of(kind, golden):
    inputs = {name: golden[f"train.{name}"] for name in ("input_ids", "attention_mask", "labels")}
    return inputs if kind == "t5" else inputs | {"position_ids": golden["base.position_ids"]}


def trained(wrapped):
    return {n.replace(".default", ""): p for n, p in wrapped.named_parameters() if "lora_" in n or "ia3_" in n}


def with_lora(folder, broken="", dtype=torch.float32):
    kind, model = load(folder, dtype)
    wrapped = peft.PeftModel.from_pretrained(model, folder / "lora", is_trainable=True).eval()
    for layer in wrapped.modules():
        if isinstance(layer, peft.tuners.lora.LoraLayer):
            layer.scaling["default"] *= {"double scale": 2.0, "no alpha": 1 / 8}.get(broken, 1.0)
            if broken == "query | key | value" and kind == "codegen":
                weight = layer.lora_B["default"].weight
                rows = torch.arange(weight.shape[0]).view(4, 3, -1)[:, [0, 2, 1]].flatten()
                weight.data = weight.data[rows]
    return wrapped.to(dtype)


def with_ia3(folder, target, seed, broken="", dtype=torch.float32):
    kind, model = load(folder, dtype)
    targets, feed_forward = IA3.get(kind, LLAMA_LIKE)
    config = peft.IA3Config(
        task_type="SEQ_2_SEQ_LM" if kind == "t5" else "CAUSAL_LM",
        target_modules=targets,
        feedforward_modules=feed_forward,
    )
    wrapped = peft.get_peft_model(model, config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "ia3_l" in name:
                parameter.copy_(1 + 0.4 * torch.randn(parameter.shape, generator=generator))
                if broken == "no factors":
                    parameter.fill_(1.0)
    if target:
        common.save_by_peft(wrapped, target / "ia3")
        common.sort_sets(target / "ia3" / "adapter_config.json")
    return wrapped.to(dtype)


def measure(name, make, inputs):
    """All tensors of a method; `make()` builds a new wrapped model."""
    wrapped = make()
    out = {}
    with torch.no_grad():
        result = wrapped(**inputs)
        out[f"{name}.logits"], out[f"{name}.loss"] = result.logits, result.loss
        out[f"{name}.merged_logits"] = make().merge_and_unload()(**inputs).logits
    parameters = trained(wrapped)
    adam = torch.optim.AdamW(parameters.values(), lr=1e-4, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.01)
    rates = torch.optim.lr_scheduler.LambdaLR(adam, common.multiplier)
    losses = []
    for step in range(4):
        loss = wrapped(**inputs).loss
        losses.append(loss.detach())
        if step == 3:
            break
        adam.zero_grad()
        loss.backward()
        if step == 0:
            out |= {f"{name}.grad.{key}": parameter.grad.clone() for key, parameter in parameters.items()}
        adam.step()
        rates.step()
    out |= {f"{name}.after3.{key}": parameter.detach() for key, parameter in parameters.items()}
    return out | {f"{name}.step_losses": torch.stack(losses)}


def check(folder, seed, golden, found, inputs):
    """A mistake must exceed ten times the tolerance of the logits, ignoring a decoder's padding."""
    mask = golden["train.attention_mask"].bool() if "position_ids" in inputs else slice(None)
    for broken in ("double scale", "no alpha", "query | key | value", "no factors"):
        name = "ia3" if broken == "no factors" else "lora"
        if broken == "query | key | value" and folder.name != "codegen":
            continue
        wrapped = with_ia3(folder, None, seed, broken) if name == "ia3" else with_lora(folder, broken)
        with torch.no_grad():
            other = wrapped(**inputs).logits
        ratio = (other - found[f"{name}.logits"])[mask].abs().max().item() / common.LIMIT["logits"]
        print(f"  {ratio:12.1f} limits  {folder.name}: {broken}")
        assert ratio > 10, (folder.name, broken, ratio)
    for name in ("lora", "ia3"):
        merged = (found[f"{name}.merged_logits"] - found[f"{name}.logits"])[mask].abs().max().item()
        assert merged < common.LIMIT["logits"] / 3, (folder.name, name, merged)


def write(folder, target):
    golden = safetensors.torch.load_file(folder / "golden.safetensors")
    seed, inputs = common.seed_of(folder), inputs_of(load(folder)[0], golden)
    (target / "ia3").mkdir(parents=True, exist_ok=True)
    with_ia3(folder, target, seed)
    compute = lambda dtype: measure("lora", lambda: with_lora(folder, dtype=dtype), inputs) | measure(
        "ia3", lambda: with_ia3(folder, None, seed, dtype=dtype), inputs
    )
    found = compute(torch.float32)
    with common.in_float64() if folder.name in DECODERS else contextlib.nullcontext():
        double = compute(torch.float64)
    check(folder, seed, golden, found, inputs)
    for name in ("lora.logits", "lora.loss"):
        assert torch.allclose(found[name], golden[name], atol=common.LIMIT["loss"]), name
    # Tensors already in the golden file are not repeated.
    new = {name: tensor.detach().contiguous().clone() for name, tensor in sorted(found.items()) if name not in golden}
    safetensors.torch.save_file(new, target / FILE)
    # Gradients of tensors next to large weights are large, and so is float32's noise in them.
    assert all(double[name].isfinite().all() for name in double if "logits" not in name)
    batch = {name: golden[name] for name in ("train.attention_mask", "gen.input_ids") if name in golden}
    noise = common.noise(found | batch, double)
    common.write_json(target / NOISE_FILE, {"tensors": noise})
    return new


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--goldens", type=pathlib.Path, default=common.HERE.parent / "goldens")
    parser.add_argument("--only", choices=FAMILIES)
    parser.add_argument("--check", action="store_true", help="write nothing, compare with a fresh computation")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for family in [arguments.only] if arguments.only else FAMILIES:
        folder = arguments.goldens / family
        with tempfile.TemporaryDirectory() as scratch:
            new = write(folder, pathlib.Path(scratch) if arguments.check else folder)
        if arguments.check:
            old = safetensors.torch.load_file(folder / FILE)
            assert old.keys() == new.keys(), old.keys() ^ new.keys()
            for name, tensor in new.items():
                deviation = (tensor - old[name]).abs().max().item()
                assert deviation <= common.limit_of(name), (family, name, deviation)
            print(f"{family}: {len(new)} tensors agree")


if __name__ == "__main__":
    main()
