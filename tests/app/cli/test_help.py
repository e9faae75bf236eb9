"""Every command, act and argument says what it is."""

import argparse
from collections.abc import Iterator

import pytest

from app.cli.main import COMMANDS, make_parser


def silent(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield what has no help text, below a parser."""
    if not parser.description:
        yield f"{parser.prog}: no description"
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helped = {each.dest for each in action._choices_actions if each.help}
            for name, child in action.choices.items():
                if name not in helped:
                    yield f"{child.prog}: not in the list of its parser"
                yield from silent(child)
        elif not action.help:
            yield f"{parser.prog} {action.option_strings or action.dest}"


def test_no_command_and_no_argument_is_without_help() -> None:
    parser = make_parser()
    assert list(silent(parser)) == []
    lines = [line.split() for line in parser.format_help().splitlines() if line.startswith("    ")]
    assert all(name in [line[0] for line in lines] for name in COMMANDS)


def test_the_check_itself_sees_what_is_missing() -> None:
    parser = argparse.ArgumentParser(prog="p", description="d")
    child = parser.add_subparsers().add_parser("c", help="h")
    child.add_argument("file")
    child.add_argument("--yes", help="said")
    assert list(silent(parser)) == ["p c: no description", "p c file"]


@pytest.mark.parametrize("word", ["-" + "a" * 42, "--" + "b" * 41, "-" + "Z_-" * 14])
def test_a_members_id_may_begin_with_a_dash(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One in 64 does: it is a key's thumbprint in base64url."""
    from app.cli import main as module

    seen: list[object] = []

    def parser(_only: str | None) -> argparse.ArgumentParser:
        made = argparse.ArgumentParser()
        command = made.add_subparsers(dest="command").add_parser("member")
        command.add_argument("member")
        command.add_argument("--judge")
        command.add_argument("others", nargs="*")
        made.set_defaults(version=False, run=lambda args: seen.extend((args.member, args.judge, args.others)) or 0)
        return made

    monkeypatch.setattr(module, "make_parser", parser)
    assert module.main(["member", word, word, word, "--judge", word]) == 0
    assert seen == [word, word, [word, word]]
