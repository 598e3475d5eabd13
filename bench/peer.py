"""The PyTorch side of the benchmark: the same work as `adept bench step|infer`, with torch and transformers.

    python bench/peer.py step --size t5-small --tokens 64 --threads 2 --json

transformers' T5, CodeGen (peer_causal.py) or Llama with random weights, no dropout; PT, DePT and ADePT written out by hand
on `inputs_embeds`, the other methods on a T5, and LoRA on a decoder, by peer_methods.py (LoRA, (IA)³ and P-tuning are peft's,
with `--peft` prompt tuning on a decoder, too); torch.optim.AdamW with two groups, no clipping. As `adept` does, it computes in float32 without compiling
the model unless it is told otherwise (`--dtype`: that of the model, the adapter stays in float32; `--compile`: the training
step). Batch, padding and options are those of
`crates/adept-lab/src/bench`. `infer` decodes greedily with `generate()` and its cache, and scores labels with one
decoder pass over the encoder states repeated for each label.
"""

import argparse
import json
import resource
import statistics
import sys
import time

import peer_causal
import peer_methods
import torch
import transformers
from transformers import T5Config, T5ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

SIZES = {
    "t5-small": dict(d_model=512, d_kv=64, d_ff=2048, num_layers=6, num_heads=8, vocab_size=32128),
    "t5-base": dict(d_model=768, d_kv=64, d_ff=3072, num_layers=12, num_heads=12, vocab_size=32128),
    "tiny": dict(d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, vocab_size=320),
}
BUDGET_ROWS, DEPT_LENGTH, WARMUP_STEPS, TOTAL_STEPS = 100, 256, 500, 30_000


def rank(method, d, m, tokens):
    """The largest rank within the budget of 100 prompt rows."""
    left = (BUDGET_ROWS - m) * d
    if method == "adept":
        return (left - d) // (2 * d + 1)
    if method == "dept":
        return left // (max(tokens, DEPT_LENGTH) + d)
    return 0


def make_batch(rows, width, target, vocabulary):
    """The formula of `pair` in crates/adept-lab/src/bench/batch.rs."""
    one = lambda row, slot: 3 + (row * 7919 + slot * 104_729 + 31) % (vocabulary - 3)
    ids, mask, labels = [], [], []
    for row in range(rows):
        length = width - (row * 13) % (width // 2)
        ids.append([one(row, slot) for slot in range(length - 1)] + [1] + [0] * (width - length))
        mask.append([1] * length + [0] * (width - length))
        labels.append([one(row, width + slot) for slot in range(target - 1)] + [1])
    return torch.tensor(ids), torch.tensor(mask), torch.tensor(labels)


class Adapter(torch.nn.Module):
    """Equations 1 (PT), 2 (DePT, scale 1) and 3 (ADePT) of the paper; `full` is no adapter."""

    def __init__(self, method, d, m, r, tokens):
        super().__init__()
        self.method = method
        parameter = lambda *shape, std=0.0: torch.nn.Parameter(torch.randn(*shape) * std)
        if method != "full":
            self.prompt = parameter(m, d, std=1.0)
        if method == "dept":
            self.a, self.b = parameter(max(tokens, DEPT_LENGTH), r, std=r**-0.5), parameter(r, d)
        if method == "adept":
            self.w_down, self.b1 = parameter(d, r, std=r**-0.5), parameter(r)
            self.w_up, self.b2 = parameter(r, d), parameter(d)

    def slots(self):
        return 0 if self.method == "full" else self.prompt.shape[0]

    def offset(self, x, positions):
        """Embeddings with the offset, in their own type; `positions` [rows, seq] are DePT's, without the prompt."""
        dtype = x.dtype
        if self.method == "dept":
            # Behind the table there is no offset.
            inside = positions < self.a.shape[0]
            x = x + (self.a[positions.clamp(max=self.a.shape[0] - 1)] @ self.b) * inside[..., None]
        if self.method == "adept":
            x = x + torch.relu(x.float() @ self.w_down + self.b1) @ self.w_up + self.b2
        return x.to(dtype)

    def forward(self, x, mask):
        if self.method == "full":
            return x, mask
        # Pads on the left are not counted; pads on the right have some position that nobody sees.
        x = self.offset(x, (mask.cumsum(1) - 1).clamp(min=0) if mask[:, 0].min() == 0 else torch.arange(x.shape[1], device=x.device)[None])
        prompt = self.prompt.expand(x.shape[0], -1, -1).to(x.dtype)
        ones = torch.ones(x.shape[0], prompt.shape[1], dtype=mask.dtype, device=mask.device)
        return torch.cat([prompt, x], 1), torch.cat([ones, mask], 1)


def timed(work, options):
    """Milliseconds of each repetition after the warm-up."""
    out = []
    for repetition in range(options.warmup + options.steps):
        start = time.perf_counter()
        work()
        if options.device.startswith("cuda"):
            torch.cuda.synchronize()
        if repetition >= options.warmup:
            out.append((time.perf_counter() - start) * 1e3)
    median = statistics.median(out)
    return {"median_ms": median, "min_ms": min(out), "samples_per_second": options.batch * 1e3 / median, "all_ms": out}


def step(model, adapter, batch, options, report):
    ids, mask, labels = batch
    causal = options.size in peer_causal.SIZES
    if options.compile:
        # In place, so that the model stays what its parts are taken from.
        (peer_causal.body(model) if causal else model).compile()
    if options.method == "full":
        groups = [{"params": list(model.parameters()), "lr": 1e-4}]
    else:
        model.requires_grad_(False)
        offset = [p for name, p in adapter.named_parameters() if name != "prompt"]
        groups = [{"params": [adapter.prompt], "lr": 0.3}] + ([{"params": offset, "lr": 1e-4}] if offset else [])
    optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.01)
    schedule = transformers.get_linear_schedule_with_warmup(optimiser, WARMUP_STEPS, TOTAL_STEPS)
    last = 0.0

    def one():
        nonlocal last
        if causal:
            loss = peer_causal.loss(model, adapter, batch)
        else:
            embeds, full = adapter(model.shared(ids), mask)
            loss = model(inputs_embeds=embeds, attention_mask=full, labels=labels, use_cache=False).loss
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        last = loss.item()

    report["step"] = timed(one, options)
    report["loss"] = last


def step_inside(model, batch, options, report):
    """A step of a method of peer_methods.py."""
    model.requires_grad_(False)
    known = peer_methods.CAUSAL if options.size in peer_causal.SIZES else peer_methods.METHODS
    loss_of, groups = known[options.method](model, options)
    optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6)
    schedule = transformers.get_linear_schedule_with_warmup(optimiser, WARMUP_STEPS, TOTAL_STEPS)

    def one():
        loss = loss_of(*batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        report["loss"] = loss.item()

    report["step"] = timed(one, options)
    report["trainable_parameters"] = sum(p.numel() for g in groups for p in g["params"])


@torch.no_grad()
def infer_causal(model, adapter, batch, options, report):
    read = peer_causal.prefix(model, adapter.prompt if adapter.slots() else None)
    written = {}
    for name, read in {"greedy": read, "reread": None}.items():
        if name == "reread" and not adapter.slots():
            continue

        def work(name=name, read=read):
            written[name] = peer_causal.write(model, adapter, batch, options.new_tokens, read)

        report[name] = timed(work, options)
    if len(written) == 2 and (written["greedy"] != written["reread"]).any():
        print("the two ways of reading the prompt differ in a token", file=sys.stderr)


@torch.no_grad()
def infer(model, adapter, batch, options, report):
    ids, mask, labels = batch
    candidates = labels[:1].repeat(options.labels, 1)
    for label in range(options.labels):
        candidates[label][candidates[label] != 1] += label % 100

    def greedy():
        embeds, full = adapter(model.shared(ids), mask)
        model.generate(
            inputs_embeds=embeds,
            attention_mask=full,
            do_sample=False,
            use_cache=True,
            min_new_tokens=options.new_tokens,
            max_new_tokens=options.new_tokens,
        )

    def score():
        embeds, full = adapter(model.shared(ids), mask)
        encoded = model.encoder(inputs_embeds=embeds, attention_mask=full).last_hidden_state
        count = options.labels
        logits = model(
            encoder_outputs=BaseModelOutput(encoded.repeat_interleave(count, 0)),
            attention_mask=full.repeat_interleave(count, 0),
            labels=None,
            decoder_input_ids=model._shift_right(candidates).repeat(options.batch, 1),
            use_cache=False,
        ).logits
        picked = logits.log_softmax(-1).gather(2, candidates.repeat(options.batch, 1).unsqueeze(2))
        picked.sum((1, 2)).view(options.batch, count).tolist()

    report["greedy"] = timed(greedy, options)
    report["score"] = timed(score, options)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("kind", choices=["step", "infer"])
    parser.add_argument("--size", choices=[*SIZES, *peer_causal.SIZES], default="t5-small")
    parser.add_argument("--method", choices=["pt", "dept", "adept", "full", *peer_methods.METHODS], default="adept")
    parser.add_argument("--rank", type=int, default=0)
    for name, value in {
        "batch": 32, "tokens": 64, "target-tokens": 0, "virtual-tokens": 60, "labels": 2, "new-tokens": 0,
        "warmup": 2, "steps": 10, "seed": 0,
    }.items():  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--threads", type=int, default=0, help="0: as many as the process may use")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32", help="of the model")
    parser.add_argument("--compile", action="store_true", help="compile the model for training steps")
    parser.add_argument(
        "--peft", action="store_true", help="pt and lora on a decoder as peft's users write them: logits of every slot"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    torch.set_num_threads(options.threads or len(os_threads()))
    torch.manual_seed(options.seed)
    causal = options.size in peer_causal.SIZES
    options.target_tokens = options.target_tokens or (max(options.tokens // 3, 1) if causal else 2)
    options.new_tokens = options.new_tokens or (32 if causal else 4)
    d = peer_causal.width(options.size) if causal else SIZES[options.size]["d_model"]
    m = 0 if options.method == "full" else options.virtual_tokens
    r = options.rank or rank(options.method, d, m, options.tokens)
    if causal:
        model, make = peer_causal.build(options.size), peer_causal.make_batch
    else:
        model = T5ForConditionalGeneration(T5Config(decoder_start_token_id=0, **SIZES[options.size])).eval()
        make = make_batch
    model = model.to(options.device, getattr(torch, options.dtype))
    methods = peer_methods.CAUSAL if causal else peer_methods.METHODS
    inside = options.method in methods and (options.method != "pt" or options.peft)
    if inside and (options.kind != "step" or options.device != "cpu"):
        parser.error(f"{options.method} is here for training steps on the CPU alone")
    if not inside and options.method not in ("pt", "dept", "adept", "full"):
        parser.error(f"{options.method} is here for a T5 alone")
    if options.peft and not (causal and inside):
        parser.error("--peft is for pt and lora on a decoder")
    adapter = Adapter("full" if inside else options.method, d, m, r, options.tokens).to(options.device)
    batch = make(options.batch, options.tokens, options.target_tokens, model.config.vocab_size)
    batch = tuple(part.to(options.device) for part in batch)
    trained = model if options.method == "full" and options.kind == "step" else adapter
    report = {
        "kind": options.kind,
        "options": {**vars(options), "rank": r},
        "backend": f"torch {torch.__version__}, transformers {transformers.__version__}",
        "threads": torch.get_num_threads(),
        "backbone_parameters": sum(p.numel() for p in model.parameters()),
        "trainable_parameters": sum(p.numel() for p in trained.parameters()),
    }
    work = {"step": step, "infer": infer_causal if causal else infer}[options.kind]
    if inside:
        step_inside(model, batch, options, report)
    else:
        work(model, adapter, batch, options, report)
    if options.device.startswith("cuda"):
        report["peak_device_bytes"] = torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kibibytes.
    report["peak_rss_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    if options.json:
        print(json.dumps(report))
        return
    for name in ("step", "greedy", "reread", "score"):
        if name in report:
            t = report[name]
            print(f"{name:<6} median {t['median_ms']:.1f} ms, min {t['min_ms']:.1f} ms, {t['samples_per_second']:.1f} samples/s")
    print(f"memory {report['peak_rss_bytes'] / 2**20:.0f} MiB at the peak, {report['threads']} threads")


def os_threads():
    import os

    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)


if __name__ == "__main__":
    main()
