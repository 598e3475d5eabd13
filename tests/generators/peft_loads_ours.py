"""Loads LoRA and (IA)³ adapters that this project wrote with real peft, and compares logits with the golden ones.

    ADEPT_PEFT_OUT=/tmp/ours cargo test -p adept-tests peft_is_given
    python tests/generators/peft_loads_ours.py /tmp/ours

The test writes the golden folders' adapters anew, with this project's writer; peft must compute with them what it computed
with its own files. Largest deviations are printed; more than 1e-5 is an error.
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
        golden |= safetensors.torch.load_file(golden_folder / "weights.safetensors")
        kind, model = load(golden_folder)
        inputs = inputs_of(kind, golden)
        wrapped = peft.PeftModel.from_pretrained(model, folder).eval()
        with torch.no_grad():
            found = wrapped(**inputs).logits - golden[f"{method}.logits"]
        # A decoder's pads see nothing: what comes of them is arbitrary.
        seen = found if kind == "t5" else found[golden["train.attention_mask"].bool()]
        deviation = seen.abs().max().item()
        print(f"{family}, {method}: {deviation:.2e}")
        worst = max(worst, deviation)
    assert worst <= LIMIT, worst


if __name__ == "__main__":
    main()
