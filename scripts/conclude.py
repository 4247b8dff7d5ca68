"""Print the table of the media's states, and set the run's exit code."""

from pathlib import Path
from typing import Any

from scripts.lib.display_text import printable, short
from scripts.lib.errors import PipelineError
from scripts.lib.files import read_json, replacing
from scripts.lib.workflow import job

# Of media with the same reason so many are named; the table has all.
NAMED = 10


def conclude(*, summary: Path, table: Path, outcome: Path) -> None:
    """Print the table of all media and fail if any of them has no result.

    Raises:
        PipelineError: a sentence that says which media failed and why.
    """
    content = read_json(summary)
    job.tell_user("\n" + table.read_text(encoding="utf-8"))
    totals = content["totals"]
    uploaded = content["destination"] is not None
    if content["failed"]:
        none, others = ("no boxes in Tator", "done and marked") if uploaded else ("no result", "done")
        raise PipelineError(
            f"{len(content['failed'])} of {totals['media']} media have {none} from this run: "
            f"{faults(content)}. The others are {others}."
        )
    in_tator = f", {totals['boxes_in_tator']} in Tator" if uploaded else ""
    in_tator += f", and {totals['tracks_in_tator']} tracks" if "tracks_in_tator" in totals else ""
    sentence = f"{totals['media']} media, {totals['frames']} frames, {totals['boxes']} boxes found{in_tator}."
    job.tell_user(sentence)
    with replacing(outcome) as stream:
        stream.write(sentence + "\n")


def faults(content: dict[str, Any]) -> str:
    """Return which media of a summary have no result and why, those of the same reason together.

    Args:
        content: what summarize wrote.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    failed = set(content["failed"])
    for line in content["media"]:
        if line["media_id"] in failed:
            name = f"{line['media_id']} ({short(line['name'])})" if line["name"] else str(line["media_id"])
            groups.setdefault((line["state"], printable(line["reason"] or "")), []).append(name)
    sentences = []
    for (state, reason), names in groups.items():
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        if len(names) == 1:
            sentences.append(f"media {names[0]} is {state}: {reason}")
        else:
            sentences.append(f"{len(names)} media are {state}: {reason} (media {', '.join(names[:NAMED])}{more})")
    return "; ".join(sentences)


if __name__ == "__main__":
    job.run(conclude, snakemake)  # type: ignore[name-defined]
