"""Label scores computed by transformers for a few texts: `tests/goldens/labels.json`.

    python tests/generators/label_scores.py

The backbones are those of `tests/goldens` (`golden_causal.py`). A label's score is the sum of the log-probabilities of
its tokens and of the end token after the source, each from one pass of transformers over the whole text, one row at a
time, without cache or padding. Tokens are those of the whole text, source, space and label, as encoded by the
tokenizer. Every score is computed again from a padded batch; the two must agree. A soft prompt's embeddings precede
those of the tokens, at the first positions.

Written with transformers 5.24.0, torch 2.15.0. Shapes: m prompt length, d model width, L = m + tokens.
"""

import json
import pathlib

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

GOLDENS = pathlib.Path("tests/goldens")
FAMILIES = ["llama", "llama_tied", "codegen"]
SOURCES = [
    "sentence: a film",
    "sentence1: the sailor liked a song in the harbour. sentence2: nobody sang",
    "question: why? context: " + "so it goes, " * 5 + "and ends",
    "x",
]
# Labels of one token and of several, and one that is a prefix of another.
LABELS = ["0", "1", "good", "good enough", "undecided"]
PROMPT = 5
AGREE = 2e-5


def end_of(folder):
    return json.loads((folder / "generation_config.json").read_text())["eos_token_id"]


def score(model, embeddings, label):
    """The score of `label` [n] after `embeddings` [L + n - 1, d], which include all of its tokens but the last."""
    logits = model(inputs_embeds=embeddings[None], use_cache=False).logits[0].double()
    chosen = logits.log_softmax(-1)[-len(label) :]
    return chosen.gather(1, torch.tensor(label)[:, None]).sum().item()


def padded_scores(model, rows):
    """The same for all rows of one source in a left-padded batch, with `rows` as (embeddings, label)."""
    width = max(len(embeddings) for embeddings, _ in rows)
    batch = torch.zeros(len(rows), width, rows[0][0].shape[1])
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for row, (embeddings, _) in enumerate(rows):
        batch[row, width - len(embeddings) :] = embeddings
        mask[row, width - len(embeddings) :] = 1
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    logits = model(inputs_embeds=batch, attention_mask=mask, position_ids=positions, use_cache=False).logits.double()
    logs = logits.log_softmax(-1)
    return [
        logs[row, -len(label) :].gather(1, torch.tensor(label)[:, None]).sum().item()
        for row, (_, label) in enumerate(rows)
    ]


@torch.no_grad()
def family_scores(family):
    folder = GOLDENS / family
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    table, end = model.get_input_embeddings(), end_of(folder)
    prompt = torch.randn(PROMPT, table.weight.shape[1], generator=torch.Generator().manual_seed(3)) * table.weight.std()
    sources, labels = [], {}
    for source in SOURCES:
        ids = tokenizer(source)["input_ids"]
        sources.append(ids)
        for label in LABELS:
            whole = tokenizer(f"{source} {label}")["input_ids"]
            assert whole[: len(ids)] == ids, (source, label)
            own = whole[len(ids) :] + [end]
            assert labels.setdefault(label, own) == own, (source, label)
    scores = {}
    for name, before in [("plain", prompt[:0]), ("prompted", prompt)]:
        scores[name] = []
        for ids in sources:
            rows = [
                (torch.cat([before, table(torch.tensor(ids + label[:-1]))]), label) for label in labels.values()
            ]
            found = [score(model, *row) for row in rows]
            assert max(abs(a - b) for a, b in zip(found, padded_scores(model, rows))) < AGREE
            scores[name].append(found)
    return {"sources": sources, "labels": list(labels.values()), "end": end, "prompt": prompt.tolist(), "scores": scores}


def main():
    golden = {"sources": SOURCES, "labels": LABELS, "families": {name: family_scores(name) for name in FAMILIES}}
    path = GOLDENS / "labels.json"
    path.write_text(json.dumps(golden, indent=1) + "\n")
    print(f"{path}: {len(FAMILIES)} backbones, {len(SOURCES)} sources, {len(LABELS)} labels")


if __name__ == "__main__":
    main()
