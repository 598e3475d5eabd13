"""Loads adapters written by this project with peft, and compares logits with the golden ones.

    ADEPT_PEFT_OUT=/tmp/ours cargo test -p adept-tests peft_is_given
    python tests/generators/peft_loads_ours.py /tmp/ours

The test rewrites the golden folders' LoRA and (IA)³ adapters with this project's writer; peft must compute the same with
them as with its own files, in the same run. It also writes the golden prompts that networks make, and the prefixes; peft
(mended for T5, see golden_methods.py) must compute the golden logits with them. Largest deviations are printed; more than
1e-5 is an error.
"""

import pathlib
import sys

import peft
import safetensors.torch
import torch

import golden_common as common
from golden_methods import repaired
from golden_weights import inputs_of, load

LIMIT = 1e-5


def logits_of(backbone, adapter, golden):
    kind, model = load(backbone)
    wrapped = peft.PeftModel.from_pretrained(model, adapter).eval()
    if wrapped.active_peft_config.peft_type == peft.PeftType.PREFIX_TUNING:
        wrapped = repaired(wrapped, kind)
    inputs = inputs_of(kind, golden)
    if wrapped.active_peft_config.is_prompt_learning:
        # peft counts positions from the first virtual token.
        inputs.pop("position_ids", None)
    with torch.no_grad():
        return kind, wrapped(**inputs).logits


def main():
    worst = 0.0
    for folder in sorted(pathlib.Path(sys.argv[1]).iterdir()):
        family, method = folder.name.rsplit("-", 1)
        golden_folder = common.HERE.parent / "goldens" / family
        golden = safetensors.torch.load_file(golden_folder / "golden.safetensors")
        quoted = {}
        for name in ("prompts.safetensors", "methods.safetensors"):
            quoted |= safetensors.torch.load_file(golden_folder / name)
        kind, ours = logits_of(golden_folder, folder, golden)
        mask = golden["train.attention_mask"]
        if f"{method}.logits" in quoted:
            theirs, mask = quoted[f"{method}.logits"], quoted.get(f"{method}.attention_mask", mask)
        else:
            _, theirs = logits_of(golden_folder, golden_folder / method, golden)
        found = ours - theirs
        # A decoder's padding sees nothing, so its logits are arbitrary.
        seen = found if kind == "t5" else found[mask.bool()]
        deviation = seen.abs().max().item()
        print(f"{family}, {method}: {deviation:.2e}")
        worst = max(worst, deviation)
    assert worst <= LIMIT, worst


if __name__ == "__main__":
    main()
