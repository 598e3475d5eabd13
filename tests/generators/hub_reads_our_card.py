"""Reads the model card of a run's adapter with huggingface_hub, and compares it with the run's files.

    adept train ... --out runs/one
    python tests/generators/hub_reads_our_card.py runs/one ...

The hub's reader must find the front matter's library, base model and tags, and in `model-index` the scores of
`result.json`. No path of the machine may be in the text.
"""

import json
import pathlib
import sys

from huggingface_hub import ModelCard


def check(folder):
    card = ModelCard.load(folder / "best" / "README.md")
    result = json.loads((folder / "result.json").read_text())
    data, method = card.data, result["method"]
    assert data.library_name in ("adept", "peft", "transformers"), data.library_name
    assert data.tags == list(dict.fromkeys(["adept", method, result["task"]])), data.tags
    assert data.base_model_relation == ("finetune" if method == "full" else "adapter")
    assert data.license is None
    found = {(score.dataset_split, score.metric_type): score.metric_value for score in data.eval_results}
    wanted = {(split, metric): score for split in ("validation", "test") for metric, score in result[split].items()}
    assert found == wanted, (found, wanted)
    for text in (result["fingerprint"], *(file["sha256"] for file in result["data"])):
        assert text in card.text, text
    for path in (result["config"]["data"], result["config"]["backbone"]):
        assert str(pathlib.Path(path).parent) not in card.content or "/" not in path, path
    print(f"{folder}: {data.library_name}, {data.base_model}, {len(found)} scores")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        check(pathlib.Path(name))
