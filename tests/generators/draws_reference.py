"""The random draws of adept-models' sampling, computed with an independent ChaCha8.

Prints the tokens that `a_draw_is_the_same_on_every_machine` expects. Key: seed, row, sample, 0, 64 bits each; the
token's index is the position in the stream, two words each. Requires only Python.

    python tests/generators/draws_reference.py
"""

import math
import struct


def chacha8(key, counter):
    rotate = lambda x, n: ((x << n) | (x >> (32 - n))) & 0xFFFFFFFF
    start = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574, *struct.unpack("<8I", key)]
    start += [counter & 0xFFFFFFFF, counter >> 32, 0, 0]
    x = list(start)

    def quarter(a, b, c, d):
        for first, second, third, turn in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)]:
            x[first] = (x[first] + x[second]) & 0xFFFFFFFF
            x[third] = rotate(x[third] ^ x[first], turn)

    for _ in range(4):
        for columns in [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]:
            quarter(*columns)
        for diagonal in [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]:
            quarter(*diagonal)
    return [(a + b) & 0xFFFFFFFF for a, b in zip(x, start)]


def uniform(seed, row, sample, token):
    words = chacha8(struct.pack("<4Q", seed, row, sample, 0), token * 2 // 16)
    low, high = words[token * 2 % 16], words[token * 2 % 16 + 1]
    return ((high << 32 | low) >> 11) / 2**53


def draw(logits, temperature, top_p, place):
    weights = [math.exp((logit - max(logits)) / temperature) for logit in logits]
    order = sorted(range(len(logits)), key=lambda token: (-weights[token], token))
    kept, sum_of_kept = [], 0.0
    for token in order:
        if kept and sum_of_kept >= top_p * sum(weights):
            break
        kept.append(token)
        sum_of_kept += weights[token]
    target, below = place * sum_of_kept, 0.0
    for token in sorted(kept):
        below += weights[token]
        if target < below:
            return token


logits = [struct.unpack("f", struct.pack("f", i * 7919 % 1000 / 400))[0] for i in range(1000)]
print([draw(logits, 0.8, 0.95, uniform(11, 601, 2, token)) for token in range(10)])
