"""Celery's Redis transport with a worker that comes back after Redis was away.

Kombu's own forgets nothing that it could not acknowledge: a job that ends while Redis is away then counts as
unacknowledged for ever, and with a prefetch count of one the worker never asks for another message, nor notices that
its connection is lost (celery issues 8030, 8091). Here an acknowledgement that fails is forgotten: the record owns the
work, so a message that comes twice costs nothing.
"""

import logging
from typing import Any

from kombu.transport import redis, virtual

log = logging.getLogger(__name__)


class QoS(redis.QoS):  # type: ignore[misc]
    def ack(self, delivery_tag: Any) -> None:
        try:
            super().ack(delivery_tag)
        except self.channel.connection_errors as error:
            log.warning("a message could not be acknowledged, the broker is away: %s", error)
            virtual.QoS.ack(self, delivery_tag)


class Channel(redis.Channel):  # type: ignore[misc]
    QoS = QoS


class Transport(redis.Transport):  # type: ignore[misc]
    Channel = Channel
