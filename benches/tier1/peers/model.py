"""What both peers run: tokens, the graph on one thread, and the package's calibration."""

import json
import math
import tomllib
from pathlib import Path

import numpy
import onnxruntime
from tokenizers import Tokenizer


class Model:
    """One session of one thread, as Weir opens it."""

    def __init__(self, folder: str) -> None:
        package = Path(folder)
        manifest = tomllib.loads((package / "package.toml").read_text())
        calibration = manifest.get("calibration", {})
        platt = calibration.get("method") == "platt"
        self.slope = calibration["a"] if platt else 1.0
        self.shift = calibration["b"] if platt else 0.0
        labels = json.loads((package / "config.json").read_text())["id2label"]
        fraud = manifest["classifier"]["fraud_label"]
        self.fraud = int(next(number for number, label in labels.items() if label == fraud))
        self.tokenizer = Tokenizer.from_file(str(package / "tokenizer.json"))
        self.tokenizer.enable_truncation(manifest["classifier"]["max_tokens"])
        self.tokenizer.no_padding()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.enable_mem_pattern = False
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(
            str(package / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self.inputs = [given.name for given in self.session.get_inputs()]

    def scores(self, texts: list[str]) -> list[float]:
        """The calibrated probability of fraud of each text, computed as one batch."""
        if len(texts) == 1:
            encodings = [self.tokenizer.encode(texts[0])]
        else:
            encodings = [self.tokenizer.encode(text) for text in texts]
        longest = max(len(encoding.ids) for encoding in encodings)
        ids = numpy.zeros((len(texts), longest), dtype=numpy.int64)
        mask = numpy.zeros((len(texts), longest), dtype=numpy.int64)
        for row, encoding in enumerate(encodings):
            ids[row, : len(encoding.ids)] = encoding.ids
            mask[row, : len(encoding.ids)] = 1
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": ids * 0}
        logits = self.session.run(["logits"], {name: feeds[name] for name in self.inputs})[0]
        return [self.probability(row) for row in logits.astype(float)]

    def probability(self, logits: numpy.ndarray) -> float:
        margin = float(logits[self.fraud] - logits[1 - self.fraud])
        return 1.0 / (1.0 + math.exp(-(self.slope * margin + self.shift)))
