"""Small fixtures for adept-core, made with PyTorch.

    python tests/generators/published_adapters.py crates/adept-core/tests/fixtures

Writes, with random values from a fixed seed:

* `published/<name>/`: adapters as saved by the published code of PT, DePT and ADePT (`adapter_config.json` and a
  pickled `adapter_model.bin`), together with `expected.safetensors`, the values a reader should find. They cover what
  pickles of tensors may contain: f16 and bf16 storages, transposed views, several tensors in one storage, parameters,
  an OrderedDict with `_metadata`;
* `hostile/`: `.bin` files that a reader must refuse: one that would call os.system, one in the format before PyTorch
  1.6 (the only file that differs from run to run: it contains an address), a tensor that reaches beyond its storage,
  integers, non-finite numbers;
* `forward.safetensors`: forward passes and gradients of the three methods.

Made with torch 2.15 and safetensors 0.8; the layouts have been the same since torch 1.6.
"""

import collections
import io
import json
import pathlib
import pickle
import sys
import zipfile

import torch
from safetensors.torch import save_file

D, M, R, LENGTH = 6, 3, 2, 5  # width, virtual tokens, rank, rows of DePT's A
BATCH = 2

CONFIG = {
    "auto_mapping": None,
    "base_model_name_or_path": "t5-base",
    "inference_mode": True,
    "num_attention_heads": 12,
    "num_layers": 12,
    "num_transformer_submodules": 1,
    "num_virtual_tokens": M,
    "prompt_tuning_init": "TEXT",
    "prompt_tuning_init_text": "a text",
    "revision": None,
    "task_type": "SEQ_2_SEQ_LM",
    "token_dim": D,
    "tokenizer_name_or_path": "t5-base",
}
LORA = {"bias": "none", "hidden_size": D, "init_lora_weights": True, "lora_alpha": 8, "max_length": LENGTH, "r": R}


def write(folder: pathlib.Path, config: dict, tensors: dict, expected: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(config, indent=2, sort_keys=True)
    (folder / "adapter_config.json").write_text(text + "\n")
    torch.save(tensors, folder / "adapter_model.bin")
    values = {name: value.detach().float().contiguous().clone() for name, value in expected.items()}
    save_file(values, folder / "expected.safetensors")


def published(root: pathlib.Path) -> None:
    # PT: the prompt is the first row of a batch of one, as returned by get_prompt_embedding_to_save().
    prompt = torch.randn(1, M, D)[0]
    pt = {**CONFIG, "peft_type": "PROMPT_TUNING"}
    write(root / "pt", pt, {"prompt_embeddings": prompt}, {"prompt_embeddings": prompt})

    # A parameter in an OrderedDict with attributes, in bf16.
    parameter = torch.nn.Parameter(torch.randn(M, D).bfloat16())
    state = collections.OrderedDict(prompt_embeddings=parameter)
    state._metadata = collections.OrderedDict({"": {"version": 1}})
    write(root / "pt_bf16", pt, state, {"prompt_embeddings": parameter})

    # DePT: names include the module's path.
    tensors = {
        "prompt_embeddings": torch.randn(1, M, D)[0],
        "prompt_encoder.lora_embedding_A": torch.randn(LENGTH, R),
        "prompt_encoder.lora_embedding_B": torch.randn(R, D),
    }
    expected = {name.removeprefix("prompt_encoder."): value for name, value in tensors.items()}
    write(root / "dept", {**CONFIG, **LORA, "peft_type": "PROMPT_TUNING_LORA"}, tensors, expected)

    # ADePT in f16, with views: W_down is a transposed view, the two biases share one storage.
    biases = torch.randn(R + D).half()
    tensors = {
        "prompt_embeddings": torch.randn(2, M, D).half()[1],
        "prompt_encoder.lora_embedding_A": torch.randn(R, D).half().t(),
        "prompt_encoder.lora_embedding_a": biases[:R],
        "prompt_encoder.lora_embedding_B": torch.randn(R, 2 * D).half()[:, ::2],
        "prompt_encoder.lora_embedding_b": biases[R:],
    }
    expected = {name.removeprefix("prompt_encoder."): value for name, value in tensors.items()}
    write(root / "adept", {**CONFIG, **LORA, "peft_type": "PROMPT_TUNING_LORAX"}, tensors, expected)


class Command:
    """Unpickles by running a command."""

    def __reduce__(self):
        import os

        return os.system, ("touch executed",)


def hostile(root: pathlib.Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    prompt = torch.randn(M, D)

    buffer = io.BytesIO()
    pickle.dump({"prompt_embeddings": Command()}, buffer, protocol=2)
    with zipfile.ZipFile(root / "command.bin", "w") as archive:
        # A fixed date, so that the file is reproducible.
        archive.writestr(zipfile.ZipInfo("archive/data.pkl"), buffer.getvalue())

    torch.save({"prompt_embeddings": prompt}, root / "legacy.bin", _use_new_zipfile_serialization=False)
    torch.save({"prompt_embeddings": torch.arange(M * D).reshape(M, D)}, root / "integers.bin")
    bad = prompt.clone()
    bad[1, 4] = float("nan")
    torch.save({"prompt_embeddings": bad}, root / "nan.bin")
    torch.save({"prompt_embeddings": prompt[:2]}, root / "shape.bin")

    # A tensor of 3 x 6 with row stride 7 in a storage of 18: the pickle of a valid file with one number changed.
    good = io.BytesIO()
    torch.save({"prompt_embeddings": prompt}, good)
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(root / "outside.bin", "w") as archive:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("data.pkl"):
                stride = b"K\x06K\x01\x86"
                assert data.count(stride) == 1
                data = data.replace(stride, b"K\x07K\x01\x86")
            archive.writestr(zipfile.ZipInfo(name), data)


def forward(path: pathlib.Path) -> None:
    embeddings = torch.randn(BATCH, LENGTH, D)
    mask = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1]], dtype=torch.float32)
    weights = torch.randn(BATCH, M + LENGTH, D)
    tensors = {"embeddings": embeddings, "mask": mask, "weights": weights}
    shapes = {
        "pt": {},
        "dept": {"lora_embedding_A": (LENGTH, R), "lora_embedding_B": (R, D)},
        "adept": {
            "lora_embedding_A": (D, R),
            "lora_embedding_a": (R,),
            "lora_embedding_B": (R, D),
            "lora_embedding_b": (D,),
        },
    }
    for method, offset in shapes.items():
        parameters = {
            name: torch.randn(shape, requires_grad=True)
            for name, shape in {"prompt_embeddings": (M, D), **offset}.items()
        }
        adapted = embeddings
        if method == "dept":
            adapted = embeddings + 0.5 * (parameters["lora_embedding_A"] @ parameters["lora_embedding_B"])
        if method == "adept":
            hidden = torch.relu(embeddings @ parameters["lora_embedding_A"] + parameters["lora_embedding_a"])
            adapted = embeddings + hidden @ parameters["lora_embedding_B"] + parameters["lora_embedding_b"]
        prompt = parameters["prompt_embeddings"].expand(BATCH, M, D)
        out = torch.cat([prompt, adapted], dim=1)
        (out * weights).sum().backward()
        tensors[f"{method}.out"] = out.detach().contiguous()
        for name, parameter in parameters.items():
            tensors[f"{method}.{name}"] = parameter.detach()
            tensors[f"{method}.grad.{name}"] = parameter.grad.contiguous()
    save_file(tensors, path)


def main() -> None:
    root = pathlib.Path(sys.argv[1])
    torch.manual_seed(20250917)
    published(root / "published")
    hostile(root / "hostile")
    forward(root / "forward.safetensors")


if __name__ == "__main__":
    main()
