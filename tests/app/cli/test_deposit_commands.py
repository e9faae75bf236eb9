"""deposit, proof and verify as commands, against the real service in a thread, on a world with a panel."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli.main import main
from app.client.api import Api
from app.client.home import Settings
from app.client.registrar import approve
from app.errors import Unreachable
from app.service.quota import Limits
from tests.app.cli.running import Terminal
from tests.app.client.court import Court, court
from tests.app.client.world_service import keys_of
from tests.app.rules.world import fresh, seed
from tests.app.verify.proofs import panelled


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Court, bytes]]:
    """A registry in a thread of its own; the clock of the commands is the world's."""
    world, _, case_id = panelled()
    ready: list[Court] = []
    begun, loop = threading.Event(), asyncio.new_event_loop()
    end = asyncio.Event()

    async def serve() -> None:
        async with court(world, tmp_path / "unused", limits=Limits(members={world.id("lawyer2"): 1 << 20})) as found:
            ready.append(found)
            begun.set()
            await end.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert begun.wait(60)
    monkeypatch.setattr("app.cli.person.clock", lambda: world.now)
    yield ready[0], case_id
    loop.call_soon_threadsafe(end.set)
    thread.join(60)
    loop.close()


@pytest.fixture
def terminal(
    place: tuple[Court, bytes],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Terminal:
    found = Terminal(tmp_path, capsys, monkeypatch)
    (tmp_path / "trust.json").write_text(place[0].trust.text)
    for name in ("lawyer1", "lawyer2"):
        home = found.person(name, keys_of(name))
        home.set_trust(place[0].trust.text.encode())
        home.set_settings(Settings(service=place[0].url))
    return found


def test_a_folder_is_deposited_and_progress_is_told_in_lines(
    terminal: Terminal, place: tuple[Court, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    top = tmp_path / "desk"
    (top / "drawer" / "empty").mkdir(parents=True)
    (top / "drawer" / "b.txt").write_bytes(b"b")
    (top / "a.txt").write_bytes(b"a")
    (top / "link").symlink_to("a.txt")
    words = ["deposit", str(top), "--case", place[1].hex(), "--json"]
    terminal.monkeypatch.setenv("MUNIMENT_HOME", str(terminal.home("lawyer1")))
    capsys.readouterr()
    assert main(words) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "not_a_file"
    assert main([*words, "--leave-out-links"]) == 0
    shown = capsys.readouterr()
    assert [each["name"] for each in json.loads(shown.out)["items"]] == ["desk/a.txt", "desk/drawer/b.txt"]
    lines = [json.loads(line) for line in shown.err.splitlines() if line.startswith("{")]
    assert {line["event"] for line in lines} == {"progress"}
    assert list(dict.fromkeys(line["doing"] for line in lines)) == ["syncing", "uploading", "finishing", "publishing"]
    uploading = [line for line in lines if line["doing"] == "uploading"]
    assert uploading[-1]["done"] == uploading[-1]["total"] == 2 * (184 + 1 + 16)
    left_out = [line for line in shown.err.splitlines() if line.startswith("left out")]
    assert left_out == [
        f"left out: {top / 'drawer' / 'empty'} (an empty folder)",
        f"left out: {top / 'link'} (a symbolic link)",
    ]


def test_an_interrupted_deposit_says_how_it_goes_on(
    terminal: Terminal, place: tuple[Court, bytes], tmp_path: Path
) -> None:
    """The network ends when the first segment is to be sent."""
    (tmp_path / "a.txt").write_bytes(b"a")

    async def lost(*_args: object, **_rest: object) -> None:
        raise Unreachable("the line is dead", "Look at the cable.")

    with terminal.monkeypatch.context() as patch:
        patch.setattr(Api, "put_segment", lost)
        found = terminal.run("lawyer1", "deposit", tmp_path / "a.txt", "--case", place[1].hex(), code=1)
    (unfinished,) = terminal.run("lawyer1", "deposit", "--list")["uploads"]
    assert unfinished == {"deposit": unfinished["deposit"], "case": place[1].hex(), "items": 1, "bytes": 1}
    assert found["error"]["next_step"] == (
        f"Look at the cable. To go on where it was: muniment deposit --resume {unfinished['deposit']}"
    )
    assert f"{unfinished['deposit']}  case {place[1].hex()}  1 bytes: a.txt" in terminal.text(
        "lawyer1", "deposit", "--list"
    )
    assert terminal.run("lawyer1", "deposit", "--resume", unfinished["deposit"])["deposit"] == unfinished["deposit"]


def test_deposit_then_proof_then_verify(terminal: Terminal, place: tuple[Court, bytes], tmp_path: Path) -> None:
    case_id, trust = place[1].hex(), tmp_path / "trust.json"
    files = [tmp_path / "a.txt", tmp_path / "b.pdf"]
    for path in files:
        path.write_bytes(path.name.encode())
    (tmp_path / "what.txt").write_text("letters")
    words = ["--description", tmp_path / "what.txt", "--note", tmp_path / "what.txt"]
    made = terminal.run("lawyer1", "deposit", files[0], "--case", case_id, files[1], *words)
    assert [each["name"] for each in made["items"]] == ["a.txt", "b.pdf"]
    assert made["items"][1]["type"] == "application/pdf"
    assert terminal.run("lawyer1", "deposit", "--list") == {"unfinished": [], "uploads": []}

    proof = tmp_path / "deposit.proof.json"
    disclose = ["--disclose", "name,size,type,sha256"]
    written = terminal.run("lawyer1", "proof", made["deposit"], *disclose, "-o", proof)
    assert written["outcome"] == "verified"
    assert len(written["disclosed"]) == 8
    verdict = terminal.run("lawyer2", "verify", proof, *files, "--trust", trust)
    assert [each["items"] for each in verdict["files"]] == [[1], [2]]
    again = terminal.run("lawyer1", "proof", made["deposit"], *disclose, "-o", proof, code=2)
    assert again["error"]["code"] == "output_exists"

    # One item alone; nothing of the other one is in the file.
    single = tmp_path / "single.json"
    terminal.run("lawyer1", "proof", made["deposit"], *disclose, "--item", "2", "-o", single)
    assert [each["item"] for each in json.loads(single.read_text())["disclosures"]] == [2, 2, 2, 2]
    terminal.run("lawyer1", "verify", single, files[0], "--trust", trust, code=1)

    # Another party of the case can prove that it stands there, and disclose nothing.
    bare = tmp_path / "bare.json"
    terminal.run("lawyer2", "proof", made["deposit"], "-o", bare)
    terminal.run("lawyer1", "verify", bare, "--trust", trust)
    refused = terminal.run("lawyer2", "proof", made["deposit"], *disclose, "-o", tmp_path / "no.json", code=2)
    assert refused["error"]["code"] == "not_kept"
    unknown = terminal.run("lawyer1", "proof", fresh("nothing").hex(), "-o", tmp_path / "no.json", code=1)
    assert unknown["error"]["code"] == "not_found"
    assert not (tmp_path / "no.json").exists()

    shown = terminal.run("lawyer2", "case", "show", case_id)
    assert [each["deposit"] for each in shown["deposits"]] == [made["deposit"]]
    assert [each["name"] for each in shown["panels"][0]["judges"]] == ["judge1", "judge2", "judge3"]


def test_what_deposit_refuses(terminal: Terminal, place: tuple[Court, bytes], tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    case_id = place[1].hex()
    assert terminal.run("lawyer1", "deposit", "--case", case_id, code=2)["error"]["code"] == "usage"
    absent = terminal.run("lawyer1", "deposit", tmp_path / "absent", "--case", case_id, code=2)
    assert absent["error"]["code"] == "unreadable"
    not_his = terminal.run("lawyer2", "deposit", tmp_path / "a", "--case", case_id, code=1)
    assert not_his["error"]["code"] == "not_in_case"
    assert terminal.run("lawyer1", "deposit", "--resume", "00" * 16, code=2)["error"]["code"] == "no_upload"
    assert terminal.run("lawyer1", "deposit", "--list") == {"unfinished": [], "uploads": []}


def test_a_depositor_sees_how_much_room_he_has(terminal: Terminal, place: tuple[Court, bytes], tmp_path: Path) -> None:
    assert terminal.run("lawyer1", "deposit", "--room") == {"used": 0, "limit": None}
    (tmp_path / "a").write_bytes(bytes(100_000))
    sealed = terminal.run("lawyer1", "deposit", tmp_path / "a", "--case", place[1].hex())["sealed_bytes"]
    assert terminal.run("lawyer1", "deposit", "--room") == {"used": sealed, "limit": None}
    assert "you may have any amount" in terminal.text("lawyer1", "deposit", "--room")
    assert terminal.run("lawyer2", "deposit", "--room") == {"used": 0, "limit": 1 << 20}
    assert "you may have 1.0 MiB: 1.0 MiB are left" in terminal.text("lawyer2", "deposit", "--room")


def test_a_mistake_is_taken_back_or_superseded(terminal: Terminal, place: tuple[Court, bytes], tmp_path: Path) -> None:
    case_id = place[1].hex()
    (tmp_path / "a").write_bytes(b"a")
    first, second, third = (
        terminal.run("lawyer1", "deposit", tmp_path / "a", "--case", case_id)["deposit"] for _ in range(3)
    )
    waiting = terminal.run("lawyer2", "inbox")["new_deposits"]
    assert {each["name"] for each in waiting} == {"lawyer1"}
    assert {each["deposit"] for each in waiting} == {first, second, third}
    assert terminal.run("lawyer1", "inbox")["new_deposits"] == []
    terminal.run("lawyer2", "deposit", "--acknowledge", first)
    assert f"--acknowledge {second}" in terminal.text("lawyer2", "inbox")
    assert f"--acknowledge {first}" not in terminal.text("lawyer2", "inbox")
    late = terminal.run("lawyer1", "deposit", "--withdraw", first, code=1)
    assert late["error"]["code"] == "already_seen"
    (tmp_path / "why.txt").write_text("the wrong file")
    terminal.run("lawyer1", "deposit", "--withdraw", second, "--note", tmp_path / "why.txt")
    terminal.run("lawyer1", "deposit", "--supersede", first, "--by", third)
    assert terminal.run("lawyer2", "deposit", "--withdraw", third, code=1)["error"]["code"] == "wrong_signer"
    shown = {each["deposit"]: each for each in terminal.run("lawyer2", "case", "show", case_id)["deposits"]}
    assert [shown[each]["withdrawn"] for each in (first, second, third)] == [False, True, False]
    assert (shown[first]["superseded_by"], shown[third]["superseded_by"]) == (third, None)
    text = terminal.text("lawyer2", "case", "show", case_id)
    assert f"superseded by {third}" in text
    assert "seen by lawyer2" in text
    assert text.count("withdrawn by its depositor") == 1
    assert [each["deposit"] for each in terminal.run("lawyer2", "inbox")["new_deposits"]] == [third]
    # What was deposited, and taken back later, is proven as before: the file says that it cannot show the difference.
    terminal.run("lawyer1", "proof", second, "-o", tmp_path / "second.json")
    words = terminal.text("lawyer1", "verify", tmp_path / "second.json", "--trust", tmp_path / "trust.json")
    assert "whether the deposit was withdrawn" in words


def test_options_for_mistakes_that_do_not_go_together(terminal: Terminal, tmp_path: Path) -> None:
    some = "00" * 16
    (tmp_path / "words").write_text("words")
    for words in (
        ["--supersede", some],
        ["--by", some],
        ["--withdraw", some, "--by", some],
        ["--acknowledge", some, "--note", tmp_path / "words"],
    ):
        assert terminal.run("lawyer1", "deposit", *words, code=2)["error"]["code"] == "bad_option"


def test_an_erasure_is_listed_asked_for_and_shown_to_the_authority(
    terminal: Terminal, place: tuple[Court, bytes], tmp_path: Path
) -> None:
    registrar = terminal.person("registrar", keys_of("registrar"))
    registrar.set_trust(place[0].trust.text.encode())
    registrar.set_settings(Settings(service=place[0].url))
    (tmp_path / "a").write_bytes(b"a")
    made = terminal.run("lawyer1", "deposit", tmp_path / "a", "--case", place[1].hex())
    listed = terminal.run("lawyer2", "erase", "list", made["deposit"], "-o", tmp_path / "list.json")
    assert listed["entries"] == [made["index"]]
    ask = ["erase", "ask", tmp_path / "list.json", "--paper", tmp_path / "a", "--reason"]
    assert terminal.run("registrar", *ask, "x" * 501, code=2)["error"]["code"] == "bad_option"
    assert terminal.run("lawyer2", *ask, "no", code=1)["error"]["code"] == "wrong_signer"
    asked = terminal.run("registrar", *ask, "storage limitation")
    assert "because: storage limitation" in terminal.text("registrar", "member", "waiting")
    assert terminal.run("registrar", "erase", "show", asked["deposit"], code=1)["error"]["code"] == "not_erased"


def joined(terminal: Terminal, place: tuple[Court, bytes], name: str, keys: str | None = None) -> Path:
    """A folder of that name with these keys, at the registry; its card."""
    home = terminal.person(name, keys_of(keys or name))
    home.set_trust(place[0].trust.text.encode())
    home.set_settings(Settings(service=place[0].url))
    return home.path / "identity.json"


def code_of(found: dict[str, object]) -> object:
    error = found["error"]
    assert isinstance(error, dict)
    return error["code"]


def test_an_erasure_in_effect_is_certified_and_folders_forget(
    terminal: Terminal, place: tuple[Court, bytes], tmp_path: Path
) -> None:
    joined(terminal, place, "registrar")
    (tmp_path / "a").write_bytes(b"a")
    made = terminal.run("lawyer1", "deposit", tmp_path / "a", "--case", place[1].hex())
    stays = terminal.run("lawyer1", "deposit", tmp_path / "a", "--case", place[1].hex())["deposit"]
    disclose, trust = ["--disclose", "sha256"], tmp_path / "trust.json"
    for deposit, name in ((made["deposit"], "gone.json"), (stays, "stays.json")):
        terminal.run("lawyer1", "proof", deposit, *disclose, "-o", tmp_path / name)
    terminal.run("lawyer2", "erase", "list", made["deposit"], "-o", tmp_path / "list.json")
    asked = terminal.run(
        "registrar", "erase", "ask", tmp_path / "list.json", "--paper", tmp_path / "a", "--reason", "limitation"
    )

    async def approved() -> None:
        async with place[0].client("registrar") as client:
            for key in ("authority1", "authority2"):
                await approve(client, bytes.fromhex(asked["act"]), seed(key))

    asyncio.run(approved())
    shown = terminal.run("lawyer2", "erase", "show", asked["deposit"])
    assert (shown["act"], shown["entries"], shown["reason"]) == (asked["act"], [made["index"]], "limitation")
    assert len(shown["approvals"]) == 2
    told = terminal.text("registrar", "erase", "show", asked["deposit"])
    for part in (
        "CERTIFICATE OF ERASURE",
        "This proves:",
        "What clients do:",
        "It does not prove:",
        "Copies may remain:",
    ):
        assert part in told
    assert (terminal.home("lawyer1") / "kept" / f"{made['deposit']}.age").exists()
    terminal.monkeypatch.setenv("MUNIMENT_HOME", str(terminal.home("lawyer1")))
    assert main(["inbox"]) == 0
    assert "what this folder kept of it was destroyed" in terminal.capsys.readouterr().err
    assert not (terminal.home("lawyer1") / "kept" / f"{made['deposit']}.age").exists()
    assert code_of(terminal.run("registrar", "erase", "show", "00" * 32, code=1)) == "not_erased"
    # Proofs made before stay good, that of the erased deposit too; of the other deposit a new one is made.
    terminal.run("lawyer1", "proof", stays, *disclose, "-o", tmp_path / "later.json")
    for name in ("gone.json", "stays.json", "later.json"):
        proven = terminal.run("lawyer2", "verify", tmp_path / name, tmp_path / "a", "--trust", trust)
        assert (proven["outcome"], [each["items"] for each in proven["files"]]) == ("verified", [[1]])
    refused = terminal.run("lawyer1", "proof", made["deposit"], "-o", tmp_path / "no.json", code=1)
    assert code_of(refused) == "not_found"


def test_staff_reads_for_a_time_at_the_command_line(
    terminal: Terminal, place: tuple[Court, bytes], tmp_path: Path
) -> None:
    joined(terminal, place, "registrar")
    card, case_id = joined(terminal, place, "staff"), place[1].hex()
    terminal.run("registrar", "member", "enrol", card, "--role", "depositor")
    staff = keys_of("staff").signer.kid
    given = ["case", "delegate", case_id, staff, "--scope", "read"]
    assert terminal.run("staff", "case", "list")["cases"] == []
    assert code_of(terminal.run("staff", *given, code=1)) == "not_in_case"
    assert code_of(terminal.run("lawyer1", *given, "--days", "401", code=1)) == "bad_term"
    assert code_of(terminal.run("lawyer2", *given, "--scope", "deposit", code=1)) == "wrong_scope"
    other = terminal.home("registrar") / "identity.json"
    assert code_of(terminal.run("lawyer1", *given, "--notes", other, code=2)) == "wrong_card"
    said = terminal.run("lawyer1", *given, "--scope", "deposit", "--days", "30", "--notes", card)
    assert (said["delegate"], said["scope"]) == (staff, ["read", "deposit"])
    assert [each["case"] for each in terminal.run("staff", "case", "list")["cases"]] == [case_id]
    (tmp_path / "a").write_bytes(b"a")
    terminal.run("staff", "deposit", tmp_path / "a", "--case", case_id)
    assert terminal.run("lawyer1", "case", "undelegate", case_id, staff)["delegate"] == staff
    assert code_of(terminal.run("lawyer1", "case", "undelegate", case_id, staff, code=1)) == "unknown_delegation"
    assert code_of(terminal.run("staff", "deposit", tmp_path / "a", "--case", case_id, code=1)) == "forbidden"


def test_a_lost_key_and_a_second_device_at_the_command_line(
    terminal: Terminal, place: tuple[Court, bytes], tmp_path: Path
) -> None:
    joined(terminal, place, "registrar")
    laptop, again = joined(terminal, place, "laptop"), joined(terminal, place, "lawyer2 again")
    case_id, lawyer1 = place[1].hex(), keys_of("lawyer1").signer.kid
    assert code_of(terminal.run("lawyer1", "member", "device", code=2)) == "usage"
    named = terminal.run("lawyer1", "member", "device", laptop)
    assert named["key"] == keys_of("laptop").signer.kid
    assert [each["case"] for each in terminal.run("laptop", "case", "list")["cases"]] == [case_id]
    retire = ["member", "device", "--retire", named["key"]]
    assert code_of(terminal.run("lawyer2", *retire, "--member", lawyer1, code=1)) == "wrong_signer"
    assert "is retired" in terminal.text("registrar", *retire, "--member", lawyer1)
    (tmp_path / "a").write_bytes(b"a")
    mine = ["deposit", tmp_path / "a", "--case", case_id]
    assert code_of(terminal.run("laptop", *mine, code=1)) in ("unauthorized", "unknown_key", "retired_key")
    terminal.run("lawyer1", *mine)

    lawyer2 = keys_of("lawyer2").signer.kid
    assert code_of(terminal.run("lawyer1", "member", "key", again, "--member", lawyer2, code=1)) == "wrong_signer"
    replaced = terminal.run("registrar", "member", "key", again, "--member", lawyer2)
    assert (replaced["member"], replaced["waits_for_approval"]) == (lawyer2, False)
    assert replaced["key"] == keys_of("lawyer2 again").signer.kid
    assert [each["case"] for each in terminal.run("lawyer2 again", "case", "list")["cases"]] == [case_id]
    given = ["case", "delegate", case_id, lawyer1, "--scope", "read"]
    assert code_of(terminal.run("lawyer2", *given, code=1)) in ("unauthorized", "retired_key")
    assert code_of(terminal.run("lawyer2 again", *given, code=1)) == "already_party"
