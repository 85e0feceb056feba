"""compose.yaml and the Dockerfile say what the settings models and the repository hold."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from typer.testing import CliRunner

from inference.recall_settings import RecallerSettings
from inference.settings import InferenceSettings
from learner.settings import LearnerSettings
from memory.key_files import signer_of, verifier_of
from schemas.settings import ENV_PREFIX, ProcessSettings, RegistrySettings
from stream.cli import app
from stream.local.jars import DEPLOY_KAFKA, kafka_version

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
SETTINGS: dict[str, type[ProcessSettings]] = {
    "inference": InferenceSettings,
    "learner": LearnerSettings,
    "recaller": RecallerSettings,
}
OURS = sorted(SETTINGS)
ONCE = {"keys"}
"""Runs to its end before others start."""
IMAGES = sorted({"inference", "learner"})


def variables(service: str) -> dict[str, str]:
    environment: dict[str, str] = SERVICES[service].get("environment", {})
    return {name: value for name, value in environment.items() if name.startswith(ENV_PREFIX)}


def is_known(name: str, settings: type[BaseModel]) -> bool:
    model: Any = settings
    for part in name.removeprefix(ENV_PREFIX).lower().split("__"):
        if not (isinstance(model, type) and issubclass(model, BaseModel)) or part not in model.model_fields:
            return False
        model = model.model_fields[part].annotation
    return True


def test_unknown_names_are_told_from_known_ones() -> None:
    assert is_known("WELDSTREAM_KAFKA__BOOTSTRAP_SERVERS", InferenceSettings)
    assert not is_known("WELDSTREAM_KAFKA__BOOTSTRAP", InferenceSettings)
    assert not is_known("WELDSTREAM_KAFKAA__BOOTSTRAP_SERVERS", InferenceSettings)


@pytest.mark.parametrize("service", OURS)
def test_every_variable_is_one_that_somebody_reads(service: str) -> None:
    common = COMPOSE["x-common-env"]
    for name in variables(service):
        readers = SETTINGS.values() if name in common else [SETTINGS[service]]
        assert any(is_known(name, settings) for settings in readers), f"{service}: nobody reads {name}"


@pytest.mark.parametrize("service", OURS)
def test_settings_are_built_from_the_environment(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables(service).items():
        monkeypatch.setenv(name, value)
    settings: Any = SETTINGS[service]()
    assert settings.kafka.bootstrap_servers == "kafka:9092"
    assert settings.registry.uri == "/var/lib/weldstream/registry"
    assert (settings.http.host, settings.http.port) == ("0.0.0.0", 8000)
    if service == "learner":
        assert str(settings.checkpoint.folder) == "/var/lib/weldstream/state"
        assert settings.redis.url.get_secret_value() == "redis://redis:6379/0"


@pytest.mark.parametrize("service", OURS)
def test_all_services_share_one_environment(service: str) -> None:
    assert COMPOSE["x-common-env"].items() <= variables(service).items()


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_images_are_pinned_by_version(service: str) -> None:
    image = SERVICES[service]["image"]
    assert re.fullmatch(r"[a-z0-9-]+(/[a-z0-9-]+)?:v?\d+\.\d+\.\d+(-[a-z]+)?", image), image


@pytest.mark.parametrize("service", sorted(set(SERVICES) - ONCE))
def test_what_depends_on_a_service_waits_until_it_is_healthy(service: str) -> None:
    assert SERVICES[service]["healthcheck"]["test"]
    for other, condition in SERVICES[service].get("depends_on", {}).items():
        if other in ONCE:
            assert condition == {"condition": "service_completed_successfully"}
            assert SERVICES[other]["restart"] == "no"
        else:
            assert condition == {"condition": "service_healthy"}
            assert "healthcheck" in SERVICES[other]


def test_only_the_learner_and_the_maker_of_the_keys_see_the_private_key() -> None:
    def mounts(service: str) -> dict[str, str]:
        return {m.split(":")[0]: m.partition(":")[2] for m in SERVICES[service].get("volumes", [])}

    assert {s for s in SERVICES if "signing" in mounts(s)} == {"keys", "learner"}
    assert mounts("learner")["signing"].endswith(":ro")
    assert {s for s in SERVICES if "WELDSTREAM_REGISTRY__SIGNING_KEY" in variables(s)} == {"learner"}
    for service in OURS:
        assert mounts(service)["trusted"].endswith(":ro")


def test_the_keys_that_are_made_are_the_ones_that_are_read(tmp_path: Path) -> None:
    folders = {volume: tmp_path / volume for volume in ("signing", "trusted")}
    inside = {f"/var/lib/weldstream/{volume}": str(folder) for volume, folder in folders.items()}
    python, _, module, *arguments = SERVICES["keys"]["command"]
    assert (python, module) == ("python", "stream.cli")
    for _ in range(2):  # the second time it keeps them
        done = CliRunner().invoke(app, [inside.get(argument, argument) for argument in arguments])
        assert done.exit_code == 0, done.output
    assert variables("learner")["WELDSTREAM_REGISTRY__SIGNING_KEY"] == "/var/lib/weldstream/signing/release.key"
    assert variables("inference")["WELDSTREAM_REGISTRY__TRUSTED_KEYS"] == '["/var/lib/weldstream/trusted/release.pub"]'
    settings = RegistrySettings(
        signing_key=folders["signing"] / "release.key", trusted_keys=(folders["trusted"] / "release.pub",)
    )
    signer, verifier = signer_of(settings), verifier_of(RegistrySettings(trusted_keys=settings.trusted_keys))
    assert signer is not None
    assert verifier is not None
    assert verifier.key_ids == (signer.key_id,)


@pytest.mark.parametrize("service", sorted(set(SERVICES) - {"kafka"}))
def test_containers_run_as_nobody_special_on_a_read_only_root(service: str) -> None:
    """Kafka's image has a user of its own and writes to its root; compose.yaml says so."""
    assert SERVICES[service]["read_only"] is True
    user, group = SERVICES[service]["user"].split(":")
    assert int(user) > 0
    assert service not in OURS or int(group) > 0


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_no_container_has_or_gains_a_privilege(service: str) -> None:
    container = SERVICES[service]
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert not {"cap_add", "privileged", "devices", "pid", "ipc", "userns_mode"} & set(container)
    assert container.get("network_mode", "none") == "none"
    assert not any("docker.sock" in volume for volume in container.get("volumes", []))


@pytest.mark.parametrize("service", OURS)
def test_all_that_a_service_writes_is_on_a_volume_or_in_memory(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables(service).items():
        monkeypatch.setenv(name, value)
    settings: Any = SETTINGS[service]()
    writable = [Path(volume.split(":")[1]) for volume in SERVICES[service]["volumes"] if not volume.endswith(":ro")]
    written = []  # the others read the registry only
    if service == "learner":
        written = [settings.registry.uri, settings.checkpoint.folder, settings.bootstrap.cache_dir]
    for folder in written:
        assert any(Path(folder).is_relative_to(volume) for volume in writable), folder
    # Temporary folders, and caches in the home folder.
    assert SERVICES[service]["tmpfs"] == ["/tmp"]
    assert re.search(r"^ +HOME=/tmp$", stages()["base"], re.MULTILINE)


def test_ports_are_open_on_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_learner_keeps_its_state_on_a_volume() -> None:
    folder = variables("learner")["WELDSTREAM_CHECKPOINT__FOLDER"]
    assert f"learner:{folder}" in SERVICES["learner"]["volumes"]


def test_mounts_exist() -> None:
    mounts = [volume for service in SERVICES.values() for volume in service.get("volumes", [])]
    for mount in mounts:
        source = mount.split(":")[0]
        if source.startswith("."):
            assert (ROOT / source).is_dir(), mount
        else:
            assert source in COMPOSE["volumes"], mount


def test_the_broker_is_the_one_the_tests_run_against() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{kafka_version(DEPLOY_KAFKA / 'pom.xml')}"


def test_redis_keeps_its_data_and_evicts_nothing() -> None:
    command = SERVICES["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "everysec"
    assert options["--maxmemory-policy"] == "noeviction"


@pytest.mark.parametrize("service", IMAGES)
def test_each_service_is_built_from_its_own_target(service: str) -> None:
    target = SERVICES[service]["build"]["target"]
    stage = stages()[target]
    assert f'CMD ["python", "-m", "{service}.app"]' in stage
    assert re.search(r"^USER 10001:10001$", stage, re.MULTILINE)
    for source in re.findall(r"^COPY (\S+) ", stage, re.MULTILINE):
        assert (ROOT / source).exists(), source
    assert (ROOT / SERVICES[service]["build"]["dockerfile"]).exists()


def test_what_recalls_is_another_process_of_the_image_that_serves() -> None:
    assert SERVICES["recaller"]["build"] == SERVICES["inference"]["build"]
    assert SERVICES["recaller"]["command"] == ["python", "-m", "inference.recaller"]


def test_no_image_ends_as_root_or_carries_a_secret() -> None:
    for name, stage in stages().items():
        users = re.findall(r"^USER (\S+)$", stage, re.MULTILINE)
        assert users == ([] if name == "base" else ["10001:10001"]), name
        assert not re.search(r"^(ADD|ARG) |PASSWORD|SECRET|^COPY \.", stage, re.MULTILINE), name


def test_the_inference_image_has_neither_torch_nor_the_learner() -> None:
    stage = stages()["inference"]
    assert "COPY learner" not in stage
    (lock,) = re.findall(r"-r (\S+)", stage)
    assert not re.search(r"^(torch|torchvision|timm)==", (ROOT / lock).read_text(), re.MULTILINE)
    assert re.search(r"^torch==", (ROOT / "requirements" / "learner.txt").read_text(), re.MULTILINE)


def stages() -> dict[str, str]:
    parts = re.split(r"^FROM \S+ AS (\S+)$", DOCKERFILE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))
