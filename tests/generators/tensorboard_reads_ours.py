"""Reads a run's event file with TensorBoard's own reader, and compares it with the run's record.

    adept train ... --out runs/one
    pip install tensorboard
    python tests/generators/tensorboard_reads_ours.py runs/one ...

The reader verifies every checksum. Each value of `record.jsonl` (steps, evaluations, the result; of pretraining as well)
must be in the file once, under its tag and step and at the time of its line, and nothing else may be. Values are compared
as 32-bit floats, which event files hold. The hparams plugin must find the run's settings, without paths, and its end.
"""

import json
import pathlib
import sys

import numpy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto import event_pb2
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

NAME = "events.out.tfevents.adept"
TRAIN = ("loss", "loss_text", "loss_tasks", "gradient_norm", "learning_rate", "samples_per_second", "tokens_per_second")


def expected(lines):
    """{tag: [(step, value, time)]} of a record."""
    found = {}

    def put(tag, line, value, step=None):
        step = line["step"] if step is None else step
        found.setdefault(tag, []).append((step, numpy.float32(value), line["time"]))

    for line in lines:
        if line["event"] == "step":
            for name in TRAIN:
                if line.get(name) is not None:
                    put(f"train/{name}", line, line[name])
            for group, rate in line.get("learning_rates", {}).items():
                put(f"train/learning_rate/{group}", line, rate)
        elif line["event"] == "evaluation":
            for metric, score in line.get("scores", {}).items():
                put(f"validation/{metric}", line, score)
            if "held_out_loss" in line:
                put("validation/held_out_loss", line, line["held_out_loss"])
            for label, scores in line.get("tasks", {}).items():
                for name, value in scores.items():
                    if value is not None:
                        put(f"validation/{label}/{name}", line, value)
        elif line["event"] == "end" and "test" in line:
            for split in ("validation", "test"):
                for metric, score in line[split].items():
                    put(f"best/{split}/{metric}", line, score, line["config"]["train"]["steps"])
    return found


def sessions(path):
    """The messages of the hparams plugin."""
    for data in RawEventFileLoader(str(path)).Load():
        for value in event_pb2.Event.FromString(data).summary.value:
            if value.metadata.plugin_data.plugin_name == "hparams":
                yield value.tag, plugin_data_pb2.HParamsPluginData.FromString(value.metadata.plugin_data.content)


def check(folder):
    lines = [json.loads(line) for line in (folder / "record.jsonl").read_text().splitlines()]
    wanted = expected(lines)
    events = EventAccumulator(str(folder / NAME), size_guidance={"scalars": 0})
    events.Reload()
    assert events.file_version == 2.0, events.file_version
    tags = set(events.Tags()["scalars"])
    assert tags == set(wanted), tags ^ set(wanted)
    for tag, values in wanted.items():
        found = [(event.step, numpy.float32(event.value), event.wall_time) for event in events.Scalars(tag)]
        assert found == values, (tag, found, values)

    found = dict(sessions(folder / NAME))
    start = found.pop("_hparams_/session_start_info").session_start_info
    config = lines[0]["resolved"]["config"]
    assert start.start_time_secs == lines[0]["time"]
    assert start.hparams["seed"].number_value == config["seed"]
    texts = [value.string_value for value in start.hparams.values()]
    # Only names of the hub have a stroke.
    assert not any(text.startswith(("/", ".", "~")) for text in texts), texts
    if "adapter" in config:
        assert start.hparams["adapter.method"].string_value == config["adapter"]["method"]
        assert start.hparams["trainable_parameters"].number_value == lines[0]["trainable_parameters"]
    is_done = lines[-1]["event"] == "end"
    assert ("_hparams_/session_end_info" in found) == is_done
    if is_done:
        assert found["_hparams_/session_end_info"].session_end_info.status == api_pb2.STATUS_SUCCESS
    resumed = sum(line["event"] == "resume" for line in lines)
    values = sum(map(len, wanted.values()))
    print(f"{folder}: {len(tags)} tags, {values} values, {len(start.hparams)} settings, resumed {resumed} times")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        check(pathlib.Path(name))
