"""What Redis' errors mean; that a real server says these is shown in tests/integration."""

import ssl

import pytest
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    OutOfMemoryError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from memory.stores.base import MemoryExhaustedError
from memory.stores.redis import answering, open_redis
from schemas.errors import AccessRefusedError, ServiceUnavailableError
from schemas.settings import RedisSettings

IN_A_SCRIPT = "The user executing the script can't run this command or subcommand script: f00, on @user_script:1."


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (AuthenticationError("WRONGPASS"), AccessRefusedError),
        (NoPermissionError("this user has no permissions to run the 'keys' command"), AccessRefusedError),
        (ResponseError(IN_A_SCRIPT), AccessRefusedError),
        (OutOfMemoryError("command not allowed"), MemoryExhaustedError),
        (ResponseError("OOM command not allowed script: f00"), MemoryExhaustedError),
        (RedisConnectionError("Error 111"), ServiceUnavailableError),
        (OSError("gone"), ServiceUnavailableError),
        (RedisError("anything else"), ServiceUnavailableError),
    ],
    ids=str,
)
def test_errors_say_who_must_act(raised: Exception, expected: type[Exception]) -> None:
    with pytest.raises(expected) as caught, answering():
        raise raised
    assert type(caught.value) is expected
    assert caught.value.__cause__ is raised


def test_a_refused_certificate_is_found_behind_the_clients_error() -> None:
    refused = ssl.SSLCertVerificationError(1, "certificate verify failed")
    refused.verify_message = "self-signed certificate"  # which the ssl module adds

    def connect() -> None:
        try:
            raise refused
        except OSError as error:
            raise RedisConnectionError("Error 1 connecting") from error

    with pytest.raises(AccessRefusedError, match="certificate of Redis is refused: self-signed"), answering():
        connect()


def test_a_bug_stays_a_bug() -> None:
    with pytest.raises(ResponseError, match="unknown command"), answering():
        raise ResponseError("unknown command")


def test_encrypted_connections_verify_the_host_name() -> None:
    settings = RedisSettings(url="rediss://redis.example:6379/0", username="u", password="p", ca_file="/ca.pem")
    given = open_redis(settings).connection_pool.connection_kwargs
    assert (given["ssl_cert_reqs"], given["ssl_check_hostname"], given["ssl_ca_certs"]) == ("required", True, "/ca.pem")
    assert (given["username"], given["password"]) == ("u", "p")


def test_plain_connections_know_no_certificates() -> None:
    given = open_redis(RedisSettings()).connection_pool.connection_kwargs
    assert not any(name.startswith("ssl") for name in given)
    assert "password" not in given
