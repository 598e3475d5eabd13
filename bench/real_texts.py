"""Texts for `real_model.py`: written for it, or made by a seeded generator."""

import random

# Texts whose logits are compared.
TEXTS = [
    "The ferry leaves at seven, and whoever is late waits for the next one, which may not come before the tide turns.",
    "In 1987 the mill was closed; thirty years later its wheel turns again, this time for a museum of paper.",
    "Dear Ms Okafor,\n\nthank you for your letter of 3 May. We shall repair the roof before winter.",
    "Copper conducts heat well because its outer electrons are free to move through the lattice.",
    "\"Why not?\" she asked. \"Because,\" he said, \"nobody has ever come back with the key.\"",
    "def area(radius):\n    \"\"\"Area of a circle.\"\"\"\n    return 3.14159 * radius ** 2\n\nprint(area(2))",
    "fn main() {\n    let total: u64 = (1..=10).map(|n| n * n).sum();\n    println!(\"{total}\");\n}",
    "SELECT city, COUNT(*) FROM stations WHERE opened < 1900 GROUP BY city ORDER BY 2 DESC;",
    "<ul>\n  <li class=\"first\">one</li>\n  <li>two &amp; three</li>\n</ul>",
    "{\"id\": 42, \"tags\": [\"red\", \"blue\"], \"ratio\": 0.125, \"next\": null}",
    "0123456789 31 41 59 26 53 58 97 93 23 84 62 64 33 83 27 95",
    "12 * 12 = 144, 13 * 13 = 169, 14 * 14 = 196, and 15 * 15 = 225.",
    "Package arrived 📦 two days early 🎉 and nothing was broken 👍🏽 thanks! 👩‍🚀",
    "Der Zug nach Görlitz fährt heute ausnahmsweise von Gleis zwölf, weil die Brücke gesperrt ist.",
    "La boulangère ouvre à six heures ; à midi, il ne reste déjà plus de pain.",
    "El río nace en la sierra y, después de cien kilómetros, llega al mar.",
    "昨日は雨が降っていたので、図書館で本を読んで過ごしました。",
    "Вечером мы пили чай с вареньем и слушали, как шумит дождь.",
    "في الصباح فتح البائع متجره ورتب الكتب على الرفوف.",
    "| item | price |\n|---|---:|\n| tea | 2.50 |\n| cake | 3.75 |\n\nTotal:\t6.25",
]

# Prompts for greedy continuations; none ends with a space, which the default row template would drop.
PROMPTS = [
    "The capital of France is",
    "Water boils at",
    "Once upon a time there was a lighthouse keeper who",
    "To make a good pot of tea, first",
    "The three primary colours are",
    "def fibonacci(n):\n",
    "import json\n\ndef load(path):\n    with open(path) as file:\n",
    "for i in range(10):\n    if i % 2 == 0:\n",
    "1, 2, 3, 4, 5,",
    "Question: What is 12 plus 30?\nAnswer:",
    "Ingredients:\n- 2 eggs\n- 100 g flour\n",
    "Dear Sir or Madam,\n\nI am writing to",
    "Mon frère habite à Lyon et",
    "Die Sonne scheint und die Kinder",
    "Ayer compré un libro que",
    "In the year 1969, humans",
    "A haiku about snow:\n",
    "The difference between a lake and a pond is that",
    "<html>\n<head>\n<title>",
    "Photosynthesis is the process by which",
]

WORDS = "the river Zürich naïve straße don't I'll it's state-of-the-art U.S.A. e.g. co-op żółw Ærø ﬁne".split()
CODE = ["if (x<=0){", "}else{", "#!/bin/sh", "x->y::z", "\\n\\t", "a[i]+=1;", "//  TODO:", "λx.x", "$HOME/.local", "/* ** */", "==", "!=="]
EMOJI = ["😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪🇯🇵", "❤️", "☎︎", "🧑🏿‍🚒", "1️⃣", "\u200d"]
MARKS = ["e\u0301", "o\u0302\u0323", "\u0301", "n\u0303a", "A\u030a", "\u0915\u094d\u0937", "ก็", "क्षि", "ﷺ", "\u1100\u1161\u11a8"]
SCRIPTS = ["東京都", "中文分词", "한국어", "ひらがなカタカナ", "مرحبا بالعالم", "שָׁלוֹם", "Ελληνικά", "Привет", "हिन्दी", "𝔘𝔫𝔦", "𐍈", "ไทย"]
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", " \n ", "\u00a0", "\u3000", "\u2009", "\u200b", "\ufeff", "\x0b", "\u2028"]
ODD = ["\x00", "\x7f", "\u00ad", "\ufffd", "½", "²", "٣", "Ⅷ", "①", "𝟘", "…", "—", "“”", "€", "º", "\ue000", "\U0010fffd"]


def digits(rng):
    number = "".join(rng.choice("0123456789") for _ in range(rng.randint(1, 12)))
    return rng.choice([number, f"{number}.{number[:2]}", f"-{number}", f"{number[:3]},{number[:3]}", f"0x{number}", f"{number}e-5", f"{number}%"])


def tokenizer_texts(count, special, seed=7):
    """`count` different texts; `special` are the tokenizer's own added tokens, some of them cut short."""
    rng = random.Random(seed)
    pick = lambda pool: lambda: rng.choice(pool)
    parts = [pick(pool) for pool in (WORDS, WORDS, CODE, EMOJI, MARKS, SCRIPTS, SPACES, SPACES, ODD)]
    parts.append(lambda: digits(rng))
    if special:
        parts += [pick(special), lambda: rng.choice(special)[: rng.randint(1, 8)]]
    texts = dict.fromkeys(["", " ", "\n", "\t\t", "0", "a", "\u0301", "👩‍🚀", *special])
    while len(texts) < count:
        joint = rng.choice(["", "", " "])
        texts[joint.join(rng.choice(parts)() for _ in range(rng.randint(1, 14)))] = None
    return list(texts)[:count]
