#!/usr/bin/env python3
"""Streams converted files into a running Weir over HTTP, day by day, labels as they become known.

    benches/cardstream/stream.py http://127.0.0.1:8080 target/cardstream
"""

import heapq
import json
import sys
import time
import urllib.error
import urllib.request
from itertools import groupby
from pathlib import Path

READY_SECONDS = 60


def post(url: str, body: bytes, kind: str) -> bytes:
    """Posts a body; an error's text is shown, not hidden."""
    request = urllib.request.Request(url, data=body, headers={"content-type": kind})
    try:
        with urllib.request.urlopen(request, timeout=600) as response:
            return response.read()
    except urllib.error.HTTPError as error:
        sys.exit(f"{url}: {error.code} {error.read().decode()}")


def wait_until_ready(base: str) -> None:
    """Waits for /readyz."""
    for _ in range(READY_SECONDS * 10):
        try:
            urllib.request.urlopen(f"{base}/readyz", timeout=5)
            return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"{base} is not ready after {READY_SECONDS} s")


def send_labels(base: str, waiting: list, until: str) -> int:
    """Sends every label that is known by `until`."""
    sent = 0
    while waiting and waiting[0][0] <= until:
        at, transaction_id = heapq.heappop(waiting)
        label = {
            "transaction_id": transaction_id,
            "label": "fraud",
            "source": "simulation",
            "effective_at": at,
        }
        post(f"{base}/v1/labels", json.dumps(label).encode(), "application/json")
        sent += 1
    return sent


def main() -> None:
    base, folder = sys.argv[1].rstrip("/"), Path(sys.argv[2])
    wait_until_ready(base)
    waiting: list = []
    events = labels = 0
    with open(folder / "history.ndjson", encoding="utf-8") as file:
        for day, lines in groupby(file, key=lambda text: json.loads(text)["transaction"]["timestamp"][:10]):
            cases = [json.loads(text) for text in lines]
            labels += send_labels(base, waiting, f"{day}T00:00:00Z")
            body = "".join(json.dumps(case["transaction"]) + "\n" for case in cases)
            post(f"{base}/v1/events", body.encode(), "application/x-ndjson")
            events += len(cases)
            for case in cases:
                if case["label"] == "fraud":
                    heapq.heappush(waiting, (case["label_at"], case["transaction"]["id"]))
            print(f"\r{day}: {events} events, {labels} labels", end="", flush=True)
    text = (folder / "screen.ndjson").read_text(encoding="utf-8")
    cases = [json.loads(line) for line in text.splitlines()]
    labels += send_labels(base, waiting, cases[0]["transaction"]["timestamp"])
    started = time.monotonic()
    answer = post(f"{base}/v1/screen/batch", text.encode(), "application/x-ndjson")
    took = time.monotonic() - started
    decisions = [json.loads(line) for line in answer.splitlines()]
    errors = [d for d in decisions if "outcome" not in d]
    held = [d for d in decisions if d.get("outcome", "approve") != "approve"]
    frauds = {c["transaction"]["id"] for c in cases if c["label"] == "fraud"}
    caught = sum(d["transaction_id"] in frauds for d in held)
    print(f"\n{labels} labels sent; {len(decisions)} screened in {took:.1f} s, {len(errors)} errors")
    print(f"held {len(held)}, of them {caught} of the day's {len(frauds)} frauds")
    if errors or len(decisions) != len(cases):
        sys.exit(f"expected {len(cases)} decisions; first error: {errors[:1]}")


if __name__ == "__main__":
    main()
