"""Hosts with all that they share: a database, a broker and a bucket, which each can be stopped and started again."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.storage.engine import open_engine
from app.storage.ports import Records
from app.storage.sql import SqlRecords
from tests.support.hosts import KEY, Host, Network, network
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.redis import RedisServer, redis_server
from tests.support.s3 import BUCKET, S3Server, s3_server
from winnow.client import Client


@dataclass
class Cluster:
    """`records` are the database's, as this machine reaches them; `variables` go into the hosts' environment."""

    network: Network
    postgres: PostgresServer
    redis: RedisServer
    s3: S3Server
    records: Records
    folder: Path
    variables: dict[str, str]
    hosts: list[Host] = field(default_factory=list)

    def add(self, core: int) -> Host:
        """A new host, which is up when all are waited for."""
        own = {
            "WINNOW_DATABASE_URL": self.postgres.url,
            "WINNOW_BROKER_URL": self.redis.url,
            "WINNOW_BLOBS_URL": f"s3://{BUCKET}/bench",
            "WINNOW_QUIET_WAIT_SECONDS": "0",  # the hosts are each other's neighbours
        }
        self.hosts.append(Host(self.network, self.folder, core, own | self.s3.environment | self.variables))
        return self.hosts[-1]

    def lose(self, host: Host) -> None:
        self.hosts.remove(host)
        host.kill()

    def wait_until_up(self) -> None:
        for host in self.hosts:
            host.wait_until_up()

    def client(self, host: Host, patience: float = 60.0) -> Client:
        return Client(host.url, key=KEY, patience=patience)


@contextmanager
def cluster(folder: Path, cores: list[int], **variables: Any) -> Iterator[Cluster]:
    """A host for each of `cores`, all up; at the end all are killed."""
    with ExitStack() as stack:
        net = stack.enter_context(network())
        postgres = stack.enter_context(postgres_server(net.address, net.addresses))
        redis = stack.enter_context(redis_server("--appendonly", "yes", "--save", "", address=net.address))
        s3 = stack.enter_context(s3_server(net.address))
        engine = open_engine(postgres.url)
        stack.callback(engine.dispose)
        settings = {name: str(value) for name, value in variables.items()}
        made = Cluster(net, postgres, redis, s3, SqlRecords(engine), folder, settings)
        stack.callback(lambda: [host.kill() for host in made.hosts])
        for core in cores:
            made.add(core)
            made.hosts[-1].wait_until_up()  # the first makes the tables
        yield made
