"""Loads LoRA and (IA)³ adapters written by this project with peft, and compares logits with the golden ones.

    ADEPT_PEFT_OUT=/tmp/ours cargo test -p adept-tests peft_is_given
    python tests/generators/peft_loads_ours.py /tmp/ours

The test rewrites the golden folders' adapters with this project's writer; peft must compute the same with them as with
its own files, in the same run. Largest deviations are printed; more than 1e-5 is an error.
"""

import pathlib
import sys

import peft
import safetensors.torch
import torch

import golden_common as common
from golden_weights import inputs_of, load

LIMIT = 1e-5


def main():
    worst = 0.0
    for folder in sorted(pathlib.Path(sys.argv[1]).iterdir()):
        family, method = folder.name.rsplit("-", 1)
        golden_folder = common.HERE.parent / "goldens" / family
        golden = safetensors.torch.load_file(golden_folder / "golden.safetensors")
        logits = []
        for adapter in (golden_folder / method, folder):
            kind, model = load(golden_folder)
            wrapped = peft.PeftModel.from_pretrained(model, adapter).eval()
            with torch.no_grad():
                logits.append(wrapped(**inputs_of(kind, golden)).logits)
        found = logits[1] - logits[0]
        # A decoder's padding sees nothing, so its logits are arbitrary.
        seen = found if kind == "t5" else found[golden["train.attention_mask"].bool()]
        deviation = seen.abs().max().item()
        print(f"{family}, {method}: {deviation:.2e}")
        worst = max(worst, deviation)
    assert worst <= LIMIT, worst


if __name__ == "__main__":
    main()
