"""Byte-level BPE tokenizers for the golden folders of decoder-only models.

One is built like CodeGen's (GPT-2's with tokens for runs of spaces), one like Llama 3's. The merges are computed here
rather than by the tokenizers library, so that the order of ties is well-defined. As in the published tokenizers, all
256 bytes have a token: no text is unknown.
"""

import collections
import json
import pathlib

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors

HERE = pathlib.Path(__file__).resolve().parent
MERGES = 24
END = "<|endoftext|>"
# CodeGen has tokens for 2 to 31 spaces and 2 to 9 tabs, longest first, for the indentation of programs.
RUNS = ["    ", "   ", "  "]
LLAMA_SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|eot_id|>"]
# The regular expression in Llama 3's tokenizer.json.
LLAMA_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

CASES = [
    "",
    " ",
    "the",
    "The ferry leaves the small harbour at seven.",
    "The ferry leaves Label : ",
    "  two  spaces   and a trailing one ",
    "a line\nand another\tand a tab\r\n",
    "def f(x):\n    if x:\n        return [\n            x,\n\n\n\t\tx]\n",
    "Straße, naïve café, Ångström, œuvre",
    "ﬁne ① Ⅷ ｆｕｌｌ ｗｉｄｔｈ … ½",
    "日本語 и кириллица العربية",
    "🙂 emoji 👩‍👩‍👧 with joiners",
    "numbers 0 12 345.67 -8 1,000,000 1234567 and symbols #@%&*()[]{}<>|~^`",
    "a\u00a0no-break\u3000ideographic\u200bzero-width space",
    "e\u0301 is not é: nothing is composed",
    "It's we're I'LL don't 'tis",
    f"{END} in the middle {END}of it",
    "<|begin_of_text|>as text<|eot_id|> <|end_of_text|>",
    "Ġ the space's own sign Ġthe",
    'quotes "double" and \'single\' and `back`',
    "ALL CAPITALS AND MiXeD CaSe",
    "control \x01 characters \x7f here",
    "the soup was cold and the music was loud " * 8,
    " " * 9 + "x" * 40,
]


def byte_signs():
    """GPT-2's printable character for each byte, in the order of its vocabulary."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    rest = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + place) for place in range(len(rest))]


def learn_merges(words, count):
    """The `count` most frequent pairs, in order; ties are broken by code point order."""
    pieces = {word: list(word) for word in words}
    merges = []
    for _ in range(count):
        pairs = collections.Counter()
        for word, times in words.items():
            for pair in zip(pieces[word], pieces[word][1:]):
                pairs[pair] += times
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for word, old in pieces.items():
            new = []
            for piece in old:
                # Left to right, as the tokenizer applies a merge.
                if new and (new[-1], piece) == best:
                    new[-1] += piece
                    new.append("")
                else:
                    new.append(piece)
            pieces[word] = [piece for piece in new if piece]
    return merges


def corpus_words(splitter):
    words = collections.Counter()
    for line in (HERE / "corpus.txt").read_text(encoding="utf-8").splitlines():
        words.update(word for word, _ in splitter.pre_tokenize_str(line))
    return words


def vocabulary(merges, special):
    return {token: number for number, token in enumerate([*byte_signs(), *("".join(pair) for pair in merges), *special])}


def special_token(text):
    return AddedToken(text, special=True, normalized=False)


def codegen():
    """Built like GPT-2: nothing is added to a text, and the end token is the last of the base vocabulary."""
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    merges = learn_merges(corpus_words(splitter), MERGES)
    tokenizer = Tokenizer(models.BPE(vocabulary(merges, [END]), merges))
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_special_tokens([special_token(END)])
    tokenizer.add_tokens([AddedToken(run, normalized=True) for run in RUNS])
    return tokenizer


def llama():
    """Built like Llama 3: `<|begin_of_text|>` before a text, digits in groups of three, vocabulary words before
    merges."""
    splitter = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    merges = learn_merges(corpus_words(splitter), MERGES)
    tokenizer = Tokenizer(models.BPE(vocabulary(merges, []), merges, ignore_merges=True))
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([special_token(text) for text in LLAMA_SPECIAL])
    begin = LLAMA_SPECIAL[0]
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single=f"{begin} $A",
                pair=f"{begin} $A {begin}:1 $B:1",
                special_tokens=[(begin, tokenizer.token_to_id(begin))],
            ),
        ]
    )
    return tokenizer


def write_gpt2_form(tokenizer, folder):
    """The same tokenizer in the format of GPT-2's and CodeGen's older repositories: `vocab.json`, `merges.txt`, and
    additions to the vocabulary in `added_tokens.json`."""
    model = json.loads(tokenizer.to_str())["model"]
    text = json.dumps(model["vocab"], ensure_ascii=False)
    (folder / "vocab.json").write_text(text + "\n", encoding="utf-8")
    lines = [" ".join(pair) for pair in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *lines]) + "\n", encoding="utf-8")
    added = {text: number for text, number in tokenizer.get_vocab().items() if text not in model["vocab"]}
    ordered = dict(sorted(added.items(), key=lambda entry: entry[1]))
    (folder / "added_tokens.json").write_text(json.dumps(ordered) + "\n", encoding="utf-8")
