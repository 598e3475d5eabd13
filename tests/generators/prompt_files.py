"""Writes virtual tokens in the forms in which prompts are published, with PyTorch and NumPy.

    python tests/generators/prompt_files.py crates/adept-core/tests/fixtures/rows

Needs torch, numpy and safetensors. Every file holds the same values [3, 4], 0/8 to 11/8, which f16 holds exactly;
hostile.pt calls a function when Python's own reader opens it.
"""

import os
import pathlib
import sys

import numpy
import safetensors.torch
import torch


class Hostile:
    def __reduce__(self):
        return os.system, ("true",)


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    values = torch.arange(12, dtype=torch.float32).reshape(3, 4) / 8
    torch.save(values, out / "tensor.pt")
    torch.save(torch.nn.Parameter(values.to(torch.float16)), out / "parameter.pt")
    # A slice of a larger tensor: its values begin within its storage.
    torch.save(torch.cat([values - 9, values])[None, 3:], out / "slice.pt")
    torch.save({"prompt_embeddings": values, "other": torch.zeros(2)}, out / "state.pt")
    torch.save({"one": values, "other": torch.zeros(2)}, out / "two.pt")
    torch.save({"prompt": Hostile()}, out / "hostile.pt")
    torch.save(values.long(), out / "whole.pt")
    array = values.numpy()
    numpy.save(out / "array.npy", array)
    numpy.save(out / "columns.npy", numpy.asfortranarray(array.astype(numpy.float64)))
    numpy.save(out / "columns_of_one.npy", numpy.asfortranarray(array[None]))
    numpy.save(out / "half.npy", array.astype(numpy.float16)[None])
    numpy.save(out / "flat.npy", array.reshape(-1))
    numpy.save(out / "big_endian.npy", array.astype(">f4"))
    with open(out / "version_2.npy", "wb") as file:
        numpy.lib.format.write_array(file, array, version=(2, 0))
    safetensors.torch.save_file({"prompt": values}, out / "alone.safetensors")


main(pathlib.Path(sys.argv[1]))
