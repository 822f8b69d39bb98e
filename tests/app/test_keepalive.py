"""Both ends of a connection soon notice that nobody is at the other any more: as the sockets themselves have it."""

import os
import socket
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Engine

from app.keepalive import IDLE_SECONDS, OF_POSTGRESQL, OF_SOCKETS
from app.queue import celery_application
from app.settings import Settings
from app.storage.engine import open_engine
from tests.support.postgres import postgres_server
from tests.support.redis import redis_server

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def database() -> Iterator[Engine]:
    with postgres_server("127.0.0.1") as server:
        engine = open_engine(server.url)
        yield engine
        engine.dispose()


def watched(connection: socket.socket) -> bool:
    options = {name: connection.getsockopt(socket.IPPROTO_TCP, name) for name in OF_SOCKETS}
    return bool(connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)) and options == OF_SOCKETS


def test_a_connection_to_the_database_is_watched_at_both_ends(database: Engine) -> None:
    with database.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        with socket.socket(fileno=os.dup(driver.fileno())) as ours:
            assert watched(ours)
        theirs = {name: connection.exec_driver_sql(f"SHOW {name}").scalar() for name in OF_POSTGRESQL}
    assert theirs["tcp_keepalives_idle"] == str(IDLE_SECONDS)
    assert "0" not in theirs.values()


def test_what_is_set_at_the_servers_end_outlasts_a_transaction_that_fails(database: Engine) -> None:
    with database.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        connection.rollback()
        assert connection.exec_driver_sql("SHOW tcp_keepalives_idle").scalar() == str(IDLE_SECONDS)


def test_a_connection_to_the_broker_is_watched() -> None:
    with redis_server() as redis:
        celery = celery_application(Settings(broker_url=redis.url))
        with celery.connection() as connection:
            client = connection.default_channel.client
            client.ping()
            (made,) = client.connection_pool._available_connections
            assert watched(made._sock)
