"""Who may do what in Kafka: one table of roles, and the rights that follow from it.

A role has what its work needs and nothing else. Where there are users, only
the operator creates topics: what a service uses must exist when it starts.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum

from schemas.settings import KafkaSettings
from schemas.topics import (
    ALERTS,
    DEAD_LETTERS,
    FRAMES,
    INSPECTORS,
    JUDGEMENTS,
    LABELS,
    MODEL_RELEASES,
    RECALLS,
    REVIEW_REQUESTS,
    TOPICS,
    WELD_PASSES,
    WELD_STATES,
    Topic,
)


class Resource(IntEnum):
    """What a right is about, numbered as in Kafka's protocol."""

    TOPIC = 2
    GROUP = 3
    CLUSTER = 4
    TRANSACTIONAL_ID = 5
    DELEGATION_TOKEN = 6
    USER = 7


class Pattern(IntEnum):
    """Whether a name is meant as it is, or everything that begins with it."""

    LITERAL = 3
    PREFIXED = 4


class Operation(IntEnum):
    """What is allowed, all that Kafka knows; reading and writing include describing."""

    ALL = 2
    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    CLUSTER_ACTION = 9
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11
    IDEMPOTENT_WRITE = 12
    CREATE_TOKENS = 13
    DESCRIBE_TOKENS = 14
    TWO_PHASE_COMMIT = 15


ANYWHERE = "*"


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One permission of one user, from any host unless it names one."""

    resource: Resource
    name: str
    pattern: Pattern
    operation: Operation
    host: str = ANYWHERE


@dataclass(frozen=True, slots=True)
class Role:
    """What one kind of client does.

    Attributes
    ----------
    name : str
        Also the name of its Kafka user, unless the deployment chooses another.
    description : str
        For people.
    reads, writes : tuple of Topic
        Topics that it reads from and writes to.
    group : str
        Its consumer group; empty where it has none.
    group_pattern : Pattern
        Whether ``group`` is the group or the beginning of several.
    transactional : bool
        Whether it writes in transactions, under ids that begin with its group and a dot.
    creates : bool
        Whether it may create topics of this deployment, and compare their settings with the table.
    """

    name: str
    description: str
    reads: tuple[Topic, ...] = ()
    writes: tuple[Topic, ...] = ()
    group: str = ""
    group_pattern: Pattern = Pattern.LITERAL
    transactional: bool = False
    creates: bool = False

    @property
    def topics(self) -> tuple[Topic, ...]:
        """Every topic that it touches, once."""
        return tuple(dict.fromkeys((*self.reads, *self.writes)))


ACQUISITION = Role("acquisition", "Publishes scan frames.", writes=(FRAMES,))
INFERENCE = Role(
    "inference",
    "Judges frames, each batch in one transaction.",
    reads=(FRAMES, WELD_STATES, MODEL_RELEASES),
    writes=(JUDGEMENTS, WELD_STATES, WELD_PASSES, ALERTS, REVIEW_REQUESTS, DEAD_LETTERS),
    group="weldstream-inference",
    transactional=True,
)
LEARNER = Role(
    "learner",
    "Learns labels and announces releases.",
    reads=(LABELS, INSPECTORS),
    writes=(MODEL_RELEASES, INSPECTORS, DEAD_LETTERS),
    group="weldstream-learner",
)
RECALLER = Role(
    "recaller",
    "Judges again what versions judged that were taken back.",
    # Of a weld in progress more judgements may come; a request that fits no record becomes a dead letter.
    reads=(MODEL_RELEASES, JUDGEMENTS, WELD_STATES, FRAMES, RECALLS),
    writes=(RECALLS, REVIEW_REQUESTS, DEAD_LETTERS),
    group="weldstream-recaller",
    transactional=True,
)
INSPECTOR = Role(
    "inspector",
    "Answers review requests with labels.",
    reads=(REVIEW_REQUESTS,),
    writes=(LABELS,),
    group="weldstream-inspectors",
    group_pattern=Pattern.PREFIXED,
)
SUBSCRIBER = Role(
    "subscriber",
    "Reads what was found.",
    reads=(ALERTS, JUDGEMENTS),
    group="weldstream-subscribers",
    group_pattern=Pattern.PREFIXED,
)
OPERATOR = Role(
    "operator",
    "Runs the command line: topics, models, inspectors, deadletters, verify, ledger, recall.",
    reads=(FRAMES, JUDGEMENTS, WELD_STATES, WELD_PASSES, INSPECTORS, RECALLS, DEAD_LETTERS),
    # Requeueing writes to where a record came from; a request of it is a frame, a label or a release.
    writes=(FRAMES, LABELS, MODEL_RELEASES, INSPECTORS, RECALLS, REVIEW_REQUESTS, DEAD_LETTERS),
    group="weldstream-operator",
    transactional=True,
    creates=True,
)

ROLES = (ACQUISITION, INFERENCE, LEARNER, RECALLER, INSPECTOR, SUBSCRIBER, OPERATOR)


def inference_role(*, group: str, suffix: str = "") -> Role:
    """Return what an inference process needs: a champion's role, or that of a shadow, which has topics of its own.

    Parameters
    ----------
    group : str
        The consumer group that it really uses.
    suffix : str
        What a shadow puts after the names of its topics; empty for a champion.
    """
    if not suffix:
        return replace(INFERENCE, group=group)
    own = (replace(topic, name=topic.name + suffix) for topic in (JUDGEMENTS, WELD_STATES, WELD_PASSES))
    judgements, states, passes = own
    return replace(
        INFERENCE,
        name=f"inference{suffix}",
        description="Judges frames beside the champion, and tells nobody.",
        reads=(FRAMES, states, MODEL_RELEASES),
        writes=(judgements, states, passes, DEAD_LETTERS),
        group=group,
    )


def topics_to_ensure(role: Role, kafka: KafkaSettings) -> tuple[Topic, ...]:
    """Return the topics that a process of this role creates or, where it may not, finds when it starts.

    Without users whoever comes first creates them all, so that nobody has to
    wait for another's start; a user sees only what is its own.
    """
    return role.topics if kafka.sasl_username else tuple(dict.fromkeys((*TOPICS, *role.topics)))


def rights(role: Role, kafka: KafkaSettings) -> tuple[Right, ...]:
    """Return the rights of a role in a deployment, sorted."""
    return tuple(sorted(_rights(role, kafka)))


def _rights(role: Role, kafka: KafkaSettings) -> Iterator[Right]:
    for topic in role.reads:
        yield Right(Resource.TOPIC, kafka.topic(topic), Pattern.LITERAL, Operation.READ)
    for topic in role.writes:
        yield Right(Resource.TOPIC, kafka.topic(topic), Pattern.LITERAL, Operation.WRITE)
    if role.creates:
        # A shadow's topics are not in the table: all that begin with the deployment's prefix.
        all_of_them = (kafka.topic_prefix, Pattern.PREFIXED) if kafka.topic_prefix else ("*", Pattern.LITERAL)
        for operation in (Operation.CREATE, Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS):
            yield Right(Resource.TOPIC, *all_of_them, operation)
    if role.group:
        yield Right(Resource.GROUP, role.group, role.group_pattern, Operation.READ)
    if role.transactional:
        yield Right(Resource.TRANSACTIONAL_ID, f"{role.group}.", Pattern.PREFIXED, Operation.WRITE)


def kafka_acls_line(user: str, right: Right) -> str:
    """Return the arguments of Kafka's own ``kafka-acls.sh`` that grant a right."""
    option = f"--{right.resource.name.lower().replace('_', '-')}"
    operation = right.operation.name.title().replace("_", "")
    return (
        f"--add --allow-principal User:{user} --operation {operation} {option} {right.name} "
        f"--resource-pattern-type {right.pattern.name.lower()}"
    )
