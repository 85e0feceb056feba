import importlib.util
import json
import re
import shutil
from pathlib import Path
from types import ModuleType

import jsonschema
import pytest

from schemas.settings import KafkaSettings, ProcessSettings
from schemas.topics import DRIFT_ALARMS, FRAMES, TOPICS
from stream.codec import encode_event, encode_frame
from stream.docs import asyncapi, payload_schema, settings_table, wire_documents
from tests.unit.stream.codec.test_events import ALARM
from tests.unit.stream.samples import TIME, make_frame, speckle

ROOT = Path(__file__).resolve().parents[3]


def load_generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def headers_of(name: str) -> dict[str, object]:
    return next(iter(asyncapi()["channels"][name]["messages"].values()))["headers"]


def test_every_schema_is_one() -> None:
    for topic in TOPICS:
        if topic.payload is not None:
            jsonschema.Draft202012Validator.check_schema(payload_schema(topic))


def test_what_we_send_is_valid_under_its_schema() -> None:
    record = encode_event("t", DRIFT_ALARMS, ALARM, key="d", event_id="e", source="s", time=TIME)
    jsonschema.validate(json.loads(record.value or b""), payload_schema(DRIFT_ALARMS))
    jsonschema.validate({k: (v or b"").decode() for k, v in record.headers}, headers_of("drift-alarms"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"detector": "x"}, payload_schema(DRIFT_ALARMS))


@pytest.mark.parametrize("media_type", ["image/png", "application/octet-stream"])
def test_frame_headers_are_documented_and_complete(media_type: str) -> None:
    record = encode_frame(make_frame(), speckle(), topic="t", source="s", media_type=media_type)
    sent = {name: (value or b"").decode() for name, value in record.headers}
    documented = headers_of("frames")
    jsonschema.validate(sent, documented)
    assert set(sent) <= set(documented["properties"])
    for name in documented["required"]:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({k: v for k, v in sent.items() if k != name}, documented)


def test_attribute_names_are_what_cloudevents_allows() -> None:
    for topic in TOPICS:
        for name in headers_of(topic.name)["properties"]:
            assert name == "content-type" or re.fullmatch(r"(ce|wsdl)_[a-z0-9]{1,20}", name)


def test_the_asyncapi_document_refers_to_what_exists() -> None:
    document = asyncapi()
    assert document["asyncapi"] == "3.0.0"
    assert set(document["channels"]) == {topic.name for topic in TOPICS}
    assert document["channels"]["frames"]["bindings"]["kafka"]["partitions"] == FRAMES.partitions
    written = wire_documents()
    references = re.findall(r'"\$ref": "([^#"][^"]*)"', json.dumps(document))
    assert len(references) == len(TOPICS) - 2
    assert set(references) <= set(written)
    for operation in document["operations"].values():
        assert operation["channel"]["$ref"].removeprefix("#/channels/") in document["channels"]


def test_the_table_names_every_setting() -> None:
    class Settings(ProcessSettings):
        kafka: KafkaSettings = KafkaSettings()

    table = settings_table([Settings, Settings])
    assert table.count("`WELDSTREAM_KAFKA__BOOTSTRAP_SERVERS` | `127.0.0.1:9092`") == 1
    assert len(table.splitlines()) == 2 + len(ProcessSettings.model_fields) + len(KafkaSettings.model_fields)


def test_documents_are_current() -> None:
    """Fails where the wire format or a setting changed and ``python docs/generate.py`` was not run."""
    assert load_generate().stale(ROOT) == []


def test_stale_documents_are_found(tmp_path: Path) -> None:
    generate = load_generate()
    shutil.copytree(ROOT / "benchmarks" / "results", tmp_path / "benchmarks" / "results")
    wanted = generate.documents(tmp_path)
    assert len(generate.stale(tmp_path)) == len(wanted)
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert generate.stale(tmp_path) == []
    (tmp_path / "docs" / "schemas" / "gone.json").write_text("{}")
    (tmp_path / "docs" / "asyncapi.json").write_text("{}")
    assert [path.name for path in generate.stale(tmp_path)] == ["gone.json", "asyncapi.json"]
