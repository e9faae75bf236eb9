"""A person's folder: keys, what is trusted, and secrets."""

import itertools
import stat
from pathlib import Path

import pytest

from app.client.files import write_file
from app.client.home import Card, Home, Keys, Settings, Vault, format_card, home_path, parse_card, read_passphrase
from app.errors import BadInput, Mismatch

PASSPHRASE = "correct horse"


def made(tmp_path: Path) -> tuple[Home, Keys]:
    return Home.create(tmp_path / "home", name="Ada", passphrase=PASSPHRASE, log_n=4)


def test_keys_open_with_the_passphrase_and_with_no_other(tmp_path: Path) -> None:
    home, keys = made(tmp_path)
    assert home.unlock(PASSPHRASE) == keys
    with pytest.raises(Mismatch) as caught:
        home.unlock("correct hors")
    assert caught.value.code == "wrong_passphrase"


def test_no_secret_lies_in_the_open_and_only_the_owner_may_look(tmp_path: Path) -> None:
    home, keys = made(tmp_path)
    Vault(home, keys).put("secrets", "share", b"the share of a judge")
    for path in home.path.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert keys.seed not in data
            assert keys.seed.hex().encode() not in data
            assert b"the share" not in data
            assert stat.S_IMODE(path.stat().st_mode) == (0o644 if path.name == "identity.json" else 0o600)
        else:
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert repr(keys.seed) not in repr(keys)


def test_an_identity_is_never_overwritten(tmp_path: Path) -> None:
    home, keys = made(tmp_path)
    with pytest.raises(BadInput) as caught:
        made(tmp_path)
    assert caught.value.code == "already_there"
    assert home.unlock(PASSPHRASE) == keys


def test_the_card_round_trips_and_a_changed_one_is_refused(tmp_path: Path) -> None:
    home, keys = made(tmp_path)
    assert home.card() == keys.card == parse_card(format_card(keys.card).encode())
    text = format_card(keys.card)
    for wrong in (
        text.replace("muniment-identity/v1", "muniment-identity/v2"),
        text.replace('"name":"Ada"', '"name":"Ada","more":1'),
        text.replace(keys.card.notes[20:24], "bbbb"),
        text.replace('"name"', ' "name"'),
    ):
        with pytest.raises(BadInput):
            parse_card(wrong.encode())


def test_a_bad_name_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        Home.create(tmp_path / "home", name="", passphrase=PASSPHRASE, log_n=4)
    assert not (tmp_path / "home").exists()


def test_the_vault_keeps_replaces_lists_and_deletes(tmp_path: Path) -> None:
    home, keys = made(tmp_path)
    vault = Vault(home, keys)
    assert vault.get("secrets", "a") is None
    assert vault.names("secrets") == ()
    vault.put("secrets", "a", b"one")
    vault.put("secrets", "a", b"two")
    vault.put("secrets", "b.1", b"")
    assert vault.get("secrets", "a") == b"two"
    assert vault.names("secrets") == ("a", "b.1")
    vault.delete("secrets", "a")
    vault.delete("secrets", "a")
    assert vault.names("secrets") == ("b.1",)


def test_an_altered_secret_is_refused(tmp_path: Path) -> None:
    home, keys = made(tmp_path)
    vault = Vault(home, keys)
    vault.put("kept", "x", b"value")
    path = home.path / "kept" / "x.age"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(Mismatch):
        vault.get("kept", "x")


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a" * 129, "a\n", "ä"])
def test_names_that_could_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    home, keys = made(tmp_path)
    with pytest.raises(BadInput):
        Vault(home, keys).put("secrets", name, b"x")


def test_writing_is_all_or_nothing(tmp_path: Path) -> None:
    """A write that fails leaves the old content and no litter."""
    path = tmp_path / "file"
    write_file(path, b"old")
    with pytest.raises(TypeError):
        write_file(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_settings_and_checkpoint_are_kept(tmp_path: Path) -> None:
    home, _ = made(tmp_path)
    assert home.checkpoint() is None
    home.set_settings(Settings(service="http://127.0.0.1:8080"))
    home.set_checkpoint("text\n")
    assert home.settings().service == "http://127.0.0.1:8080"
    assert home.checkpoint() == "text\n"


def test_the_passphrase_comes_from_a_file_without_its_line_end(tmp_path: Path) -> None:
    path = tmp_path / "p"
    path.write_bytes("pässphrase\r\nmore".encode())
    assert read_passphrase(environ={"MUNIMENT_PASSPHRASE_FILE": str(path)}) == "pässphrase"
    for content, code in (
        (b"", "no_passphrase"),
        (b"\n", "no_passphrase"),
        (b"\xff", "not_utf8"),
        (b"x" * 1025, "too_large"),
    ):
        path.write_bytes(content)
        with pytest.raises(BadInput) as caught:
            read_passphrase(environ={"MUNIMENT_PASSPHRASE_FILE": str(path)})
        assert caught.value.code == code


def test_the_home_is_where_the_variable_says(tmp_path: Path) -> None:
    assert home_path({"MUNIMENT_HOME": str(tmp_path)}) == tmp_path
    assert home_path({}).name == "muniment"


def test_keys_come_from_the_generator_that_is_given() -> None:
    counter = itertools.count()

    def rng(size: int) -> bytes:
        return bytes([next(counter)]) * size

    keys = Keys.generate("Ada", rng)
    assert keys.seed == bytes(32)
    assert keys.notes.seed == b"\x01" * 32
    assert isinstance(keys.card, Card)
