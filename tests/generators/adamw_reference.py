"""Writes crates/adept-train/tests/data/adamw.json: steps of PyTorch's AdamW, for the optimiser's parity test.

Two groups with different rates and decays, a warm-up whose step 0 has rate 0, clipping by global norm (on and off).
Values are exact float32 and gradients are part of the fixture, so that only the optimiser is compared.

    python tests/generators/adamw_reference.py
"""

import json
import pathlib

import torch

SHAPES = {"prompt.weight": (3, 4), "offset.w_down": (4, 2), "offset.b1": (2,)}
STEPS, WARMUP, TOTAL = 6, 2, 10


def multiplier(step):
    return step / WARMUP if step < WARMUP else (TOTAL - step) / (TOTAL - WARMUP)


def flat(tensors):
    return {name: tensor.detach().flatten().tolist() for name, tensor in tensors.items()}


def case(name, seed, beta2, decay, clip, scale):
    generator = torch.Generator().manual_seed(seed)

    def draw():
        return {key: torch.randn(shape, generator=generator) * scale for key, shape in SHAPES.items()}

    parameters = {key: value.requires_grad_() for key, value in draw().items()}
    initial = flat(parameters)
    groups = [
        {"params": [parameters["prompt.weight"]], "lr": 0.3, "weight_decay": decay},
        {"params": [parameters["offset.w_down"], parameters["offset.b1"]], "lr": 1e-3, "weight_decay": decay / 2},
    ]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, beta2), eps=1e-6, foreach=False)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, multiplier)
    steps = []
    for _ in range(STEPS):
        gradients = draw()
        for key, value in parameters.items():
            value.grad = gradients[key].clone()
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), clip if clip > 0 else float("inf"))
        optimizer.step()
        scheduler.step()
        steps.append({"gradients": flat(gradients), "norm": norm.item(), "after": flat(parameters)})
    return {
        "name": name, "beta2": beta2, "decay_prompt": decay, "decay_offset": decay / 2, "clip": clip,
        "initial": initial, "steps": steps,
    }


def main():
    cases = [
        case("paper: decay, no clipping", 1, 0.98, 0.01, 0.0, 1.0),
        case("reference: no decay, clipping at 1", 2, 0.999, 0.0, 1.0, 1.0),
        case("clipping that never bites", 3, 0.999, 0.1, 1.0, 0.01),
    ]
    document = {
        "torch": torch.__version__.split("+")[0], "beta1": 0.9, "epsilon": 1e-6, "rate_prompt": 0.3, "rate_offset": 1e-3,
        "warmup": WARMUP, "total": TOTAL, "cases": cases,
    }
    path = pathlib.Path(__file__).parents[2] / "crates/adept-train/tests/data/adamw.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document) + "\n")
    print(path.name, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
