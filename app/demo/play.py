"""The demonstration from beginning to end. Whatever does not go as told ends it with an error and a non-zero code."""

import asyncio
import hashlib
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.canonical import format_json
from app.cli.output import human_size
from app.cli.progress import Teller
from app.client.activity import UPLOADING, Activity
from app.client.deposit import Accepted, Depositor, Evidence
from app.client.fetch import fetch, item_name
from app.client.grow import grow_proof, read_held, replace_held
from app.client.judge import Judge
from app.client.kept import kept
from app.client.opening import Opened, Output, open_request
from app.client.panel import CertifiedPanel
from app.client.proof import make_proof
from app.client.release import order, progress_of, request
from app.client.session import Client
from app.demo.attacks import Failed, alter_evidence, backdate, substitute_panel
from app.demo.cast import AUTHORITY, REQUIRED, Cast, connected, gather_cast, hand_out, write_passphrases
from app.demo.dossier import write_dossier
from app.demo.founding import ORIGIN, Founded, appoint, consent_of, found_registry, hold_ceremony
from app.demo.outside import Outside, all_anchored, serving_outside
from app.demo.replicas import Replicas, serving
from app.demo.story import Story
from app.demo.witnesses import NAMES, watching
from app.errors import BadInput, Mismatch, Refused
from app.statements.kinds import CaseAssign, CaseOpen, CaseParty, Role
from app.statements.prooffile import choose
from ledger.anchors.growth import Level
from ledger.proof import Proof
from storage.errors import BadName
from storage.urls import parse_blob_place, parse_record_place

ORDER = """\
ORDER

The sealed deposit of Lawyer 1 in this case shall be opened to Lawyer 2, whose identity key is
{key}
for inspection before the hearing.

Judge 1, presiding
"""
SHOWN = ("name", "type", "size", "sha256")
ANCHOR_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the person asked for."""

    folder: Path
    files: tuple[Path, ...]
    judges: int
    threshold: int
    stores: Mapping[str, str] = field(default_factory=dict)
    """URLs of `records` and `blobs`, where they do not lie beside the configuration."""
    replicas: int = 1
    """How many processes serve the registry; with several, one is killed in the middle of the deposit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A file that was deposited, and what was opened of it."""

    item: int
    original: Path
    opened: Path
    sha256: str


def check_plan(plan: Plan) -> None:
    """Refuse what cannot work before anything is made. Raises BadInput."""
    if not 2 <= plan.threshold <= plan.judges <= 31:
        raise BadInput(
            f"{plan.threshold} of {plan.judges} judges cannot be",
            "Choose --judges up to 31 and --threshold from 2 to that number.",
            code="bad_threshold",
        )
    if not 1 <= plan.replicas <= 8:
        raise BadInput(f"{plan.replicas} replicas cannot be", "Choose --replicas from 1 to 8.", code="bad_replicas")
    for name, parse in (("records", parse_record_place), ("blobs", parse_blob_place)):
        try:
            parse(plan.stores.get(name, "memory:"))
        except BadName as error:
            raise BadInput(f"--{name}: {error.message}", error.next_step, code="bad_setting") from error
    for path in plan.files:
        if not path.is_file():
            raise BadInput(f"{path} is not a file", "Name files that are there; a folder can be packed first.")
    if plan.folder.exists() and (not plan.folder.is_dir() or any(plan.folder.iterdir())):
        raise BadInput(
            f"{plan.folder} exists and is not empty",
            "Name another folder with --dir (make demo DIR=…), or remove it. Nothing was changed.",
            code="exists",
        )


class Play:
    """One run."""

    def __init__(self, plan: Plan, story: Story) -> None:
        self.plan, self.story = plan, story
        self.dir = plan.folder.absolute()

    async def run(self) -> dict[str, object]:
        """Play everything; return the summary, which is written to DIR/summary.json too."""
        folder = self.dir
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        files = self.plan.files or write_dossier(folder / "dossier")
        async with serving_outside() as outside:
            return await self._founded(outside, files=tuple(files))

    async def _founded(self, outside: Outside, *, files: tuple[Path, ...]) -> dict[str, object]:
        story, folder = self.story, self.dir
        with story.step("people", "People make their keys, each in a folder of his own"):
            cast = await gather_cast(folder / "people", self.plan.judges)
            story.say(f"{len(cast.people)} people in {folder / 'people'}; their keys lie under passphrases")
            story.say(
                "outside the registry: a certification authority, two time-stamp authorities, a calendar, a chain"
            )
            founded = await found_registry(folder / "registry", cast, self.plan.stores, outside)
            (folder / "trust.json").write_text(founded.founding.trust + "\n", encoding="utf-8")
            (folder / "policy.txt").write_text(founded.founding.policy, encoding="utf-8")
        async with AsyncExitStack() as stack:
            what = "the registry" if self.plan.replicas == 1 else f"{self.plan.replicas} replicas of the registry"
            with story.step("service", f"Two witnesses and {what} start, each its own process; the genesis is posted"):
                await stack.enter_async_context(watching(folder / "witnesses"))
                replicas = await stack.enter_async_context(serving(folder / "registry", self.plan.replicas))
                hand_out(cast, founded.founding.trust, replicas.service)
                clients = await stack.enter_async_context(connected(cast.everybody(), replicas.service))
                await clients["registrar"].submit(founded.founding.genesis)
                story.say(f"{ORIGIN} at {' and '.join(replicas.processes)}")
                for name, url in sorted(self.plan.stores.items()):
                    story.say(f"{name} are kept at {url}")
                trust_hash = hashlib.sha256(founded.founding.trust.encode()).hexdigest()
                story.say(f"everyone has the trust file, SHA-256 {trust_hash}")
                story.say(f"it demands that the witnesses {' and '.join(NAMES)} have cosigned")
            return await self._with_service(cast, founded, clients, replicas, outside, files=files)

    async def _with_service(
        self,
        cast: Cast,
        founded: Founded,
        clients: Mapping[str, Client],
        replicas: Replicas,
        outside: Outside,
        *,
        files: tuple[Path, ...],
    ) -> dict[str, object]:
        story, folder, k, n = self.story, self.dir, self.plan.threshold, self.plan.judges
        consent = consent_of([(clients[name], cast[name]) for name in AUTHORITY[:REQUIRED]])
        with story.step("appointments", f"{REQUIRED} of {len(AUTHORITY)} of the authority appoint a clerk and judges"):
            roles: list[tuple[str, Role]] = [("clerk", "clerk"), *((judge, "judge") for judge in cast.judges)]
            for name, role in [*roles, ("lawyer-1", "depositor"), ("lawyer-2", "party")]:
                await appoint(clients["registrar"], consent, cast[name], role)
            story.say(f"a clerk, {n} judges, two lawyers; the lawyers' enrolments are readable to few")
        with story.step("ceremony", f"{n} judges make a joint key of which any {k} hold enough, and nobody the whole"):
            judges = [(clients[name], cast[name]) for name in cast.judges]
            panel_id = await hold_ceremony(clients["registrar"], consent, judges, k)
            story.say(f"panel {panel_id.hex()[:16]}…, certified by all {n} acknowledgments")
        with story.step("case", "The clerk opens a case, with sealed words, and assigns the panel"):
            case_id = await self._open_case(cast, clients, panel_id)
            story.say(f"case {case_id.hex()}; judge 1 presides")
        with story.step("deposit", "Lawyer 1 seals the evidence on his own machine, and deposits it"):
            accepted = await self._deposit(clients["lawyer-1"], case_id, files, replicas)
            replicas.tell_of_failover(clients["lawyer-1"], story)
            self._tell_receipt(accepted)
        with story.step("proof", "A proof file, checked offline as an outsider would"):
            await self._prove(clients["lawyer-1"], accepted, files)
        with story.step("anchors", "Time-stamp authorities and a block chain vouch for it; the proof file grows"):
            await self._grow(cast, clients["lawyer-1"], founded, replicas, outside, files=files)
        with story.step("certificate", "The registry's office seals a certificate that a court can file"):
            await self._certify(clients["lawyer-1"], accepted, files)
        story.head("Two attacks")
        with story.step("attack_proof", "Somebody back-dates the deposit in the proof file by a day"):
            await self._attack_proof(files)
        with story.step("attack_panel", "Operator and registrar, with the log's own key, run a panel of their own"):
            unwitnessed, unapproved = await substitute_panel(
                folder / "registry", folder / "attack-panel", cast, case_id=case_id, files=files, threshold=k
            )
            self._told(unwitnessed, "quorum_missing")
            story.say("and if his trust file demanded no witness:")
            self._told(unapproved, "replay_refused")
            story.say("both times his client refused before it read a file")
        with story.step("release", f"Judge 1 orders the opening for lawyer 2; {k} judges grant it"):
            asked = await self._release(cast, clients, accepted)
        with story.step("opening", "Lawyer 2 fetches the ciphertext, opens it and compares"):
            opened = await self._open(clients["lawyer-2"], asked)
            pairs = self._compare(opened, accepted, files)
            await self._with_stock_age(pairs)
        async with AsyncExitStack() as stack:
            if replicas.killed is not None:
                with story.step("replica", "The replica that was killed starts again"):
                    await replicas.restart(stack, cast["lawyer-2"], story)
        story.head("A third attack")
        with story.step(
            "attack_segment", "A copy of the registry is served elsewhere, one byte of one segment changed"
        ):
            # A copy of a ledger that goes on would be refused as a fork before its evidence is looked at.
            async with asyncio.timeout(ANCHOR_SECONDS):
                await all_anchored(clients["lawyer-2"])
            last = len(accepted.manifest.items) - 1
            place = (last, len(accepted.manifest.items[last].segments) - 1)
            failed = await alter_evidence(
                folder / "registry",
                folder / "attack-segment",
                cast["lawyer-2"],
                deposit_id=accepted.deposit_id,
                request=asked,
                place=place,
            )
            self._told(failed, "segment_mismatch")
        for name in ("attack-panel", "attack-segment"):
            shutil.rmtree(folder / name)
        return self._summarise(cast, founded, replicas, accepted, asked, pairs=pairs)

    async def _open_case(self, cast: Cast, clients: Mapping[str, Client], panel_id: bytes) -> bytes:
        clerk = clients["clerk"]
        case_id = clerk.rng(16)
        readers = [cast[name].keys.card.notes for name in ("clerk", "lawyer-1", "lawyer-2", *cast.judges)]
        note = await clerk.put_note("Lindqvist v Borealis Timber, T 417-26: sale of standing timber", (), readers)
        await clerk.post(CaseOpen(case_id=case_id, note=note))
        await clerk.post(CaseAssign(case_id=case_id, panel_id=panel_id, presiding=cast[cast.judges[0]].id))
        for name in ("lawyer-1", "lawyer-2"):
            await clerk.post(CaseParty(case_id=case_id, member=cast[name].id, note=None))
        return case_id

    async def _deposit(self, client: Client, case_id: bytes, files: Sequence[Path], replicas: Replicas) -> Accepted:
        def show_panels(panels: Sequence[CertifiedPanel]) -> None:
            for panel in panels:
                names = ", ".join(person.name for person in panel.judges)
                self.story.say(f"the panel, followed from the trust file: {panel.k} of {panel.n}: {names}")

        total = sum(path.stat().st_size for path in files)
        kill_half_way = replicas.killer(client, total)
        with Teller(as_json=False) as teller:

            def watched(activity: Activity) -> None:
                teller(activity)
                if activity.doing == UPLOADING:
                    kill_half_way(activity.done)

            return await Depositor(client).deposit(
                case_id,
                [Evidence(path=path) for path in files],
                description="Scan, contract and recording of the inspection",
                origin="Received from the client on paper and disk",
                approve=show_panels,
                progress=watched,
            )

    def _tell_receipt(self, accepted: Accepted) -> None:
        story = self.story
        for item in accepted.inventory.items:
            story.say(f"{item.name}, {human_size(item.size)}, SHA-256 {item.sha256.hex()[:16]}…")
        checkpoint = Proof.parse(accepted.receipt.tlog_proof).checkpoint.split("\n")
        story.say(
            f"receipt: entry {accepted.receipt.index} of {checkpoint[0]}, proven under the checkpoint of "
            f"size {checkpoint[1]}"
        )
        story.say("the deposit's key is destroyed on this machine too; from here on only judges can open it")

    async def _prove(self, client: Client, accepted: Accepted, files: Sequence[Path]) -> None:
        remembered = kept(client.vault, accepted.deposit_id)
        shown = [each for each in remembered.inventory.disclosures if each.item is not None and each.slot in SHOWN]
        proof = make_proof(await client.sync(), accepted.deposit_id, remembered.manifest, shown, client.trust)
        path = self.dir / "deposit.proof.json"
        path.write_bytes(proof)
        code, text = await self._verify(path, files)
        if code != 0:
            raise Mismatch(f"the proof does not verify:\n{text}", code="demo_failed")
        self.story.say(f"muniment verify {path.name} FILES --trust trust.json: exit 0")
        self.story.say("\n".join(line.strip() for line in text.splitlines() if line.startswith(("VERIFIED", "  item"))))

    async def _grow(
        self,
        cast: Cast,
        client: Client,
        founded: Founded,
        replicas: Replicas,
        outside: Outside,
        *,
        files: Sequence[Path],
    ) -> None:
        story, held = self.story, read_held(self.dir / "deposit.proof.json")
        async with asyncio.timeout(ANCHOR_SECONDS):
            while True:
                grown = await grow_proof(client, held.deposit_id, held.manifest, held.disclosures, trust=client.trust)
                if grown.verdict.level is Level.ANCHORED:
                    break
                await asyncio.sleep(0.5)
        replace_held(held, grown, trust=client.trust, now=client.clock())
        # The gazette prints the trust file again, with the headers that there are by now.
        trust = format_json({**json.loads(founded.founding.trust), "headers": outside.headers()})
        (self.dir / "trust.json").write_text(trust + "\n", encoding="utf-8")
        hand_out(cast, trust, replicas.service)
        code, text = await self._verify(held.path, files)
        if code != 0 or "level: anchored" not in text:
            raise Mismatch(f"the proof does not verify, or is not anchored:\n{text}", code="demo_failed")
        story.say(
            f"{held.path.name} was replaced in place; the trust file now has the headers, SHA-256 "
            f"{hashlib.sha256(trust.encode()).hexdigest()[:16]}…"
        )
        shown = ("received", "witnessed", "timestamped", "anchored", "entered not")
        story.say("\n".join(each for line in text.splitlines() if (each := line.strip()).startswith(shown)))

    async def _certify(self, client: Client, accepted: Accepted, files: Sequence[Path]) -> None:
        path = self.dir / "certificate.pdf"
        held = read_held(self.dir / "deposit.proof.json")
        remembered = kept(client.vault, accepted.deposit_id)
        shown = choose(remembered.inventory.disclosures, ("name", "sha256"))
        grown = await grow_proof(client, held.deposit_id, held.manifest, shown, trust=client.trust)
        path.write_bytes(await client.api.certificate(proof=grown.data, lang="en+zh", annexes=("cn", "eu", "us")))
        code, text = await self._verify(path, files)
        if code != 0:
            raise Mismatch(f"the certificate does not verify:\n{text}", code="demo_failed")
        self.story.say(f"{path.name}: {human_size(path.stat().st_size)}, in English and Chinese, with three annexes")
        self.story.say(f"muniment verify {path.name} FILES --trust trust.json: exit 0")
        wanted = ("certificate 2", "sealed by", "good until")
        self.story.say("\n".join(each for line in text.splitlines() if (each := line.strip()).startswith(wanted)))

    async def _attack_proof(self, files: Sequence[Path]) -> None:
        changed = self.dir / "back-dated.proof.json"
        backdate(self.dir / "deposit.proof.json", changed)
        code, text = await self._verify(changed, files)
        if code != 1:
            raise Mismatch(f"a back-dated proof gave exit {code}:\n{text}", code="demo_failed")
        self.story.say("muniment verify: exit 1")
        self.story.say("\n".join(line.strip() for line in text.splitlines() if "FAIL" in line))

    async def _verify(self, proof: Path, files: Sequence[Path]) -> tuple[int, str]:
        """Run the command as its own process."""
        command = ["-m", "app.cli.main", "verify", proof, *files, "--trust", self.dir / "trust.json"]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *map(str, command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        out, _ = await process.communicate()
        return process.returncode or 0, out.decode("utf-8", "replace")

    def _told(self, failed: Failed, expected: str) -> None:
        if failed.code != expected:
            raise Mismatch(f"expected {expected}, and the client said: {failed.message}", code="demo_failed")
        self.story.say(f"refused: {failed.message} [{failed.code}]")

    async def _release(self, cast: Cast, clients: Mapping[str, Client], accepted: Accepted) -> bytes:
        story, k = self.story, self.plan.threshold
        # The judges compare the key on the paper with the one that the order on the ledger names.
        paper = ORDER.format(key=cast["lawyer-2"].id).encode()
        (self.dir / "order.txt").write_bytes(paper)
        for judge in cast.judges:
            (cast[judge].home.path / "order.txt").write_bytes(paper)
        ordered = await order(
            clients[cast.judges[0]],
            case_id=accepted.case_id,
            deposits=[accepted.deposit_id],
            recipients=[cast["lawyer-2"].id],
            paper=paper,
            words="Inspection before the hearing",
        )
        lawyer = clients["lawyer-2"]
        made = await request(
            lawyer, order=ordered.statement.digest, deposit_id=accepted.deposit_id, words="As ordered; for inspection"
        )
        asked = made.statement.digest
        story.say(f"order {ordered.statement.digest.hex()[:16]}…, request {asked.hex()[:16]}…")
        refuses = cast.judges[1] if len(cast.judges) > k else None
        grants = [judge for judge in cast.judges if judge != refuses][:k]
        for number, judge in enumerate(grants, 1):
            if number == k:
                await self._too_few(lawyer, asked)
            own = (cast[judge].home.path / "order.txt").read_bytes()
            _, sent = await Judge(clients[judge]).grant(asked, own)
            assert sent is not None  # noqa: S101 - the case lets contributions come with grants
            story.say(
                f"{cast[judge].keys.name} grants; his contribution left when the grant was proven: entry {sent.index}"
            )
            if refuses is not None and number == 1:
                await Judge(clients[refuses]).refuse(asked, "I want to hear the parties first")
                story.say(f"{cast[refuses].keys.name} refuses, with reasons sealed to the case")
        state = await lawyer.sync()
        if not progress_of(state.view, asked).released:
            raise Mismatch("the request is not released", code="demo_failed")
        return asked

    async def _too_few(self, lawyer: Client, asked: bytes) -> None:
        try:
            await open_request(lawyer, asked, Output(folder=self.dir / "too-early"))
        except Refused as error:
            self.story.say(f"with {self.plan.threshold - 1}: {error.message} [{error.code}]")
            return
        raise AssertionError("fewer than k judges opened the deposit")

    async def _open(self, lawyer: Client, asked: bytes) -> Opened:
        state = await lawyer.sync()
        deposit_id = progress_of(state.view, asked).deposit_id
        fetched = await fetch(lawyer, deposit_id, self.dir / "fetched", request=asked)
        self.story.say(f"{human_size(fetched.total_bytes)} of ciphertext in {fetched.folder}, every segment verified")
        opened = self.dir / "opened"
        opened.mkdir(mode=0o700)
        output = Output(folder=opened, sealed=fetched.folder, identity=opened / "identity.txt")
        return await open_request(lawyer, asked, output)

    def _compare(self, opened: Opened, accepted: Accepted, files: Sequence[Path]) -> list[Pair]:
        pairs = []
        for item, declared, original in zip(opened.items, accepted.inventory.items, files, strict=True):
            if item.path is None or item.verdict != "equal":
                raise Mismatch(f"item {item.item} is {item.verdict}", code="demo_failed")
            digest = _sha256(item.path)
            if not digest == _sha256(original) == declared.sha256.hex():
                raise Mismatch(f"{item.path} differs from {original}", code="demo_failed")
            pairs.append(Pair(item=item.item, original=original, opened=item.path, sha256=digest))
            self.story.say(f"{item.path.name}: equal to the declaration and to the original")
        if opened.receipt is None:
            raise Mismatch("the opening was not published", code="demo_failed")
        self.story.say(f"the verdicts are on the ledger: entry {opened.receipt.index}; the request's key is destroyed")
        return pairs

    async def _with_stock_age(self, pairs: Sequence[Pair]) -> None:
        age = shutil.which("age")
        if age is None:
            self.story.say("the stock age tool is not installed here; with it: age -d -i opened/identity.txt FILE.age")
            return
        for pair in pairs:
            sealed = self.dir / "fetched" / item_name(pair.item)
            process = await asyncio.create_subprocess_exec(
                age, "-d", "-i", str(self.dir / "opened" / "identity.txt"), str(sealed), stdout=asyncio.subprocess.PIPE
            )
            digest = hashlib.sha256()
            stream = process.stdout
            while stream is not None and (piece := await stream.read(1 << 20)):
                digest.update(piece)
            if await process.wait() != 0 or digest.hexdigest() != pair.sha256:
                raise Mismatch(f"stock age does not open {sealed} to the original", code="demo_failed")
        self.story.say("stock age opens the same files with opened/identity.txt, to the same bytes")

    def _summarise(
        self,
        cast: Cast,
        founded: Founded,
        replicas: Replicas,
        accepted: Accepted,
        asked: bytes,
        *,
        pairs: Sequence[Pair],
    ) -> dict[str, object]:
        folder = self.dir
        passphrases = write_passphrases(folder / "passphrases", cast)
        summary: dict[str, object] = {
            "format": "muniment-demo/v1",
            "origin": ORIGIN,
            "ledger_key": founded.log.text,
            "witnesses": str(folder / "witnesses"),
            "genesis": founded.founding.genesis.digest.hex(),
            "case_id": accepted.case_id.hex(),
            "deposit_id": accepted.deposit_id.hex(),
            "deposit_statement": accepted.receipt.statement.digest.hex(),
            "request_id": asked.hex(),
            "k": self.plan.threshold,
            "n": self.plan.judges,
            "files": [
                {"original": str(each.original), "opened": str(each.opened), "sha256": each.sha256} for each in pairs
            ],
            "seconds": self.story.seconds,
            "people": {
                person.name: {
                    "home": str(person.home.path),
                    "passphrase": person.passphrase,
                    "passphrase_file": passphrases[person.name],
                }
                for person in cast.everybody()
            },
            "registry": str(folder / "registry"),
            "replicas": list(replicas.processes),
            "killed_replica": replicas.killed,
            "trust": str(folder / "trust.json"),
            "policy": str(folder / "policy.txt"),
            "proof": str(folder / "deposit.proof.json"),
            "certificate": str(folder / "certificate.pdf"),
            "fetched": str(folder / "fetched"),
            "identity": str(folder / "opened" / "identity.txt"),
        }
        text = json.dumps(summary, ensure_ascii=False, indent=2) + "\n"
        (folder / "summary.json").write_text(text, encoding="utf-8")
        return summary


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def closing_words(summary: Mapping[str, Any], folder: Path) -> list[str]:
    """Return what is told at the end: how long it took, and where everything lies."""
    home, secret = (summary["people"]["lawyer-1"][each] for each in ("home", "passphrase_file"))
    return [
        f"All of it took {sum(summary['seconds'].values()):.1f} seconds.",
        f"{folder}",
        "  summary.json           ids, paths, digests, times, and the demonstration's passphrases",
        "  trust.json, policy.txt what everybody believes; what foreign tools need of it",
        "  deposit.proof.json     what an outsider checks",
        "  certificate.pdf        the same for a court: pages, the proof attached, under the registry's seal",
        "  back-dated.proof.json  the same with another time, as an attack left it: muniment verify refuses it",
        "  registry/              the service's whole state, as far as it is not in stores of your own",
        "  people/                each person's folder, with keys under a passphrase",
        "  fetched/, opened/      ciphertext as age files; what was opened, and the released age identity",
        f"Go on with (muniment is {shutil.which('muniment', path=str(Path(sys.executable).parent)) or 'installed'}):",
        f"  muniment verify {folder}/deposit.proof.json FILE --trust {folder}/trust.json",
        f"  muniment audit --dir {folder}/registry",
        *(f"  muniment witness --dir {folder}/witnesses/{name}" for name in NAMES),
        f"  muniment serve --dir {folder}/registry",
        "and while these three run, as any of the people, for instance:",
        f"  MUNIMENT_HOME={home} MUNIMENT_PASSPHRASE_FILE={secret} muniment case list",
    ]
