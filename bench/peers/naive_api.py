"""The front door as most tutorials have it: FastAPI, a synchronous endpoint, `apply_async`."""

import os
from typing import Any

import uvicorn
from celery import Celery
from fastapi import FastAPI
from pydantic import BaseModel

celery = Celery("naive", broker=os.environ["REDIS"])
celery.conf.task_ignore_result = True
app = FastAPI()


class TaskRequest(BaseModel):
    """What a client sends."""

    type: str
    input: dict[str, Any]


@celery.task(name="naive.run")
def run(task_type: str, task_input: dict[str, Any]) -> None:
    """Never run here: only its submission is measured."""


@app.post("/tasks", status_code=202)
def submit(request: TaskRequest) -> dict[str, str]:
    """Enqueues."""
    return {"id": run.apply_async((request.type, request.input)).id}


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), access_log=False, log_level="warning")
