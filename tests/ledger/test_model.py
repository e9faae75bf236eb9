"""The ledger against a list and the RFC's own recursion: 10,000 random steps and more, real sequencer and tree."""

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ledger.checkpoint import verify_checkpoint
from ledger.merkle import leaf_hash, verify_consistency, verify_inclusion
from ledger.sequencer import Sequencer
from ledger.tiles import Bundle, Tile, decode_bundle, split_tile
from ledger.tree import Tree
from tests.ledger.growing import path_by_recursion, proof_by_recursion, root_by_recursion, signer
from tests.ledger.rules import UniqueWords
from tests.ledger.stores import DictStore

SIGNER = signer("ledger.example/notary")


class Ledger(RuleBasedStateMachine):
    """`words` is the model. Every published size is remembered, and stays provable."""

    steps = 0
    """Rules that were carried out, in all runs."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.store = DictStore()
        self.words: list[bytes] = []
        self.roots: dict[int, bytes] = {0: root_by_recursion([])}
        self._open()

    def _open(self) -> None:
        self.tree = Tree(self.store, cached_batch_bytes=2000, cached_tiles=2)
        self.sequencer = Sequencer(
            self.store, UniqueWords(self.store), SIGNER, SIGNER.name, lambda: 0, window_seconds=0
        )
        self.loop.run_until_complete(self.sequencer.start())

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.run_until_complete(self.sequencer.close())
            self.loop.close()

    def _leaves(self, size: int) -> list[bytes]:
        return [leaf_hash(word) for word in self.words[:size]]

    def _size(self, data: st.DataObject, least: int = 1) -> int:
        return data.draw(st.sampled_from([size for size in self.roots if size >= least]))

    @rule(count=st.integers(1, 40), repeat=st.booleans())
    def append(self, count: int, repeat: bool) -> None:
        Ledger.steps += 1
        words = [b"%d" % number for number in range(len(self.words), len(self.words) + count)]
        asked = [*words, words[0]] if repeat else words

        async def submit() -> list[int]:
            found = await asyncio.gather(*(self.sequencer.submit(word) for word in asked))
            return [committed.index for committed in found]

        indices = self.loop.run_until_complete(submit())
        assert indices == [int(word) for word in asked]
        self.words += words
        self.roots[len(self.words)] = root_by_recursion(self._leaves(len(self.words)))

    @rule()
    def restart(self) -> None:
        Ledger.steps += 1
        self.loop.run_until_complete(self.sequencer.close())
        self._open()

    @rule()
    def write_tiles(self) -> None:
        Ledger.steps += 1
        self.loop.run_until_complete(self.tree.write_tiles(len(self.words)))

    @rule(data=st.data())
    @precondition(lambda self: self.words)
    def inclusion(self, data: st.DataObject) -> None:
        Ledger.steps += 1
        size = self._size(data)
        index = data.draw(st.integers(0, size - 1))
        path = self.loop.run_until_complete(self.tree.inclusion(index, size))
        assert list(path) == path_by_recursion(index, self._leaves(size))
        verify_inclusion(index, size, leaf_hash(self.words[index]), path, self.roots[size])

    @rule(data=st.data())
    @precondition(lambda self: self.words)
    def consistency(self, data: st.DataObject) -> None:
        Ledger.steps += 1
        size2 = self._size(data)
        size1 = data.draw(st.sampled_from([size for size in self.roots if 1 <= size <= size2]))
        path = self.loop.run_until_complete(self.tree.consistency(size1, size2))
        assert list(path) == proof_by_recursion(size1, self._leaves(size2))
        verify_consistency(size1, self.roots[size1], size2, self.roots[size2], path)

    @rule(data=st.data())
    @precondition(lambda self: self.words)
    def tile_and_bundle(self, data: st.DataObject) -> None:
        Ledger.steps += 1
        index = data.draw(st.integers(0, (len(self.words) - 1) // 256))
        width = data.draw(st.integers(1, min(256, len(self.words) - 256 * index)))
        words = self.words[256 * index : 256 * index + width]
        tile = self.loop.run_until_complete(self.tree.tile(Tile(level=0, index=index, width=width)))
        assert split_tile(tile, width) == tuple(leaf_hash(word) for word in words)
        bundle = self.loop.run_until_complete(self.tree.bundle(Bundle(index=index, width=width)))
        assert decode_bundle(bundle, width) == tuple(words)

    @invariant()
    def the_signed_checkpoint_is_the_model(self) -> None:
        if hasattr(self, "words"):
            signed = verify_checkpoint(self.sequencer.checkpoint, [SIGNER.key])
            assert (signed.size, signed.root) == (len(self.words), self.roots[len(self.words)])


def test_ten_thousand_steps() -> None:
    """Counted, because a run may end early; each round draws anew."""
    Ledger.steps, some = 0, settings(max_examples=50, stateful_step_count=50, deadline=None, database=None)
    while Ledger.steps < 10_000:
        before = Ledger.steps
        run_state_machine_as_test(Ledger, settings=some)
        assert Ledger.steps > before
