"""The limit of the front door: a bare ASGI application that reads the body and makes one round trip to Redis, which
writes a row and rings a queue. It checks nothing, knows no tenants, and gives no guarantee."""

import os
import uuid
from typing import Any

import redis.asyncio as redis
import uvicorn

client = redis.Redis.from_pool(redis.BlockingConnectionPool.from_url(os.environ["REDIS"], max_connections=64))


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """One POST."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    task_id = str(uuid.uuid4())
    async with client.pipeline(transaction=False) as pipe:
        pipe.hset(f"task:{task_id}", mapping={"id": task_id, "state": "queued", "input": body})
        pipe.lpush("queue", task_id)
        await pipe.execute()
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"id":"' + task_id.encode() + b'"}'})


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), access_log=False, log_level="warning", lifespan="off")
