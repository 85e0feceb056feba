"""``weldstream acls``: who may do what in Kafka and in Redis."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated

import typer

from memory.stores.rights import redis_rule
from schemas.settings import KafkaSettings
from stream.acl_admin import apply_rights
from stream.acls import INFERENCE, LEARNER, ROLES, Pattern, Right, Role, inference_role, kafka_acls_line, rights
from stream.commands.settings import CommandSettings

app = typer.Typer(help="The least rights of each role, in Kafka and in Redis.", no_args_is_help=True)

Names = Annotated[list[str] | None, typer.Argument(help="Roles; default: all.", show_default=False)]
Users = Annotated[
    list[str] | None,
    typer.Option("--user", help="ROLE=USER where a role's Kafka user has another name.", show_default=False),
]
InferenceGroup = Annotated[str, typer.Option(help="Inference's WELDSTREAM_SERVING__GROUP_ID.")]
LearnerGroup = Annotated[str, typer.Option(help="The learner's WELDSTREAM_INTAKE__GROUP_ID.")]
Shadow = Annotated[
    str, typer.Option(help="Also the role of a shadow with this WELDSTREAM_SERVING__OUTPUT_SUFFIX.", show_default=False)
]


@app.command()
def show(
    *,
    roles: Names = None,
    user: Users = None,
    inference_group: InferenceGroup = INFERENCE.group,
    learner_group: LearnerGroup = LEARNER.group,
    shadow: Shadow = "",
    kafka_acls: Annotated[
        bool, typer.Option("--kafka-acls", help="As arguments of Kafka's own kafka-acls.sh, one line a right.")
    ] = False,
) -> None:
    """Show the rights of roles."""
    kafka = CommandSettings().kafka
    chosen, users = _chosen(roles, user, inference_group, learner_group, shadow)
    for role in chosen:
        for right in rights(role, kafka):
            typer.echo(kafka_acls_line(users[role.name], right) if kafka_acls else _line(users[role.name], role, right))


@app.command()
def apply(
    *,
    roles: Names = None,
    user: Users = None,
    inference_group: InferenceGroup = INFERENCE.group,
    learner_group: LearnerGroup = LEARNER.group,
    shadow: Shadow = "",
) -> None:
    """Give the roles' users exactly these rights: grant what is missing, take back what is more."""
    kafka = CommandSettings().kafka
    asyncio.run(_apply(kafka, *_chosen(roles, user, inference_group, learner_group, shadow)))


@app.command()
def redis(
    user: Annotated[str, typer.Option(help="The learner's user.")] = "learner",
    key_prefix: Annotated[str, typer.Option(help="Its WELDSTREAM_REDIS__KEY_PREFIX.")] = "weldstream:",
) -> None:
    """Print the line of Redis' ACL file for the learner; add its password to it as >PASSWORD or #SHA256."""
    typer.echo(redis_rule(user, key_prefix))


async def _apply(kafka: KafkaSettings, roles: list[Role], users: dict[str, str]) -> None:
    for role in roles:
        wanted = rights(role, kafka)
        granted, revoked = await apply_rights(kafka, users[role.name], wanted)
        typer.echo(
            f"{role.name:12} User:{users[role.name]}: {len(wanted)} rights, {len(granted)} granted now, "
            f"{len(revoked)} taken back"
        )


def _line(user: str, role: Role, right: Right) -> str:
    name = f"{right.name}*" if right.pattern is Pattern.PREFIXED else right.name
    operation, resource = (word.name.lower().replace("_", " ") for word in (right.operation, right.resource))
    return f"{role.name:12} User:{user:12} {operation:16} {resource:16} {name}"


def _chosen(
    names: list[str] | None, user: list[str] | None, inference_group: str, learner_group: str, suffix: str
) -> tuple[list[Role], dict[str, str]]:
    """Return the roles asked for, and the user of every role there is."""
    groups = {INFERENCE.name: inference_group, LEARNER.name: learner_group}
    known = {role.name: replace(role, group=groups.get(role.name, role.group)) for role in ROLES}
    if suffix:
        shadow = inference_role(group=f"{inference_group}{suffix}", suffix=suffix)
        known[shadow.name] = shadow
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise typer.BadParameter(f"no role is named {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names or known], _users(user, known)


def _users(given: list[str] | None, known: Iterable[str]) -> dict[str, str]:
    users = {role: role for role in known}
    for pair in given or ():
        role, _, user = pair.partition("=")
        if not user or role not in users:
            raise typer.BadParameter(f"--user {pair} is not ROLE=USER with a role of {', '.join(users)}")
        users[role] = user
    if len(set(users.values())) < len(users):
        # Applying one role would take back what the other needs.
        raise typer.BadParameter("each role needs a user of its own")
    return users
