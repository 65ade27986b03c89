"""`python -m tests.bench [PART …]`: measure, print, and fail where a goal is missed."""

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable
from types import FrameType

from amda.embedded import EmbeddedError
from tests.bench import alerts, inbox, intake, vendors
from tests.bench.report import Report, Unmeasurable
from tests.bench.stage import Stage

PARTS: dict[str, Callable[..., Report]] = {
    "intake": intake.measure,
    "inbox": inbox.measure,
    "alerts": alerts.measure,
    "vendors": vendors.measure,
}


def main() -> int:
    """The exit status: 1 where a goal is missed or nothing could be measured."""
    options = _options()
    signal.signal(signal.SIGTERM, _stop)
    try:
        with Stage.built() as stage:
            reports = [
                PARTS[name](stage, rounds=options.rounds, seconds=options.seconds)
                for name in options.parts or PARTS
            ]
    except (EmbeddedError, Unmeasurable) as exc:
        print(exc, file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as exc:
        print(f"“{' '.join(exc.cmd[:3])} …” failed:\n{exc.stderr or exc.output}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return _tell(reports)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; or all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="for each cell of a round")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no part called {', '.join(sorted(unknown))}")
    if options.rounds < 1 or options.seconds < 1:
        parser.error("--rounds and --seconds must be 1 or more")
    return options


def _stop(number: int, frame: FrameType | None) -> None:
    # As Ctrl-C does, so that servers and cluster are taken down.
    raise KeyboardInterrupt


def _tell(reports: list[Report]) -> int:
    for report in reports:
        print(f"\n{report.text}")
    missed = [sentence for report in reports for sentence in report.missed]
    for sentence in missed:
        print(sentence, file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
