"""mosec with one process a core and small batches.

PACKAGE names the model, PROCESSES, BATCH and WAIT_MS are mosec's own settings.
"""

import os

import orjson
from model import Model
from mosec import Server, Worker


class Scorer(Worker):
    def __init__(self) -> None:
        super().__init__()
        self.model = Model(os.environ["PACKAGE"])

    def deserialize(self, data: bytes) -> str:
        return orjson.loads(data)["text"]

    def serialize(self, data: float) -> bytes:
        return orjson.dumps({"score": data})

    def forward(self, data):
        if isinstance(data, list):
            return self.model.scores(data)
        return self.model.scores([data])[0]


if __name__ == "__main__":
    server = Server()
    server.append_worker(
        Scorer,
        num=int(os.environ["PROCESSES"]),
        max_batch_size=int(os.environ["BATCH"]),
        max_wait_time=int(os.environ["WAIT_MS"]),
    )
    server.run()
