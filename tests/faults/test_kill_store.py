"""kill -9 of a real S3 server in the middle of a PUT of a depositor's segment: nothing partial, nothing lost, resumed.

The client and the service reach the server through a relay, which kills it when so many bytes of a segment have gone.
On SeaweedFS the bytes come from the client itself, on MinIO through the service.
"""

import asyncio
import hashlib
import secrets
from pathlib import Path

import pytest

from app.client.deposit import Accepted, Depositor, Evidence
from app.errors import AppError
from app.service.places import blob_key
from storage.hosts import S3Place
from storage.s3 import S3BlobStore
from tests.faults.relay import relay_to
from tests.faults.town import Town, audit, make_town, stands
from tests.servers import S3_SECRET, S3_USER, S3Kind, free_ports, running, s3_server
from tests.storage.test_s3 import WHO

SIZE = 3_000_000
STRIKES = (10_000, 1_500_000, SIZE - 200_000)
"""After how many bytes of the segment's request the server dies: at its beginning, half way, near its end."""


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return asyncio.run(make_town(tmp_path_factory.mktemp("store") / "town"))


async def all_whole(store: S3BlobStore) -> int:
    """Whatever the server shows is, byte for byte, what its digest says; return how many there are."""
    stats = await store.list("")
    for stat in stats:
        assert stat.retain_until > 0, "nothing without its lock"
        body = b"".join([piece async for piece in store.get(stat.key, version=stat.version)])
        assert (len(body), hashlib.sha256(body).digest()) == (stat.size, stat.sha256), stat.key
    return len(stats)


@pytest.mark.slow
async def test_a_store_killed_during_a_put_keeps_no_part_and_the_deposit_is_finished(
    founded: Town, tmp_path: Path, s3_kind: S3Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUNIMENT_S3_ACCESS_KEY", S3_USER)
    monkeypatch.setenv("MUNIMENT_S3_SECRET_KEY", S3_SECRET)
    town = founded.copy(tmp_path / "town")
    (port,) = free_ports(1)
    (tmp_path / "s3").mkdir()
    evidence, begun, accepted = tmp_path / "evidence.bin", [], list[Accepted]()
    with running(s3_server(tmp_path / "s3", port, s3_kind)) as server:
        async with relay_to(port) as relay:
            place = S3Place(host="127.0.0.1", port=relay.port, tls=False, bucket="killed")
            with (town.registry / "muniment.toml").open("a") as file:
                file.write(f'blobs = "{place.url}"\n')
            async with town.running() as service:
                store = await S3BlobStore.open(place, WHO)
                for number, strike in enumerate(STRIKES, start=1):
                    evidence.write_bytes(secrets.token_bytes(SIZE))
                    relay.half, relay.strike = strike, server.kill
                    async with town.client("lawyer-1", service.url) as client:
                        with pytest.raises(AppError) as caught:
                            await Depositor(client).deposit(
                                town.case_id, [Evidence(path=evidence)], description="large", planned=begun.append
                            )
                    assert relay.strike is None, (
                        f"it was killed while the segment was on its way, so {caught.value.message}"
                    )
                    assert caught.value.next_step, "whoever deposits is told what to do"
                    await asyncio.to_thread(server.start)
                    assert await store.stat(blob_key(begun[-1], 1, 0)) is None, "no part of it"
                    await all_whole(store)
                    async with town.client("lawyer-1", service.url) as client:
                        done = await Depositor(client).resume(begun[-1])
                        accepted.append(done)
                        for each in accepted:
                            await stands(client, done.state, each)
                    assert await all_whole(store) == 2 * number, "an item and an inventory each"
                await store.close()
            code, text = await audit(town)
            assert code == 0, text
    assert [each.deposit_id for each in accepted] == begun
