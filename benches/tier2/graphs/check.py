"""Checks that the forms of one decoder agree: precisions with each other, llama.cpp with ONNX.

    check.py [--made target/bench/tier2] [--server .tools/tier2-peers/llama-server]

Prompts are those of models/analysis/golden.jsonl. llama.cpp writes greedily; ONNX Runtime then says
for each token that was written which one it would have written after the same text.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import time
import urllib.request
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

import weights

PREFIX = '{"verdict":"'
VERDICTS = ("fraud", "suspicious", "legitimate")
PORT = 18_473
STEPS = 80


class Graph:
    """A package run as is, a whole sequence at a time."""

    def __init__(self, folder: Path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(folder / "model.onnx", options)
        self.shape = json.loads((folder / "genai_config.json").read_text())["model"]["decoder"]

    def logits(self, ids: list[int]) -> np.ndarray:
        """Logits `[tokens, vocabulary]`; of the last token alone if the graph is so."""
        heads, size = self.shape["num_key_value_heads"], self.shape["head_size"]
        empty = np.zeros((1, heads, 0, size), np.float32)
        feed = {"input_ids": np.array([ids]), "attention_mask": np.ones((1, len(ids)), np.int64)}
        for layer in range(self.shape["num_hidden_layers"]):
            for part in ("key", "value"):
                feed[f"past_key_values.{layer}.{part}"] = empty
        return self.session.run(["logits"], feed)[0][0]


class Server:
    """llama-server with one slot and a cache of floats, for the length of a `with` block."""

    def __init__(self, binary: Path, model: Path):
        self.command = [
            binary, "-m", model, "--host", "127.0.0.1", "--port", str(PORT), "-t", "2", "-np", "1",
            "-c", "1024", "-ctk", "f32", "-ctv", "f32", "--no-ui",
        ]

    def __enter__(self) -> Server:
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(self.command, stdout=quiet, stderr=quiet)
        for _ in range(200):
            try:
                self.ask("health")
                return self
            except OSError:
                time.sleep(0.05)
        self.process.kill()
        raise SystemExit(f"{self.command[0]} did not start")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(10)

    def ask(self, path: str, body: dict | None = None) -> dict:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{PORT}/{path}", data)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def tokens(self, text: str) -> list[int]:
        return self.ask("tokenize", {"content": text, "add_special": True})["tokens"]

    def written(self, ids: list[int], ignore_eos: bool) -> list[int]:
        body = {
            "prompt": ids, "n_predict": STEPS, "temperature": 0, "cache_prompt": False,
            "return_tokens": True, "ignore_eos": ignore_eos,
        }
        return self.ask("completion", body)["tokens"]


def golden() -> list[dict]:
    lines = (weights.SHIPPED / "golden.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def verdict_scores(graph: Graph, ids: list[int], firsts: list[int]) -> np.ndarray:
    return graph.logits(ids)[-1, firsts].astype(np.float64)


def fraud_margin(scores: np.ndarray) -> float:
    """Log odds of fraud as the golden file has them: `suspicious` counts half on either side."""
    fraud, half, fair = np.exp(scores - scores.max()) * (1.0, 0.5, 1.0)
    return math.log(fraud + half) - math.log(fair + half)


def precisions(made: Path, tokenizer: Tokenizer) -> None:
    """The shipped model: verdicts and margins of each precision against the golden file."""
    prefix = tokenizer.encode(PREFIX, add_special_tokens=False).ids
    answers = [f'{PREFIX}{verdict}","' for verdict in VERDICTS]
    whole = [tokenizer.encode(answer, add_special_tokens=False).ids for answer in answers]
    firsts = [ids[len(prefix)] for ids in whole]
    for precision in ("int8", "fp32", "int4", "int8-last"):
        graph = Graph(made / "shipped" / precision)
        same, apart = 0, []
        for case in golden():
            ids = tokenizer.encode(case["prompt"]).ids + prefix
            scores = verdict_scores(graph, ids, firsts)
            same += VERDICTS[int(np.argmax(scores))] == case["verdict"]
            apart.append(abs(fraud_margin(scores) - case["margin"]))
        print(
            f"shipped {precision}: {same}/{len(apart)} verdicts as golden, margin apart by "
            f"{np.mean(apart):.4f} on average, {max(apart):.4f} at most"
        )


def against_server(made: Path, name: str, binary: Path, tokenizer: Tokenizer) -> None:
    """The server's tokens, and what it writes, against the fp32 graph's choice at every step."""
    graph, shipped = Graph(made / name / "fp32"), name == "shipped"
    prompts = [case["prompt"] + (PREFIX if shipped else "") for case in golden()]
    split = agreed = steps = whole = 0
    with Server(binary, made / name / "f32.gguf") as server:
        for prompt in prompts:
            ids = tokenizer.encode(prompt).ids
            split += server.tokens(prompt) == ids
            written = server.written(ids, ignore_eos=not shipped)
            chosen = graph.logits(ids + written)
            if not shipped:
                # The end of the answer is not to be chosen there.
                chosen[:, 2] = -math.inf
            chosen = chosen.argmax(-1)[len(ids) - 1 : -1].tolist()
            agreed += sum(a == b for a, b in zip(chosen, written))
            steps += len(written)
            whole += chosen == written
    count = len(prompts)
    print(
        f"{name} f32.gguf: {split}/{count} prompts split alike, {agreed}/{steps} tokens and "
        f"{whole}/{count} answers as the fp32 graph writes them"
    )
    assert split == count and agreed >= 0.95 * steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--made", type=Path, default=weights.ROOT / "target/bench/tier2")
    server = weights.ROOT / ".tools/tier2-peers/llama-server"
    parser.add_argument("--server", type=Path, default=server)
    args = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(weights.SHIPPED / "tokenizer.json"))
    precisions(args.made, tokenizer)
    for name in ("random-33m", "shipped"):
        against_server(args.made, name, args.server, tokenizer)


if __name__ == "__main__":
    main()
