"""Chat templates for adept-data's tests, rendered by transformers' apply_chat_template.

Writes crates/adept-data/tests/fixtures/chat.json: a list of templates, each with the special tokens of its tokenizer
and the prompt that transformers renders for a single user message (`add_generation_prompt`). The templates are written
here in the style of published model families: whitespace control, loops and namespaces, macros, Python's string and
list methods, slices, defaults, tests, `tojson`, `{% generation %}`. Prompts depend on neither locale nor date: no
template prints the time. Run from the repository root:

    python tests/generators/chat_reference.py

Written with transformers 5.24.0, Jinja2 3.1.6.
"""

import json
import pathlib
import tempfile

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

OUT = pathlib.Path("crates/adept-data/tests/fixtures/chat.json")

CONTENTS = [
    "Is it good?",
    "  two\n lines with <b>marks</b> & \"quotes\"  ",
    "",
    "ça coûte 3 € 😀 {{ not }} {% a %} template",
    "[INST] <|user|> ---\t'",
]

TEMPLATES = {
    # One line per message, with a header for the role.
    "headers": """{{- bos_token }}
{%- for message in messages %}
    {{- '<|begin|>' + message['role'] + '<|header|>\n\n' }}
    {{- message['content'] | trim + '<|turn|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|begin|>assistant<|header|>\n\n' }}
{%- endif %}""",
    # A default system message, a slice of the rest, a counting namespace.
    "system": """{% if messages[0]['role'] == 'system' %}
{% set system = messages[0]['content'] %}{% set rest = messages[1:] %}
{% else %}
{% set system = 'You answer in one word.' %}{% set rest = messages %}
{% endif %}
{% set ns = namespace(turns=0) %}
<system>{{ system }}</system>
{% for m in rest %}
{% if m.role not in ['user', 'assistant'] %}{{ raise_exception('a role nobody has: ' ~ m.role) }}{% endif %}
{% set ns.turns = ns.turns + 1 %}
<{{ m.role }} n="{{ ns.turns }}">{{ m.content }}</{{ m.role }}>
{% endfor %}
{% if add_generation_prompt %}<assistant>{% endif %}
""",
    # Turns that must alternate, and blocks that keep their trailing line break.
    "brackets": """{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\
{{ raise_exception('turns must alternate') }}{% endif %}{% if message['role'] == 'user' %}{{ '[I] ' + message['content'].strip() \
+ ' [/I]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + ' ' + eos_token }}{% endif %}{% endfor %}""",
    # Python's methods on strings, dictionaries and lists.
    "methods": """{%- for message in messages -%}
{%- set parts = message.content.split('\n') -%}
{{ message.role.upper()[:1] }}:{{ parts | length }}:{{ parts[-1].lstrip().rstrip() }}|{{ message.get('name', 'nobody') }}|
{%- if message.content.startswith('Is') and not message.content.endswith('x') %}question{% else %}{{ message.content.replace('<b>', \
'*').replace('</b>', '*') }}{% endif %}|{{ message.keys() | list | join(',') }}|{% for key, value in message.items() %}{{ key.title() \
}}={{ value | length }};{% endfor %}
{%- endfor -%}
{{ '\n' }}>>""",
    # Macros, filters with arguments, tests, conditional expressions, arithmetic.
    "macros": """{%- macro turn(role, text, end=eos_token) -%}
<{{ role }}>
{{ text | default('nothing', true) }}{{ end }}
{%- endmacro -%}
{{- turn('rules', none) if tools is none else turn('tools', tools | tojson) -}}
{%- for message in messages %}
{{ turn(message.role, message.content) }}
{%- if loop.last and message.role is string and loop.length == 1 %} {{ (7 // 2) ~ '/' ~ (2 ** 3) ~ '/' ~ (7 % 4) }}{% endif %}
{%- endfor %}
{{ '<assistant>' if add_generation_prompt else '' }}
{{- '' if documents is defined and documents else ' no documents' }}
""",
    # JSON formatted as by Python.
    "json": """{{ messages | tojson }}
{{ messages[0] | tojson(indent=2) }}
{{ {'b': 1, 'a': [true, none, 1.5, []], 'c': {}} | tojson(sort_keys=true) }}
{{ 'é' | tojson(ensure_ascii=true) }} {{ [1, 'x'] | tojson(separators=(',', ':')) }}
A:""",
    # transformers' markup for assistant messages, and loops with break and continue.
    "generation": """{% for message in messages %}
{% if message['role'] == 'assistant' %}
{% generation %}{{ message['content'] }}{% endgeneration %}
{% else %}
Q: {{ message['content'] }}
{%- generation -%}
!
{%- endgeneration %}

{% endif %}
{% for n in range(5) %}{% if n == 1 %}{% continue %}{% endif %}{% if n == 3 %}{% break %}{% endif %}{{ n }}{% endfor %}

{% endfor %}
A: """,
    # Values printed as by Python, undefined values, comparisons and filter precedence.
    "values": """{{ true }} {{ none }} {{ 1.0 }} {{ nothing }}{{ nothing is defined }} {{ 'a' in 'cat' }} {{ [1, 'b', none] }} {{ {'k': 1} }}
{%+ if true %}kept{% endif %} {{- 'a' ~ 1 ~ 2.5 }} {{ '%s-%d' | format('x', 3) }} {{ ['b', 'a'] | sort | first }} {{ 'ab' * 2 }}
{{ messages | map(attribute='role') | join('+') }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }} \
{{ eos_token }}{{ unk_token is defined }}{{ pad_token }}
{# said to nobody #}
done
""",
}

TOKENS = {
    "headers": {"bos_token": "<s>"},
    "system": {},
    "brackets": {"bos_token": "<s>", "eos_token": "</s>"},
    "methods": {},
    "macros": {"eos_token": "<end>"},
    "json": {},
    "generation": {},
    "values": {"eos_token": "</s>", "pad_token": "<pad>"},
}


def main():
    cases = []
    for name, template in TEMPLATES.items():
        plain = Tokenizer(models.WordLevel({"a": 0}, unk_token=None))
        plain.pre_tokenizer = pre_tokenizers.Whitespace()
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, **TOKENS[name])
        tokenizer.chat_template = template
        with tempfile.TemporaryDirectory() as folder:
            # As loaded from a folder.
            tokenizer.save_pretrained(folder)
            tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        prompts = [
            tokenizer.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
            )
            for content in CONTENTS
        ]
        cases.append({"name": name, "tokens": TOKENS[name], "template": template, "prompts": prompts})
    OUT.write_text(json.dumps({"contents": CONTENTS, "templates": cases}, indent=1, ensure_ascii=False) + "\n")
    print(f"{OUT}: {len(cases)} templates, {len(CONTENTS)} messages")


if __name__ == "__main__":
    main()
