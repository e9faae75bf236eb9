"""From nothing to a registry with members and a case, through the commands and a service of its own process."""

import json
from pathlib import Path

import pytest

from app.cli.main import main
from app.client.authority import load_authority_key, write_authority_key
from app.errors import BadInput, Mismatch
from app.statements.trust import parse_trust
from tests.app.cli.running import PASSPHRASE, Terminal, serving

ORIGIN = "court.example/evidence"


@pytest.fixture
def terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(tmp_path, capsys, monkeypatch)


def test_a_registry_is_founded_and_peopled(terminal: Terminal) -> None:
    court = terminal.folder / "court"
    people = ("registrar", "office1", "office2", "office3", "clerk", "judge", "lawyer")
    homes = {name: terminal.person(name) for name in people}
    cards = [word for name in people[1:4] for word in ("--authority", homes[name].path / "identity.json")]
    founded = terminal.run("registrar", "init", court, "--origin", ORIGIN, *cards)
    trust = parse_trust((court / "trust.json").read_bytes())
    assert trust.sha256.hex() == founded["trust_sha256"]
    assert len(trust.authority.keys) == 3
    assert (court / "policy.txt").read_text() == trust.policy_text
    again = terminal.run("registrar", "init", court, "--origin", ORIGIN, code=2)
    assert again["error"]["code"] == "already_there"

    with serving(court / "registry") as url:
        for name in people:
            shown = terminal.run(name, "identity", "set", "--trust", court / "trust.json", "--service", url)
            assert shown["trust"]["sha256"] == founded["trust_sha256"]
        posted = terminal.run("registrar", "init", court, "--post")
        assert (posted["index"], posted["genesis"]) == (0, founded["genesis"])

        acts = {}
        for name, role in (("clerk", "clerk"), ("judge", "judge")):
            card = homes[name].path / "identity.json"
            acts[name] = terminal.run("registrar", "member", "enrol", card, "--role", role)
            assert acts[name]["waits_for_approval"]
        waiting = terminal.run("office1", "member", "waiting")["waiting"]
        assert {row["act"] for row in waiting} == {each["act"] for each in acts.values()}
        does = {row["act"]: "\n".join(row["does"]) for row in waiting}
        for name, act in acts.items():
            assert f"enrols {name} as {name}, with the key {act['member']}" in does[act["act"]]
            assert "asked for by registrar (" in does[act["act"]]
        assert does[acts["judge"]["act"]].split("\n")[0] in terminal.text("office1", "member", "waiting")
        for act in acts.values():
            assert not terminal.run("office1", "member", "approve", act["act"])["effective"]
            assert terminal.run("office3", "member", "approve", act["act"])["effective"]
        refused = terminal.run("clerk", "member", "approve", acts["judge"]["act"], code=1)
        assert refused["error"]["code"] == "wrong_signer"
        lawyer = terminal.run("registrar", "member", "enrol", homes["lawyer"].path / "identity.json", "--role", "party")
        assert not lawyer["waits_for_approval"]

        title = terminal.folder / "title.txt"
        title.write_text("The State against N.N., 12/2026\n")
        opened = terminal.run("clerk", "case", "open", "--title", title)
        terminal.run(
            "clerk",
            "case",
            "party",
            opened["case"],
            lawyer["member"],
            "--notes",
            homes["lawyer"].path / "identity.json",
        )
        assert "The State against N.N." in terminal.text("lawyer", "case", "list")
        shown = terminal.run("lawyer", "case", "show", opened["case"])
        assert shown["title"] == "The State against N.N., 12/2026"
        assert [each["name"] for each in shown["parties"]] == ["lawyer"]
        assert terminal.run("judge", "case", "list") == {"cases": []}
        assert terminal.run("judge", "case", "show", opened["case"], code=1)["error"]["code"] == "unknown_case"

        members = terminal.run("registrar", "member", "list")["members"]
        assert [(each["name"], each["role"]) for each in members] == [
            ("registrar", "registrar"),
            ("clerk", "clerk"),
            ("judge", "judge"),
            ("lawyer", "party"),
        ]
        terminal.run("registrar", "member", "revoke", "lawyer")
        # What his client proved before stays known; the service gives him nothing more, the title's note included.
        assert [each["title"] for each in terminal.run("lawyer", "case", "list")["cases"]] == [None]

    for path in (court / "registry").rglob("*"):
        assert not path.is_file() or b"State against" not in path.read_bytes()


def test_init_makes_authority_keys_and_refuses_nonsense(terminal: Terminal) -> None:
    terminal.person("registrar")
    court = terminal.folder / "court"
    for words in (
        ["init", court],
        ["init", court, "--origin", "has space"],
        ["init", court, "--origin", ORIGIN, "-m", "4"],
        ["init", court, "--origin", ORIGIN, "--authority", court / "absent"],
    ):
        terminal.run("registrar", *words, code=2)
        assert not court.exists()
    founded = terminal.run("registrar", "init", court, "--origin", ORIGIN, "--keys", "1", "-m", "1")
    (key,) = founded["authority"]
    seed = load_authority_key(Path(key), PASSPHRASE)
    assert seed not in Path(key).read_bytes()
    assert not (court / "registry" / "authority").exists()


def test_an_authority_key_opens_with_its_passphrase_alone(tmp_path: Path) -> None:
    write_authority_key(tmp_path / "k.age", bytes(range(32)), PASSPHRASE, log_n=4)
    assert load_authority_key(tmp_path / "k.age", PASSPHRASE) == bytes(range(32))
    with pytest.raises(Mismatch) as caught:
        load_authority_key(tmp_path / "k.age", "another")
    assert caught.value.code == "wrong_passphrase"
    with pytest.raises(BadInput):
        write_authority_key(tmp_path / "k.age", bytes(32), PASSPHRASE, log_n=4)


def test_an_identity_is_made_and_shown(terminal: Terminal) -> None:
    made = terminal.run("ada", "identity", "new", "--name", "Ada")
    shown = terminal.run("ada", "identity", "show")
    assert shown["member"] == made["member"]
    assert shown["card"]["name"] == "Ada"
    assert json.loads(Path(made["card"]).read_text()) == shown["card"]
    assert terminal.run("ada", "identity", "new", "--name", "Ada", code=2)["error"]["code"] == "already_there"


def test_commands_say_what_is_missing(terminal: Terminal) -> None:
    assert terminal.run("nobody", "case", "list", code=2)["error"]["code"] == "missing"
    with pytest.raises(SystemExit) as caught:
        main(["case", "show", "not hex"])
    assert caught.value.code == 2


def test_a_trust_file_is_made_with_who_vouches_for_time(terminal: Terminal) -> None:
    from app.config import load_settings
    from app.demo.calendar import BlockChain
    from app.demo.pki import LoopbackPki
    from app.service.anchor_settings import load_anchor_terms
    from ledger.anchors.mainnet import CHECKPOINT

    for name in ("registrar", "other"):
        terminal.person(name)
    plain = terminal.folder / "plain"
    terminal.run("registrar", "init", plain, "--origin", ORIGIN, "--keys", "1", "-m", "1")
    trust = parse_trust((plain / "trust.json").read_bytes())
    assert trust.tsa is None
    assert trust.headers is not None
    assert trust.headers.checkpoint == CHECKPOINT  # built in, and only a default

    pki, chain = LoopbackPki("http://127.0.0.1:1"), BlockChain()
    (terminal.folder / "root.der").write_bytes(pki.root_der)
    lines = ["tsa_quorum = 1", 'header_sources = ["http://127.0.0.1:1/a", "http://127.0.0.1:1/b"]']
    for tsa in pki.tsas:
        lines += ["[[tsa]]", f'name = "{tsa.name}"', f'url = "{tsa.url}"', 'roots = ["root.der"]']
        lines += [f'subject = "{tsa.name}"']
    lines += ["[[calendar]]", 'url = "http://127.0.0.1:1/c"', "[bitcoin]", "height = 0", "retarget = false"]
    lines += [f'hash = "{chain.checkpoint.hash[::-1].hex()}"', 'limit = "207fffff"', 'floor = "207fffff"']
    anchors = terminal.folder / "anchors.toml"
    anchors.write_text("\n".join(lines))
    court = terminal.folder / "court"
    words = ["--origin", ORIGIN, "--keys", "1", "-m", "1", "--anchors", anchors]
    terminal.run("other", "init", court, *words)
    trust = parse_trust((court / "trust.json").read_bytes())
    assert trust.tsa is not None
    assert (trust.tsa.m, [each.name for each in trust.tsa.authorities]) == (1, [each.name for each in pki.tsas])
    assert trust.headers is not None
    assert trust.headers.checkpoint == chain.checkpoint
    settings = load_settings(court / "registry" / "muniment.toml", {})
    assert settings.anchors is not None
    assert load_anchor_terms(settings.anchors).tsa_quorum == 1
    anchors.write_text("colour = 1")
    bad = terminal.run("other", "init", terminal.folder / "no", *words, code=2)
    assert bad["error"]["code"] == "bad_setting"
    assert not (terminal.folder / "no").exists()
