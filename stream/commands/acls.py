"""``weldstream acls``: who may do what in Kafka and in Redis."""

import asyncio
from dataclasses import replace
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from memory.stores.rights import redis_rule
from schemas.errors import PrerequisiteError
from schemas.settings import KafkaSettings
from stream.acl_admin import apply_rights
from stream.acls import INFERENCE, LEARNER, ROLES, Pattern, Role, inference_role, kafka_acls_line, rights
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
    chosen = _chosen(roles, inference_group, learner_group, shadow)
    users = _users(user, chosen)
    if kafka_acls:
        for role in chosen:
            for right in rights(role, kafka):
                typer.echo(kafka_acls_line(users[role.name], right))
        return
    table = Table("role", "user", "resource", "name", "operation")
    for role in chosen:
        for right in rights(role, kafka):
            name = f"{right.name}*" if right.pattern is Pattern.PREFIXED else right.name
            resource, operation = (word.name.lower().replace("_", " ") for word in (right.resource, right.operation))
            table.add_row(role.name, users[role.name], resource, name, operation)
    Console().print(table)


@app.command()
def apply(
    roles: Names = None,
    user: Users = None,
    inference_group: InferenceGroup = INFERENCE.group,
    learner_group: LearnerGroup = LEARNER.group,
    shadow: Shadow = "",
) -> None:
    """Give the roles' users exactly these rights: grant what is missing, take back what is more."""
    kafka = CommandSettings().kafka
    chosen = _chosen(roles, inference_group, learner_group, shadow)
    asyncio.run(_apply(kafka, chosen, _users(user, chosen)))


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


def _chosen(names: list[str] | None, inference_group: str, learner_group: str, suffix: str) -> list[Role]:
    groups = {INFERENCE.name: inference_group, LEARNER.name: learner_group}
    known = {role.name: replace(role, group=groups.get(role.name, role.group)) for role in ROLES}
    if suffix:
        shadow = inference_role(group=f"{inference_group}{suffix}", suffix=suffix)
        known[shadow.name] = shadow
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise typer.BadParameter(f"no role is named {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names or known]


def _users(given: list[str] | None, roles: list[Role]) -> dict[str, str]:
    users = {role.name: role.name for role in roles}
    for pair in given or ():
        role, separator, user = pair.partition("=")
        if not separator or not user or role not in users:
            raise typer.BadParameter(f"--user {pair} is not ROLE=USER with a role of {', '.join(users)}")
        users[role] = user
    if len(set(users.values())) < len(users):
        # Applying one role would take back what the other needs.
        raise PrerequisiteError("each role needs a user of its own")
    return users
