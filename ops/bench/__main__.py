"""`python -m ops.bench [NAME…]`: run the named benches, or all, and print a table of ratios."""

import argparse
import importlib
import os
import pkgutil
import platform

from rich.console import Console
from rich.table import Table

import ops.bench


def main() -> None:
    """Run and print."""
    names = sorted(each.name for each in pkgutil.iter_modules(ops.bench.__path__) if not each.name.startswith("_"))
    parser = argparse.ArgumentParser(prog="python -m ops.bench", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"one of: {', '.join(names)}; none: all")
    chosen = parser.parse_args().name or names
    if unknown := sorted(set(chosen) - set(names)):
        parser.error(f"no bench {', '.join(unknown)}; there are: {', '.join(names)}")
    console = Console()
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    console.print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}{load}")
    for name in chosen:
        module = importlib.import_module(f"ops.bench.{name}")
        table = Table("measured", "figure", "ratio", "against", title=f"{name}: {module.TITLE}", title_justify="left")
        for row in module.run():
            table.add_row(row.what, row.figure, row.ratio, row.against)
        console.print(table)


if __name__ == "__main__":
    main()
