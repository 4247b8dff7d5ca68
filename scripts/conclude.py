"""Print the table of the media's states, and set the run's exit code."""

from collections.abc import Collection, Iterable
from pathlib import Path

from scripts.lib.display_text import printable, short
from scripts.lib.errors import PipelineError
from scripts.lib.files import replacing
from scripts.lib.record_files import read_record
from scripts.lib.records.summary import MediaSummary, SummaryRecord
from scripts.lib.workflow import job

# Of media with the same reason so many are named; the table has all.
NAMED = 10


def conclude(*, summary: Path, table: Path, outcome: Path) -> None:
    """Print the table of all media and fail if any of them has no result.

    Raises:
        PipelineError: a sentence that says which media failed and why.
    """
    run = read_record(SummaryRecord, summary)
    job.tell_user("\n" + table.read_text(encoding="utf-8"))
    totals, uploaded = run.totals, run.destination is not None
    if run.failed:
        others = "done and marked" if uploaded else "done"
        raise PipelineError(
            f"{len(run.failed)} of {totals.media} media have {run.lacking} from this run: "
            f"{faults(run.media, set(run.failed))}. The others are {others}."
        )
    in_tator = f", {totals.boxes_in_tator} in Tator" if uploaded else ""
    in_tator += f", and {totals.tracks_in_tator} tracks" if totals.tracks_in_tator is not None else ""
    sentence = f"{totals.media} media, {totals.frames} frames, {totals.boxes} boxes found{in_tator}."
    job.tell_user(sentence)
    with replacing(outcome) as stream:
        stream.write(sentence + "\n")


def faults(media: Iterable[MediaSummary], failed: Collection[int]) -> str:
    """Return which media have no result and why, those of the same reason together.

    Args:
        media: those of the run.
        failed: the numbers of those without a result.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for one in media:
        if one.media_id in failed:
            name = f"{one.media_id} ({short(one.name)})" if one.name else str(one.media_id)
            groups.setdefault((one.state, printable(one.reason or "")), []).append(name)
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
