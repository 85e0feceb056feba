"""Reads and writes the access control lists of a Kafka cluster."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.errors import KafkaConnectionError, for_code
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest

from schemas.settings import KafkaSettings
from stream.access import why_refused
from stream.acls import Operation, Pattern, Resource, Right
from stream.broker import make_client

_ANY = 1
_ALLOW = 3


async def apply_rights(kafka: KafkaSettings, user: str, wanted: Collection[Right]) -> tuple[set[Right], set[Right]]:
    """Let a user have exactly these rights: grant what is missing, take back what is more.

    Only what is allowed by name is looked at; a rule for everyone, or one
    that denies, is somebody else's business.

    Parameters
    ----------
    kafka : KafkaSettings
        Where, as a user who may alter access control lists.
    user : str
        The user, without ``User:``.
    wanted : collection of Right
        All that it may do.

    Returns
    -------
    granted, revoked : set of Right
        What this call changed.

    Raises
    ------
    KafkaError
        If the cluster refuses.
    """
    async with _client(kafka) as client:
        found = await _describe(client, user)
        granted, revoked = set(wanted) - found, found - set(wanted)
        # Granted first: a service that runs meanwhile never lacks what it needs.
        for right in sorted(granted):
            answer = await _send(client, _request(CreateAclsRequest, user, right))
            for code, message in answer.creation_responses:
                _refuse(code, message)
        for right in sorted(revoked):
            answer = await _send(client, _request(DeleteAclsRequest, user, right))
            for code, message, _matching in answer.filter_responses:
                _refuse(code, message)
    return granted, revoked


async def rights_of(kafka: KafkaSettings, user: str) -> set[Right]:
    """Return what a user is allowed by name."""
    async with _client(kafka) as client:
        return await _describe(client, user)


@asynccontextmanager
async def _client(kafka: KafkaSettings) -> AsyncIterator[Any]:
    client: Any = make_client(kafka)
    try:
        await client.bootstrap()
    except KafkaConnectionError as error:
        await client.close()
        raise (await why_refused(kafka)) or error from None
    try:
        yield client
    finally:
        await client.close()


async def _describe(client: Any, user: str) -> set[Right]:
    build: Any = DescribeAclsRequest  # published without precise types
    answer = await _send(client, build(_ANY, None, _ANY, f"User:{user}", None, _ANY, _ALLOW))
    _refuse(answer.error_code, answer.error_message)
    return {
        Right(Resource(kind), name, Pattern(pattern), Operation(operation), host)
        for kind, name, pattern, rules in answer.resources
        for _principal, host, operation, _permission in rules
    }


def _request(kind: Any, user: str, right: Right) -> Any:
    return kind(right.resource, right.name, right.pattern, f"User:{user}", right.host, right.operation, _ALLOW)


async def _send(client: Any, request: Any) -> Any:
    # Any broker hands it on to the controller.
    return await client.send(client.get_random_node(), request)


def _refuse(code: int, message: str | None) -> None:
    if code:
        error: Any = for_code(code)
        raise error(message)
