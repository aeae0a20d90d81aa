"""kombu's Redis transport, taking several messages in one round trip: BLMPOP where kombu sends BRPOP.

Behind the event loop of a worker kombu asks for one message, hands it on, and asks again: a round trip and a turn of
the loop for each. The rest is kombu's: queues, their order, health checks, reconnects, Sentinel.
"""

import logging
import time
from collections.abc import Sequence
from queue import Empty
from typing import Any

import orjson
from celery.app.amqp import AMQP
from celery.worker import state
from kombu.connection import Connection
from kombu.transport import redis as kombu_redis
from kombu.transport import virtual
from kombu.utils.json import dumps

logger = logging.getLogger(__name__)

MOST = 16
"""Messages that one worker takes at a time: enough to make the round trip cheap, and few enough to leave some to
others, and to the other types of its own queues."""


class RingMessage(virtual.Message):
    """A message whose arguments orjson reads. kombu's reader looks for values of its own, such as times, with a call of
    Python for each object; a ring has none."""

    def __init__(self, payload: dict[str, Any], channel: Any = None, **options: Any) -> None:
        """Sets what kombu sets, at once where there is nothing to decode or to decompress."""
        properties, headers = payload["properties"], payload.get("headers")
        if options or not headers or "compression" in headers or properties.get("body_encoding") != "utf-8":
            super().__init__(payload, channel=channel, **options)  # type: ignore[no-untyped-call]  # see below
            return
        self._raw, self.channel, self.errors = payload, channel, []
        self.body, self.headers, self.properties = payload.get("body"), headers, properties
        self.content_type, self.content_encoding = payload.get("content-type"), payload.get("content-encoding")
        self.delivery_tag, self.delivery_info = properties["delivery_tag"], properties.get("delivery_info") or {}
        self.accept, self._state, self._decoded_cache = None, "RECEIVED", None

    def _decode(self) -> Any:
        if "task" in self.headers and self.content_type == "application/json":
            try:
                return orjson.loads(self.body)
            except orjson.JSONDecodeError:
                pass  # kombu says what is wrong, in its own way
        return super()._decode()  # type: ignore[no-untyped-call]  # see above


class _ManyAtOnce:
    """For a channel. It takes as many messages as the worker has free slots, so that none waits inside the worker, and
    never more than `MOST`.

    kombu's names speak of BRPOP: its poller calls `_brpop_start` and, when the answer is there, `_brpop_read`.
    `receivers` is how many heard what was broadcast last, as the server counts them.
    """

    Message = RingMessage
    receivers = 0

    def _brpop_start(self: Any, timeout: float | None = None) -> None:
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        keys = [self._q_for_pri(queue, step) for step in self.priority_steps for queue in queues]
        wait_s = self.brpop_timeout if timeout is None else timeout
        connection = self.client.connection
        self._in_poll = connection
        self._brpop_sent_at = time.monotonic()
        connection.send_command("BLMPOP", wait_s or 0, len(keys), *keys, "RIGHT", "COUNT", self._free())

    def _brpop_read(self: Any, **options: Any) -> bool:
        try:
            answer = self._answer(options)
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()
        if not answer:
            raise Empty
        key, messages = answer
        queue = key.decode().rsplit(self.sep, 1)[0]
        self._queue_cycle.rotate(queue)
        self._hand_on(messages, queue)
        return True

    def _answer(self: Any, options: dict[str, Any]) -> Any:
        try:
            return self.client.parse_response(self.client.connection, "BLMPOP", **options)
        except self.connection_errors:
            self.client.connection.disconnect()  # the next turn connects again
            raise

    def _hand_on(self: Any, messages: Sequence[bytes], queue: str) -> None:
        """Each of them, also when one raises. What a worker took while it stops goes back as it is, to where it was:
        kombu would put it back in a form that no worker can read."""
        if queue not in self.connection._callbacks:
            with self.conn_or_acquire() as client:
                client.rpush(queue, *reversed(messages))
            return
        failure = None
        for message in messages:
            try:
                self.connection._deliver(orjson.loads(message), queue)
            except orjson.JSONDecodeError:  # raised out of the loop, it would stop the worker
                logger.error("dropped a message in %s that is no JSON", queue)
            except Exception as error:
                failure = error
        if failure is not None:
            raise failure

    def _put_fanout(self: Any, exchange: str, message: Any, routing_key: str, **_: Any) -> None:
        with self.conn_or_acquire() as client:
            topics, payload = self._get_publish_topics(exchange, routing_key), dumps(message)  # type: ignore[no-untyped-call]  # see above
            self.receivers = sum(client.publish(topic, payload) for topic in topics)

    def _free(self: Any) -> int:
        slots: int = self.qos.prefetch_count  # with the multiplier 1 it is the pool's size
        return max(1, min(MOST, slots - len(state.reserved_requests)))


class DoorbellChannel(_ManyAtOnce, kombu_redis.Channel):  # type: ignore[misc]  # kombu types a part of itself
    """On one server."""


class SentinelDoorbellChannel(_ManyAtOnce, kombu_redis.SentinelChannel):  # type: ignore[misc]  # see above
    """On the master that the Sentinels name."""


class Doorbell(kombu_redis.Transport):
    """For `redis://` addresses."""

    Channel = DoorbellChannel


class SentinelDoorbell(kombu_redis.SentinelTransport):
    """For several `sentinel://` addresses."""

    Channel = SentinelDoorbellChannel


class DoorbellConnection(Connection):
    """A connection that keeps kombu's names for its transports: they stand in the broker's URL and in logs."""

    def get_transport_cls(self) -> type[kombu_redis.Transport]:
        """The transport for the URL's scheme."""
        usual = super().get_transport_cls()  # type: ignore[no-untyped-call]  # kombu is typed in part
        return SentinelDoorbell if issubclass(usual, kombu_redis.SentinelTransport) else Doorbell


class DoorbellAMQP(AMQP):  # type: ignore[misc]  # celery ships no types
    """What an application makes its connections with."""

    Connection = DoorbellConnection
