"""What other programs need to know of the wire format, generated from the code that reads it."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined, to_jsonable_python
from pydantic_settings import BaseSettings

from schemas.frames import View
from schemas.rasters import Dtype, MediaType
from schemas.settings import ENV_PREFIX, KafkaSettings
from schemas.topics import DEAD_LETTERS, FRAMES, TOPICS, Topic
from stream.codec.cloudevents import CONTENT_TYPE, JSON, REQUIRED, SPEC_VERSION
from stream.codec.frames import DOMAIN, DTYPE, FIELDS, SHAPE, SUBJECT
from stream.dead_letters import ADDED, ATTEMPTS, EMPTY, FAILED_AT, MESSAGE, OFFSET, PARTITION, REASON, TOPIC
from stream.topics import topic_configs

JsonObject = dict[str, Any]

_FRAME_HEADERS: dict[str, str] = {
    "ce_id": "Frame id, unique for ever.",
    "ce_time": "When it was acquired, RFC 3339 with a time zone.",
    SUBJECT: "Weld id; may be left out where it is the key.",
    "ce_positionmm": "Position along the weld in mm.",
    "ce_rowmm": "Distance of rows in mm.",
    "ce_columnmm": "Distance of columns in mm.",
    "ce_view": "Layout of the image.",
    "ce_probemodel": "Manufacturer's designation of the array.",
    "ce_probemhz": "Its frequency in MHz.",
    "ce_probeelements": "Its number of elements.",
    "ce_procedure": "Inspection procedure.",
    "ce_material": "Material inspected.",
    "ce_gaindb": "Receiver gain in dB.",
    DOMAIN: "Task descriptor; derived from procedure, probe and material where it is left out.",
    DTYPE: "Sample type; mandatory for raw samples, which are little-endian in C order.",
    SHAPE: "rows,columns; mandatory for raw samples.",
}
_DEAD_LETTER_HEADERS: dict[str, str] = {
    TOPIC: "Full name of the original topic.",
    PARTITION: "Original partition.",
    OFFSET: "Original offset.",
    REASON: "Machine-readable reason.",
    MESSAGE: "Reason for people.",
    ATTEMPTS: "How often processing was tried.",
    FAILED_AT: "When it was given up, RFC 3339.",
    EMPTY: "true where the original had neither key nor value; else false.",
}
_VALUES: dict[str, tuple[str, ...]] = {
    "ce_view": tuple(View),
    DTYPE: get_args(Dtype),
    CONTENT_TYPE: (MediaType.PNG, MediaType.TIFF, MediaType.RAW),
}


def wire_documents() -> dict[str, str]:
    """Return the generated files: path inside ``docs`` to content."""
    documents = {f"schemas/{topic.name}.json": _dump(payload_schema(topic)) for topic in TOPICS if topic.payload}
    return documents | {"asyncapi.json": _dump(asyncapi())}


def payload_schema(topic: Topic) -> JsonObject:
    """Return the JSON Schema of a topic's payload; that of frames says what their headers make up."""
    assert topic.payload is not None
    schema = topic.payload.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": topic.event_type, **schema}


def asyncapi() -> JsonObject:
    """Return the AsyncAPI 3.0 document of all topics."""
    prefix = KafkaSettings().topic_prefix
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "weldstream",
            "version": "1",
            "description": "CloudEvents 1.0 in the Kafka protocol binding, binary content mode: "
            "attributes are headers named ce_*. "
            f"Topic names begin with the deployment's prefix, {prefix!r} by default.",
        },
        "defaultContentType": JSON,
        "channels": {topic.name: _channel(topic, prefix) for topic in TOPICS},
        "operations": {
            f"{action}-{topic.name}": {"action": action, "channel": {"$ref": f"#/channels/{topic.name}"}}
            for topic in TOPICS
            for action in _actions(topic)
        },
    }


def settings_table(classes: Iterable[type[BaseSettings]]) -> str:
    """Return a Markdown table of everything the settings classes read from the environment."""
    rows: dict[str, tuple[str, str]] = {}
    for settings in classes:
        for name, default, description in _variables(settings, ENV_PREFIX):
            rows.setdefault(name, (default, description))
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {default} | {description} |" for name, (default, description) in sorted(rows.items())]
    return "\n".join(lines)


def _variables(model: type[BaseModel], prefix: str) -> Iterable[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name}".upper()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _variables(field.annotation, f"{variable}__")
            continue
        default = field.get_default(call_default_factory=True, validated_data={})
        if default is PydanticUndefined:
            shown = "mandatory"
        elif default is None or default == "":
            shown = ""
        else:
            shown = f"`{_plain(default)}`".replace("|", "\\|")
        yield variable, shown, " ".join((field.description or "").split()).replace("|", "\\|")


def _plain(value: object) -> str:
    if hasattr(value, "get_secret_value"):
        return str(value.get_secret_value())
    # As the environment takes it: JSON where it is structured.
    plain = to_jsonable_python(value)
    return plain if isinstance(plain, str) else json.dumps(plain)


def _channel(topic: Topic, prefix: str) -> JsonObject:
    configs = topic_configs(topic)
    return {
        "address": f"{prefix}{topic.name}",
        "description": topic.description,
        "messages": {topic.event_type: _message(topic)},
        "bindings": {
            "kafka": {
                "partitions": topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": [configs["cleanup.policy"]],
                    "retention.ms": topic.retention_ms,
                    "max.message.bytes": topic.max_message_bytes,
                },
            }
        },
    }


def _message(topic: Topic) -> JsonObject:
    message: JsonObject = {
        "name": topic.event_type,
        "headers": _headers(topic),
        "bindings": {"kafka": {"key": {"type": "string", "description": topic.key}}},
    }
    if topic is FRAMES:
        message |= {"contentType": MediaType.PNG, "payload": {"type": "string", "format": "binary"}}
    elif topic.payload is None:
        message |= {"contentType": MediaType.RAW, "payload": {"type": "string", "format": "binary"}}
    else:
        message |= {"contentType": JSON, "payload": {"$ref": f"schemas/{topic.name}.json"}}
    return message


def _headers(topic: Topic) -> JsonObject:
    if topic is DEAD_LETTERS:
        # The original's own headers come first and may have any name.
        return _object(_DEAD_LETTER_HEADERS, ADDED)
    common = {
        "ce_specversion": "CloudEvents version.",
        "ce_type": "Event type; its last part is the version.",
        "ce_source": "URI reference of the instrument or program.",
        CONTENT_TYPE: "Encoding of the value.",
    }
    fixed = {"ce_specversion": (SPEC_VERSION,), "ce_type": (topic.event_type,)}
    if topic is FRAMES:
        required = tuple(dict.fromkeys((*REQUIRED, CONTENT_TYPE, *FIELDS.values())))
        return _object(common | _FRAME_HEADERS, required, _VALUES | fixed)
    events = {"ce_id": "Event id.", "ce_time": "When it happened, RFC 3339."}
    return _object(common | events, (*REQUIRED, CONTENT_TYPE), fixed | {CONTENT_TYPE: (JSON,)})


def _object(
    properties: Mapping[str, str], required: Iterable[str], values: Mapping[str, tuple[str, ...]] | None = None
) -> JsonObject:
    return {
        "type": "object",
        "required": list(required),
        "properties": {
            name: {"type": "string", "description": text}
            | ({"enum": [str(value) for value in values[name]]} if values and name in values else {})
            for name, text in properties.items()
        },
    }


def _actions(topic: Topic) -> tuple[Literal["send", "receive"], ...]:
    """Say what this application does with a topic: AsyncAPI 3 takes the application's view."""
    if topic is FRAMES:
        return ("receive",)
    return ("receive",) if topic.name == "labels" else ("send",)


def _dump(document: JsonObject) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
