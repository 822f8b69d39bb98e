import pytest
import redis

from tests.support.redis import redis_server

pytestmark = pytest.mark.integration


def test_a_killed_server_without_files_comes_back_empty_at_the_same_address() -> None:
    with redis_server() as server:
        redis.Redis.from_url(server.url).set("key", "value")
        server.kill()
        with pytest.raises(redis.ConnectionError):
            redis.Redis.from_url(server.url).ping()
        server.restart()
        assert redis.Redis.from_url(server.url).get("key") is None


def test_a_killed_server_with_an_append_only_file_still_knows() -> None:
    with redis_server("--appendonly", "yes", "--appendfsync", "always") as server:
        redis.Redis.from_url(server.url).set("key", "value")
        server.restart()
        assert redis.Redis.from_url(server.url).get("key") == b"value"
