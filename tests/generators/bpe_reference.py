"""Byte-level BPE tokenizers for adept-data's tests, with reference encodings by transformers.

Writes crates/adept-data/tests/fixtures/bpe/: two small tokenizers, trained on tests/generators/corpus.txt and on the
texts below, and cases.json. `gpt2` contains vocab.json and merges.txt. `codegen`, `named` and `listed` contain
additional files for it: added tokens (runs of spaces and tabs) as in CodeGen's checkpoints, special tokens named in two
files, tokens listed by id in the configuration. `llama` is a tokenizer.json like Llama 3's, which prepends a token.
GPT-2's own files give ids for the same texts.

Every id is checked twice: transformers' slow tokenizers, written in Python, must agree with its fast ones. The
exception is `named`, where the slow ones add the leading space once and the fast ones after every special token. Run
from the repository root:

    python tests/generators/bpe_reference.py --gpt2 ../shared/data/tokenizers/gpt2

Written with transformers 4.57.6, tokenizers 0.22.2.
"""

import argparse
import json
import pathlib
import shutil
import tempfile

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import CodeGenTokenizer, CodeGenTokenizerFast, GPT2Tokenizer, GPT2TokenizerFast, PreTrainedTokenizerFast

OUT = pathlib.Path("crates/adept-data/tests/fixtures/bpe")
CORPUS = pathlib.Path("tests/generators/corpus.txt")

TEXTS = [
    "",
    " ",
    "a",
    "Hello world",
    " Hello  world ",
    "the pot's handle isn't hot, they've said; we'll see, I'd wait, I'm here, you're there",
    "THE POT'S HANDLE ISN'T HOT, THEY'VE SAID",
    "12 3456 7890.5e-3 0x1F 1,000,000",
    "def add(a: int, b: int) -> int:\n    \"\"\"Adds two numbers.\n    >>> add(2, 3)\n    5\n    \"\"\"\n    return a + b\n",
    "class Pot:\n\tdef __init__(self, *args, **kwargs):\n\t\tself.size = args[0] if args else None\n\n\n\nprint(Pot(3))",
    "for i in range(10):\n        if i % 2 == 0:\n            continue\n                print(i)\n",
    "x\n\n\n\ny",
    "   three spaces, then a tab\t, two\t\ttabs, trailing   ",
    "\n",
    "\n\n \n  \n   x",
    "\r\nwindows\r\nlines\r\n",
    " " * 40 + "x" + " " * 7 + "y",
    "\t" * 11 + "x",
    "naïve café, Zürich, Ångström, façade",
    "cafe\u0301 with a combining accent, \u1e69 and s\u0323\u0307",
    "Ελληνικά, кириллица, עברית, العربية",
    "日本語の文章です。中文也可以。한국어",
    "emoji: 🙂🚀👩‍👩‍👧‍👦🇨🇭 done",
    "math: ∑ᵢ xᵢ² ≤ √2·π, ½ ≠ ¾",
    "no-break\u00a0space, thin\u2009space, ideographic\u3000space, zero\u200bwidth",
    "control \u0000 \u0007 \u001b \u007f characters",
    "replacement \ufffd character",
    "quotes “curly” ‘single’ — dash … dots",
    "<|endoftext|>",
    "before<|endoftext|>after <|endoftext|> spaced",
    "<|begin_of_text|>in a text<|eot_id|>",
    "<s> a  <pad>\n <x>b<x>\t\tc",
    "<|endoftext",
    "`x = {'a': [1, 2, (3,)], \"b\": lambda y: y ** 2}` // comment /* block */ # hash",
    "https://example.org/a/b?c=d&e=f#g user@example.org",
    "don''t stop !!! ??? ...... ---- ====",
    "'s 'S 'll'LL '",
    "A" * 60,
    "ab" * 40,
]

LLAMA_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def trained(pre_tokenizer, size, special):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=special,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([CORPUS.read_text(encoding="utf-8"), *TEXTS], trainer)
    return tokenizer


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def two_files(folder, tokenizer):
    """In the format of GPT-2's files: tokens by id with the end token last, and the merges."""
    model = json.loads(tokenizer.to_str())["model"]
    tokens = [token for token, _ in sorted(model["vocab"].items(), key=lambda entry: entry[1])]
    write_json(folder / "vocab.json", {token: place for place, token in enumerate([*tokens, "<|endoftext|>"])})
    lines = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"])]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(tokens)


def codegen(folder, end):
    """The additional files of a CodeGen checkpoint, with fewer runs of blanks."""
    runs = [" " * n for n in range(31, 1, -1)] + ["\t" * n for n in range(9, 1, -1)]
    write_json(folder / "added_tokens.json", {run: end + 1 + place for place, run in enumerate(runs)})
    roles = ["bos_token", "eos_token", "unk_token"]
    write_json(folder / "special_tokens_map.json", {role: "<|endoftext|>" for role in roles})
    config = {role: "<|endoftext|>" for role in roles}
    config |= {"add_prefix_space": False, "model_max_length": 2048, "tokenizer_class": "CodeGenTokenizer"}
    write_json(folder / "tokenizer_config.json", config)


def named(folder):
    """Two files that name further tokens, one of which absorbs preceding blanks."""
    roles = {"pad_token": {"content": "<pad>", "lstrip": True}, "bos_token": "<|endoftext|>"}
    write_json(folder / "special_tokens_map.json", roles | {"additional_special_tokens": ["<x>"]})
    write_json(folder / "tokenizer_config.json", {"bos_token": "<s>", "add_prefix_space": True})


def listed(folder, end):
    """Tokens listed by id in the configuration, which takes precedence over the special tokens map."""
    write_json(folder / "special_tokens_map.json", {"bos_token": "<x>", "pad_token": "<pad>"})
    blanks = {"content": "\t\t", "special": False, "normalized": False}
    listed = {end: {"content": "<|endoftext|>", "special": True}, end + 1: blanks}
    write_json(folder / "tokenizer_config.json", {"added_tokens_decoder": listed, "bos_token": "<s>", "eos_token": None})


def llama(path):
    split = pre_tokenizers.Split(Regex(LLAMA_SPLIT), "isolated")
    blanks = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer = trained(pre_tokenizers.Sequence([split, blanks]), 700, [])
    tokenizer.model.ignore_merges = True
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"])
    begin = tokenizer.token_to_id("<|begin_of_text|>")
    template = processors.TemplateProcessing(
        single="<|begin_of_text|> $A",
        pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
        special_tokens=[("<|begin_of_text|>", begin)],
    )
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    tokenizer.save(str(path), pretty=False)


def cases(fast, slow, cut=6):
    """Ids, the ids truncated to `cut` on either side, and the decoded text with and without special tokens."""
    out = {"vocab_size": len(fast), "cut": cut, "ids": [], "right": [], "left": [], "decoded": [], "plain": []}
    for text in TEXTS:
        ids = fast(text)["input_ids"]
        if slow is not None:
            assert slow(text)["input_ids"] == ids, text
        out["ids"].append(ids)
        for side in ["right", "left"]:
            fast.truncation_side = side
            out[side].append(fast(text, truncation=True, max_length=cut)["input_ids"])
        decode = {"clean_up_tokenization_spaces": False}
        out["decoded"].append(fast.decode(ids, skip_special_tokens=False, **decode))
        out["plain"].append(fast.decode(ids, skip_special_tokens=True, **decode))
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gpt2", type=pathlib.Path, required=True)
    options = parser.parse_args()
    shutil.rmtree(OUT, ignore_errors=True)
    for name in ["gpt2", "codegen", "named", "listed", "llama"]:
        (OUT / name).mkdir(parents=True)
    small = trained(pre_tokenizers.ByteLevel(add_prefix_space=False), 640, [])
    end = two_files(OUT / "gpt2", small)
    codegen(OUT / "codegen", end)
    named(OUT / "named")
    listed(OUT / "listed", end)
    llama(OUT / "llama" / "tokenizer.json")
    found = {"texts": TEXTS}
    for name in ["gpt2", "codegen", "named", "listed"]:
        fast, slow = (CodeGenTokenizerFast, CodeGenTokenizer) if name == "codegen" else (GPT2TokenizerFast, GPT2Tokenizer)
        with tempfile.TemporaryDirectory() as folder:
            for part in ["gpt2", name]:
                shutil.copytree(OUT / part, folder, dirs_exist_ok=True)
            check = None if name == "named" else slow.from_pretrained(folder)
            found[name] = cases(fast.from_pretrained(folder), check)
    found["llama"] = cases(PreTrainedTokenizerFast(tokenizer_file=str(OUT / "llama" / "tokenizer.json")), None)
    real = options.gpt2
    found["real_gpt2"] = cases(GPT2TokenizerFast.from_pretrained(real), GPT2Tokenizer.from_pretrained(real))
    (OUT / "cases.json").write_text(json.dumps(found, ensure_ascii=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
