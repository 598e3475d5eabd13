"""Conversations for adept-data's tests, tokenised by transformers' apply_chat_template.

Writes crates/adept-data/tests/fixtures/conversations.json: small tokenizers, templates, and of each conversation the ids
and the mask of what the assistant has generated (`return_assistant_tokens_mask`). Each template exists twice: plain, and
with `{% generation %}` around answers and the token that ends them. Both render the same text; the mask is that of the
second, and the first must lead to the same one. Run from the repository root:

    python tests/generators/conversation_reference.py

Written with transformers 5.24.0, tokenizers 0.23.
"""

import json
import pathlib

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

OUT = pathlib.Path("crates/adept-data/tests/fixtures/conversations.json")

CORPUS = [
    "The boat leaves the harbour at noon. Who is on the boat? The captain and two sailors are on the boat.",
    "user assistant system question answer\n\nA list:\n- one\n- two\n\nThat is all there is to say.",
    "Is the water cold? The water is cold in spring, and warmer in summer. What is one and one? It is two.",
]

SAID = "{{ m['content'] + '<|end|>' }}"
IF_ANSWER = "{% if m['role'] == 'assistant' %}{% generation %}SAID{% endgeneration %}{% else %}SAID{% endif %}"
TURNS = """{{ bos_token }}{% for m in messages %}{{ '<|turn|>' + m['role'] + '\n' }}SAID{{ '\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|turn|>assistant\n' }}{% endif %}"""
BRACKETS = """{% if messages[0]['role'] == 'system' %}{% set rules = messages[0]['content'] + '\n' %}{% set rest = messages[1:] %}\
{% else %}{% set rules = '' %}{% set rest = messages %}{% endif %}{{ bos_token }}{% for m in rest %}\
{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('turns must alternate') }}{% endif %}\
{% if m['role'] == 'user' %}{{ '[Q] ' + (rules if loop.first else '') + m['content'] | trim + ' [/Q]' }}\
{% else %}START{{ ' ' + m['content'] | trim + eos_token }}STOP{% endif %}{% endfor %}"""

# Tools in front, their calls and results as turns, a variable of the row's own.
CALLS = """{{ m.content or '' }}{% for c in m.tool_calls %}{% set c = c.function or c %}\
{{ '\n<call>' }}{{ {'name': c.name, 'arguments': c.arguments} | tojson }}{% endfor %}{{ '<|end|>' }}"""
TOOLS = """{{ bos_token }}{% if tools %}{{ '<|turn|>system\n' }}{% for tool in tools %}{{ tool | tojson }}{{ '\n' }}{% endfor %}\
{{ '<|end|>\n' }}{% endif %}{% for d in documents or [] %}{{ d.title ~ ': ' ~ d.text ~ '\n' }}{% endfor %}{% for m in messages %}\
{{ '<|turn|>' + m.role + '\n' }}{% if m.role == 'assistant' %}STARTCALLSSTOP{% else %}{{ m.content + '<|end|>' }}{% endif %}\
{{ '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|turn|>assistant\n' }}\
{% if thinking is defined and not thinking %}{{ '<think></think>' }}{% endif %}{% endif %}""".replace("CALLS", CALLS)

TEMPLATES = {
    "turns": (TURNS.replace("SAID", SAID), TURNS.replace("SAID", IF_ANSWER).replace("SAID", SAID)),
    "brackets": (
        BRACKETS.replace("START", "").replace("STOP", ""),
        BRACKETS.replace("START", "{% generation %}").replace("STOP", "{% endgeneration %}"),
    ),
    "tools": (
        TOOLS.replace("START", "").replace("STOP", ""),
        TOOLS.replace("START", "{% generation %}").replace("STOP", "{% endgeneration %}"),
    ),
}


def byte_level(trim):
    """Byte pairs over bytes; with `trim` a token's place is without the space in front of it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim)
    special = ["<|begin|>", "<|turn|>", "<|end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer, {"bos_token": "<|begin|>", "eos_token": "<|end|>"}


def marked_words():
    """Byte pairs over words that carry their space, with bytes for unknown characters."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="first"), decoders.Fuse()])
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    # Bytes are tokens like any other, not texts to look for.
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = state["added_tokens"][:3]
    return Tokenizer.from_str(json.dumps(state)), {"bos_token": "<s>", "eos_token": "</s>"}


def told(*contents, system=None):
    roles = ["user", "assistant"] * len(contents)
    messages = [{"role": role, "content": content} for role, content in zip(roles, contents)]
    return ([{"role": "system", "content": system}] if system else []) + messages


CONVERSATIONS = [
    told("Who is on the boat?", "The captain."),
    told("Is the water cold?", "It is.", "And in summer?", "Warmer.", "Good.", "A list:\n- one\n- two\n"),
    told("What is one and one?", "two", system="Answer in one word."),
    told("É 😀?", "naïve 👩‍🚀 – ½ – 水", "東京?", "😀"),
    told("{{ not }} a {% template %}", "<|none|> [Q] </t>", "\n", "one\n\n\ntwo  three"),
    told("The", " space in front, and behind "),
]
TOOL = {
    "type": "function",
    "function": {
        "name": "depth",
        "description": "How deep <the water> is, in m.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}
ASKED = {"role": "user", "content": "How deep is the harbour?"}
# OpenAI's form has the arguments as text.
CALL = {"id": "a1", "type": "function", "function": {"name": "depth", "arguments": '{"place":"harbour","exact":true}'}}
BARE_CALL = {"name": "depth", "arguments": {"unit": "m", "place": "<é>"}}
RESULT = {"role": "tool", "content": "4.5", "tool_call_id": "a1", "name": "depth"}
ROWS_WITH_TOOLS = [
    {
        "messages": [ASKED, {"role": "assistant", "content": None, "tool_calls": [CALL]}, RESULT, *told("Thanks.", "4.5 m.")[1:]],
        "tools": [TOOL],
    },
    {"messages": [ASKED, {"role": "assistant", "content": "I look.", "tool_calls": [BARE_CALL, CALL]}], "tools": json.dumps([TOOL])},
    {"messages": [ASKED, {"role": "assistant", "tool_calls": [BARE_CALL]}], "tools": [TOOL, TOOL]},
    {
        "messages": told("Is the water cold?", "It is."),
        "documents": [{"title": "Water", "text": "It is cold."}],
        "chat_template_kwargs": {"bos_token": "<|turn|>"},
    },
    {"messages": told("Is the water cold?", "It is."), "tools": None},
]
PLAIN_ROWS = [{"messages": messages} for messages in CONVERSATIONS]
CASES = [
    ("byte level", byte_level(False), "turns", PLAIN_ROWS),
    ("trimmed", byte_level(True), "turns", PLAIN_ROWS),
    ("marked", marked_words(), "brackets", PLAIN_ROWS),
    ("tools", byte_level(False), "tools", ROWS_WITH_TOOLS),
]


def read(row):
    """A row as TRL hands it to apply_chat_template, with the arguments of calls as objects, as transformers wants them."""
    row = json.loads(json.dumps(row))
    for call in (call for message in row["messages"] for call in message.get("tool_calls", [])):
        function = call.get("function", call)
        if isinstance(function["arguments"], str):
            function["arguments"] = json.loads(function["arguments"])
    tools = row.get("tools")
    given = {"tools": json.loads(tools) if isinstance(tools, str) else tools, "documents": row.get("documents")}
    return row["messages"], given | row.get("chat_template_kwargs", {})


def case(name, tokenizer, tokens, template, raw_rows):
    plain, tagged = TEMPLATES[template]
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **tokens)
    rows = []
    for row in raw_rows:
        messages, given = read(row)
        if name == "trimmed" and any(message["content"][0].isspace() for message in messages):
            continue  # transformers finds no token at the beginning of such an answer, and masks nothing.
        found = fast.apply_chat_template(
            messages, chat_template=tagged, tokenize=True, return_dict=True, return_assistant_tokens_mask=True, **given
        )
        text = fast.apply_chat_template(messages, chat_template=plain, tokenize=False, **given)
        ids = fast.apply_chat_template(messages, chat_template=plain, tokenize=True, return_dict=True, **given)["input_ids"]
        assert ids == found["input_ids"], text
        question = fast.apply_chat_template(
            messages[:-1], chat_template=plain, tokenize=True, return_dict=True, add_generation_prompt=True, **given
        )["input_ids"]
        mask = found["assistant_masks"]
        assert sum(mask) > 0 and mask[0] == 0
        rows.append({"row": row, "text": text, "ids": ids, "mask": mask, "question": question})
    return {
        "name": name,
        "tokenizer": tokenizer.to_str(),
        "tokens": tokens,
        "plain": plain,
        "tagged": tagged,
        "rows": rows,
    }


def main():
    cases = [case(name, *made, template, rows) for name, made, template, rows in CASES]
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    OUT.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(f"{OUT}: {sum(len(case['rows']) for case in cases)} conversations")


if __name__ == "__main__":
    main()
