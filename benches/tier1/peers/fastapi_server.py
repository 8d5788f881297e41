"""The server that most teams write: FastAPI and ONNX Runtime, tuned.

PACKAGE names the model, SESSIONS how many threads of one session each a process has.
"""

import asyncio
import os
import queue
from concurrent.futures import ThreadPoolExecutor

import orjson
from fastapi import FastAPI, Request, Response
from model import Model

SESSIONS = int(os.environ["SESSIONS"])

app = FastAPI()
idle: queue.SimpleQueue = queue.SimpleQueue()
for _ in range(SESSIONS):
    idle.put(Model(os.environ["PACKAGE"]))
pool = ThreadPoolExecutor(SESSIONS)


def score(text: str) -> float:
    model = idle.get()
    try:
        return model.scores([text])[0]
    finally:
        idle.put(model)


@app.get("/")
async def ready() -> Response:
    return Response(b"ready")


# The body is read and written with orjson alone: validation would only make the peer slower.
@app.post("/inference")
async def inference(request: Request) -> Response:
    text = orjson.loads(await request.body())["text"]
    value = await asyncio.get_running_loop().run_in_executor(pool, score, text)
    return Response(orjson.dumps({"score": value}), media_type="application/json")
