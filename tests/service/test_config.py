"""Settings: what is taken, and that everything else is refused by key, value and remedy."""

from pathlib import Path

import pytest

from app.config import format_settings, load_settings, parse_settings
from app.errors import BadInput
from app.service.found import registry_settings, write_registry
from app.service.keyfiles import load_seed

GENESIS = "ab" * 32
GOOD: dict[str, object] = {"origin": "ledger.example/court", "genesis": GENESIS}
HERE = Path("/srv/court")


def test_defaults_lie_beside_the_file() -> None:
    found = parse_settings(GOOD, {}, folder=HERE)
    assert found.records == "sqlite:///srv/court/records.sqlite"
    assert found.blobs == "file:///srv/court/blobs"
    assert found.log_key == HERE / "keys/log.pem"
    assert (found.host, found.port) == ("127.0.0.1", 8080)
    assert (found.provisional_lock_days, found.retention_days) == (7, 10_950)
    assert found.uploads == "auto"


def test_variables_override_the_file() -> None:
    table = {**GOOD, "listen": "[::1]:9", "retention_days": 3}
    found = parse_settings(table, {"MUNIMENT_RETENTION_DAYS": "5", "MUNIMENT_LISTEN": "0.0.0.0:80"}, folder=HERE)
    assert found.retention_days == 5
    assert (found.host, found.port) == ("0.0.0.0", 80)  # noqa: S104


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("origin", ""),
        ("origin", "two words"),
        ("origin", 7),
        ("origin", "a+b"),
        ("origin", "x" * 201),
        ("genesis", "AB" * 32),
        ("genesis", "ab"),
        ("listen", "localhost"),
        ("listen", "localhost:99999"),
        ("listen", "localhost:٨٠"),
        ("listen", "a b:80"),
        ("log", "xml"),
        ("metrics", "9464"),
        ("metrics", ""),
        ("metrics", "localhost:99999"),
        ("records", "mysql://u:secret@h/x"),
        ("records", "sqlite:relative"),
        ("blobs", "sqlite:///x"),
        ("retention_days", 0),
        ("retention_days", True),
        ("retention_days", "7"),
        ("provisional_lock_days", 10**6),
        ("uploads", "direct"),
        ("uploads", 1),
        ("colour", "red"),
    ],
)
def test_a_bad_value_is_named_with_its_key_and_a_remedy(key: str, value: object) -> None:
    with pytest.raises(BadInput) as caught:
        parse_settings({**GOOD, key: value}, {}, folder=HERE)
    assert key in caught.value.message
    assert caught.value.next_step
    assert "secret" not in caught.value.message + caught.value.next_step


@pytest.mark.parametrize("text", ["", " 5", "5_0", "٥", "-1", "1e3"])
def test_a_number_from_a_variable_is_read_strictly(text: str) -> None:
    with pytest.raises(BadInput, match="retention_days"):
        parse_settings(GOOD, {"MUNIMENT_RETENTION_DAYS": text}, folder=HERE)


@pytest.mark.parametrize("key", ["origin", "genesis"])
def test_what_has_no_default_is_asked_for(key: str) -> None:
    with pytest.raises(BadInput, match=key):
        parse_settings({k: v for k, v in GOOD.items() if k != key}, {}, folder=HERE)


def test_settings_survive_their_file(tmp_path: Path) -> None:
    table = {**GOOD, "origin": 'odd"\\origin', "listen": "[::1]:1", "records": "memory:", "retention_days": 9}
    table |= {"uploads": "proxy", "metrics": "[::1]:9464", "log": "json"}
    settings = parse_settings(table, {}, folder=tmp_path)
    (tmp_path / "muniment.toml").write_text(format_settings(settings, folder=tmp_path))
    assert load_settings(tmp_path / "muniment.toml", {}) == settings


def test_a_registry_is_written_once_and_moves_with_its_folder(tmp_path: Path) -> None:
    place = tmp_path / "a"
    settings = registry_settings(place, origin="ledger.example/court", genesis=bytes.fromhex(GENESIS))
    write_registry(place, settings, log_seed=bytes(32), service_seed=bytes([1]) * 32)
    assert load_settings(place / "muniment.toml", {}) == settings
    assert load_seed(settings.log_key) == bytes(32)
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    with pytest.raises(BadInput) as caught:
        write_registry(place, settings, log_seed=bytes([2]) * 32, service_seed=bytes([3]) * 32)
    assert caught.value.code == "exists"
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before
    moved = tmp_path / "b"
    place.rename(moved)
    found = load_settings(moved / "muniment.toml", {})
    assert found.records == f"sqlite://{moved}/records.sqlite"
    assert load_seed(found.service_key) == bytes([1]) * 32


def test_a_key_file_that_others_may_read_or_that_is_no_key_is_refused(tmp_path: Path) -> None:
    settings = registry_settings(tmp_path, origin="o", genesis=bytes(32))
    write_registry(tmp_path, settings, log_seed=bytes(32), service_seed=bytes(32))
    settings.log_key.chmod(0o640)
    with pytest.raises(BadInput, match="0640"):
        load_seed(settings.log_key)
    settings.log_key.chmod(0o600)
    settings.log_key.write_bytes(b"-----BEGIN PRIVATE KEY-----\n")
    with pytest.raises(BadInput) as caught:
        load_seed(settings.log_key)
    assert caught.value.code == "bad_key_file"


@pytest.mark.parametrize("text", [b"\xff", b"origin", b'origin = "a"\norigin = "b"\n'])
def test_a_file_that_is_not_toml_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "muniment.toml").write_bytes(text)
    with pytest.raises(BadInput) as caught:
        load_settings(tmp_path / "muniment.toml", {})
    assert caught.value.code == "no_config"
