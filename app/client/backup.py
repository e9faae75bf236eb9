"""A judge's backup sheet: made at his second visit, restored from the public transcript, void with the next epoch.

What a judge holds of an epoch is 64 bytes: the encryption scalar he, from which his share follows by the transcript
(SPEC 6.6), and the host's seed, which signs his deal in the next reshare. The sheet seals both (`sheet`). A restored
secret is used only after the share that it gives was held against the public share Y_j.
"""

from dataclasses import dataclass
from typing import Annotated, TypeVar

from app.canonical import format_json, parse_json
from app.client.home import Vault
from app.client.judge_keys import HostKeys, JudgeVault
from app.client.lock import only_one
from app.client.session import Client, State
from app.client.sheet import Opened, Sheet, card_tag, new_code, open_sheet, seal_sheet
from app.client.visit import approved_proposal, closed_epoch, panel_of, session_of, visit
from app.errors import AppError, Mismatch, Refused
from app.fields import Hex, Int, read_record, write_record
from app.panels.errors import PanelError
from app.panels.making.ack import recover
from app.panels.making.signature import public_key
from app.panels.states import SessionStatus
from app.rules.aggregates import Epoch, Panel
from app.statements.kinds import Digest

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupMade:
    """That a sheet is there: for which card, known since when, last proved good when (Unix seconds). No secret."""

    panel_id: Digest
    epoch: Annotated[int, Int(1, 2**32 - 1)]
    card_tag: Annotated[bytes, Hex(11)]
    made_at: Annotated[int, Int()]
    tested_at: Annotated[int, Int()] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredAt:
    """That secrets of a panel came from a sheet, and when (Unix seconds): deals made before that are not known here."""

    panel_id: Digest
    at: Annotated[int, Int()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """A sheet and its code, to be kept apart; and what the paper says in clear."""

    sheet: Sheet
    code: str
    panel_id: bytes
    judge: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was restored: the judge's index in the current epoch. `was_there`: the same secrets were in this home."""

    panel_id: bytes
    epoch: int
    index: int
    was_there: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheets:
    """What a judge should do about paper: panels whose secrets are on no sheet, and sheets that are void."""

    missing: tuple[bytes, ...]
    void: tuple[BackupMade, ...]


class BackupVault:
    """What a judge's home remembers of his sheets."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def made(self) -> tuple[BackupMade, ...]:
        """Every sheet that was made here and not reported destroyed."""
        names = [each for each in self._vault.names("secrets") if each.startswith("sheet-")]
        return tuple(found for name in names if (found := self._get(BackupMade, name)) is not None)

    def put(self, made: BackupMade) -> None:
        """Remember a sheet; one for the same card is replaced."""
        self._put(f"sheet-{made.card_tag.hex()}", made)

    def forget(self, made: BackupMade) -> None:
        """Forget a sheet: its paper is no more."""
        self._vault.delete("secrets", f"sheet-{made.card_tag.hex()}")

    def restored_at(self, panel_id: bytes) -> int | None:
        """When secrets of the panel were last restored into this home, Unix seconds."""
        found = self._get(RestoredAt, f"restored-{panel_id.hex()}")
        return found.at if found is not None else None

    def put_restored(self, made: RestoredAt) -> None:
        """Remember it; durable on return."""
        self._put(f"restored-{made.panel_id.hex()}", made)

    def _put(self, name: str, record: object) -> None:
        self._vault.put("secrets", name, format_json(write_record(record)).encode())

    def _get(self, record: type[R], name: str) -> R | None:
        data = self._vault.get("secrets", name)
        return read_record(record, parse_json(data, what=name, max_bytes=4096), name) if data is not None else None


async def back_up(client: Client, panel_id: bytes) -> Printed:
    """Make a sheet of this judge's secrets for a panel, under a fresh code. A sheet made before stays good, too.

    What is sealed is what he holds of the session that he acknowledged last, else of the current epoch. Call `noted`
    when the sheet is written and its code was shown; after a crash before that he is asked for a sheet again.

    Raises Refused (unknown_panel, nothing_to_back_up, not_my_card).
    """
    with only_one(client.home.path):
        state = await client.sync()
        panel = panel_of(state.view, panel_id)
        card = _card_held(state, panel)
        keys = JudgeVault(client.vault).host_of(card)
        if keys is None:
            raise Refused(
                f"your card for the panel {panel_id.hex()} was given from another home, which has its keys",
                "Use that home, or restore a sheet that was made there.",
                code="not_my_card",
            )
        code = new_code(client.rng(13))
        sheet = seal_sheet(epoch=keys.epoch, card=card, host=keys.host, he=keys.he, code=code)
        if open_sheet(sheet, card=card, code=code) != Opened(host=keys.host, he=keys.he):
            raise AssertionError("a sheet gives back what it was made of")
        return Printed(sheet=sheet, code=code, panel_id=panel_id, judge=state.me.id, name=state.me.name)


def noted(client: Client, printed: Printed) -> None:
    """Remember that a sheet was made."""
    made = BackupMade(
        panel_id=printed.panel_id,
        epoch=printed.sheet.epoch,
        card_tag=printed.sheet.card_tag,
        made_at=client.clock(),
        tested_at=None,
    )
    BackupVault(client.vault).put(made)


async def restore(client: Client, panel_id: bytes, sheet: Sheet, code: str) -> Restored:
    """Put the secrets of a sheet into this home, after the share that they give was held against the public one.

    Raises Refused (unknown_panel, no_epoch, backup_void, backup_not_certified, not_on_panel, wrong_backup_sheet),
    Mismatch (wrong_backup_code, wrong_backup_sheet), PanelError where the panel's transcript does not verify.
    """
    with only_one(client.home.path):
        state = await client.sync()
        keys = open_for(state, panel_id, sheet, code)
        judges = JudgeVault(client.vault)
        known = judges.host_of(keys.card)
        if known is None:
            # Before the secrets: a crash in between must not leave keys that forget that they were restored.
            BackupVault(client.vault).put_restored(RestoredAt(panel_id=panel_id, at=client.clock()))
            judges.put_host(keys)
        tested(client, panel_id, sheet)
        return Restored(
            panel_id=panel_id,
            epoch=keys.epoch,
            index=_seats(state, panel_of(state.view, panel_id)).index(state.me.id) + 1,
            was_there=known is not None,
        )


def open_for(state: State, panel_id: bytes, sheet: Sheet, code: str) -> HostKeys:
    """Open a sheet against the panel's verified transcript; nothing is kept. Raises as `restore`."""
    panel = panel_of(state.view, panel_id)
    current = panel.state.current
    if current is None:
        raise Refused(
            f"the panel {panel_id.hex()} has no certified epoch: there is no share to recover",
            "Finish its key ceremony first.",
            code="no_epoch",
        )
    if sheet.epoch != current.epoch:
        raise _other_epoch(sheet, current.epoch)
    seats = _seats(state, panel)
    if state.me.id not in seats:
        raise Refused(f"you are no judge of the panel {panel_id.hex()} now", "Name your panel.", code="not_on_panel")
    closed, epoch = closed_epoch(state.view, panel)
    index = seats.index(state.me.id) + 1
    card = closed.session.header.cards[index - 1]
    if sheet.card_tag != card_tag(card.encoded):
        raise Refused(
            f"the sheet is for another card than yours in the epoch {current.epoch} of the panel {panel_id.hex()}",
            "Name the panel that it was made for, or take the sheet that was made after you acknowledged.",
            code="wrong_backup_sheet",
        )
    opened = open_sheet(sheet, card=card.encoded, code=code)
    try:
        recover(closed, epoch.certificate, judge=index, he=opened.he)
        fits = public_key(opened.host) == card.host
    except PanelError as error:
        raise Mismatch(
            f"the sheet's secret does not give your share of the panel {panel_id.hex()} [{error.code}]",
            "Keep the sheet and tell the authority: it was not made by this program.",
            code="wrong_backup_sheet",
        ) from error
    if not fits:
        raise Mismatch(
            "the sheet's host seed is not that of your card", "Tell the authority.", code="wrong_backup_sheet"
        )
    proposal = approved_proposal(state.view, panel, current.epoch)
    return HostKeys(
        panel_id=panel_id,
        epoch=current.epoch,
        proposal=proposal if proposal is not None else bytes(32),
        host=opened.host,
        he=opened.he,
        card=card.encoded,
    )


def tested(client: Client, panel_id: bytes, sheet: Sheet) -> None:
    """Remember that a sheet has just proved good."""
    now, kept = client.clock(), BackupVault(client.vault)
    known = next((each.made_at for each in kept.made() if each.card_tag == sheet.card_tag), now)
    kept.put(BackupMade(panel_id=panel_id, epoch=sheet.epoch, card_tag=sheet.card_tag, made_at=known, tested_at=now))


def destroyed(client: Client, panel_id: bytes) -> tuple[BackupMade, ...]:
    """Forget the void sheets of a panel, whose paper the judge says he destroyed; the client must have synced."""
    if client.state is None:
        raise AssertionError("sync first")
    void = tuple(each for each in sheets(client.state, client.vault).void if each.panel_id == panel_id)
    for each in void:
        BackupVault(client.vault).forget(each)
    return void


def sheets(state: State, vault: Vault) -> Sheets:
    """What is to be done about paper: pure but for what the home remembers."""
    made, judges = BackupVault(vault).made(), JudgeVault(vault)
    backed = {each.card_tag for each in made}
    missing = []
    for each in state.view.aggregates.values():
        if isinstance(each, Panel):
            try:
                card = _card_held(state, each)
            except AppError:
                continue
            if card_tag(card) not in backed and judges.host_of(card) is not None:
                missing.append(each.state.panel_id)
    return Sheets(missing=tuple(sorted(missing)), void=tuple(each for each in made if _is_void(state, each)))


def _card_held(state: State, panel: Panel) -> bytes:
    """The card behind which this judge's newest share stands. Raises Refused (nothing_to_back_up)."""
    if panel.live is not None:
        session = session_of(state.view, panel.live)
        acked = {index for index, _ in session.state.acks}
        if state.member in session.judges and session.state.status is SessionStatus.DEALT:
            index = session.judges.index(state.member) + 1
            if index in acked:
                return visit(state.view, panel.live).header.cards[index - 1].encoded
    if panel.state.current is not None:
        seats = _seats(state, panel)
        if state.member in seats:
            cards = session_of(state.view, panel.state.current.session).state.session.header.cards
            return cards[seats.index(state.member)].encoded
    raise Refused(
        f"you hold no share of the panel {panel.id}",
        "A sheet is made when you have acknowledged (visit 2).",
        code="nothing_to_back_up",
    )


def _is_void(state: State, made: BackupMade) -> bool:
    panel = state.view.find(Panel, made.panel_id.hex())
    current = panel.state.current if panel is not None else None
    return current is not None and current.epoch > made.epoch


def _seats(state: State, panel: Panel) -> tuple[str, ...]:
    epoch = state.view.find(Epoch, panel.epoch_id.hex()) if panel.epoch_id is not None else None
    return epoch.judges if epoch is not None else ()


def _other_epoch(sheet: Sheet, current: int) -> Refused:
    if sheet.epoch < current:
        return Refused(
            f"the sheet is for the epoch {sheet.epoch}, and the panel is in its epoch {current}: it is void",
            "Destroy it, paper and code. Take the sheet of the current epoch; without one, ask for the next reshare.",
            code="backup_void",
        )
    return Refused(
        f"the sheet is for the epoch {sheet.epoch}, which was not certified; the panel is in its epoch {current}",
        "Keep the sheet until that epoch is certified; take the sheet of the current one.",
        code="backup_not_certified",
    )
