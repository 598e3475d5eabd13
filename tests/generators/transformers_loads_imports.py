"""Imports the GGUF fixtures with `adept import` and holds them against the golden checkpoints in transformers.

    python tests/generators/transformers_loads_imports.py target/debug/adept

Needs torch and transformers. Logits and token ids must be equal. Where GGUF does not store a golden model's window,
rows are no longer than it; smollm3 is left out, because its golden model omits positions in other blocks.
"""

import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers

ROOT = pathlib.Path(__file__).parent.parent.parent
FIXTURES = ROOT / "crates/adept-gguf/tests/fixtures/models"
TOKENS = {"qwen2": 5, "qwen3": 7}
TEXT = "The committee met on Tuesday, 12345 of them.\n\n It's ½ past six"


def main(adept):
    transformers.logging.set_verbosity_error()
    for fixture in sorted(FIXTURES.glob("*.gguf")):
        name = fixture.stem
        if name == "smollm3":
            continue
        with tempfile.TemporaryDirectory() as scratch:
            out = pathlib.Path(scratch) / name
            subprocess.run([adept, "import", fixture, "--out", out, "--dtype", "f32", "--quiet"], check=True)
            folders = (out, ROOT / "tests/goldens" / name)
            ours, golden = (transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
                            for folder in folders)
            ids = [transformers.AutoTokenizer.from_pretrained(folder)(TEXT)["input_ids"] for folder in folders]
        assert ids[0] == ids[1], (name, ids)
        tokens = TOKENS.get(name, 100)
        rows = torch.randint(0, 280, (2, tokens), generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            difference = (ours(rows).logits - golden(rows).logits).abs().max().item()
        assert difference == 0, (name, difference)
        print(f"{name}: {type(ours).__name__}, logits of {tokens} tokens equal")


main(sys.argv[1])
