"""What a run leaves behind: a summary to read and a report for programs."""

import json
from typing import Any

from bot.actor import Run
from bot.config import ConfigError

_REASONS = {
    "no_unliked_posts": "no post is without a like",
    "nobody_can_like": "nobody can like any more",
}


def report_of(run: Run, proof: dict[str, bool]) -> dict[str, Any]:
    """Makes the report: {members, posts, likes, stopped, enriched, seconds, seed, proof, proven}."""
    return {
        "members": len(run.members),
        "posts": len(run.posts),
        "likes": len(run.likes),
        "stopped": run.plan.stopped,
        "enriched": run.enriched(),
        "seconds": run.seconds,
        "seed": run.seed,
        "proof": proof,
        "proven": all(proof.values()),
    }


def write_report(path: str, report: dict[str, Any]) -> None:
    """Writes the report as JSON. Raises ConfigError when the file cannot be written."""
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(json.dumps(report, indent=2) + "\n")
    except OSError as failure:
        raise ConfigError(f"report: {path} cannot be written: {failure.strerror}") from failure


def summary(report: dict[str, Any]) -> str:
    """Tells the report in lines for a reader."""
    statuses = ", ".join(f"{status} {count}" for status, count in sorted(report["enriched"].items()))
    seconds = ", ".join(f"{phase} {value:.1f} s" for phase, value in report["seconds"].items())
    rules = [f"  {'kept  ' if kept else 'BROKEN'} {rule}" for rule, kept in report["proof"].items()]
    return "\n".join([
        f"members   {report['members']} (enriched: {statuses})",
        f"posts     {report['posts']}",
        f"likes     {report['likes']}",
        f"stopped   {report['stopped']}: {_REASONS[report['stopped']]}",
        f"seconds   {seconds}",
        f"seed      {report['seed']}",
        "proof     " + ("every rule was kept" if report["proven"] else "a rule was BROKEN"),
        *rules,
    ])
