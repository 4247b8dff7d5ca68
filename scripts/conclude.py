"""Print the table of the media's states, and set the run's exit code."""

from collections import Counter
from collections.abc import Collection, Iterable
from itertools import chain, islice
from pathlib import Path

from scripts.lib.errors import MediaState, PipelineError
from scripts.lib.files import replacing
from scripts.lib.records.summary import MediaSummary
from scripts.lib.records.summary_file import read_lines, read_summary
from scripts.lib.text.display_text import printable, short
from scripts.lib.workflow.jobs import job

# The largest number of media to name with each reason; the table has all.
NAMED = 10
LINES_AT_ONCE = 1000


def conclude(*, summary: Path, table: Path, outcome: Path) -> None:
    """Print the table of all media and fail if any of them has no complete result.

    Raises:
        PipelineError: a sentence that says which media failed and why.
    """
    run = read_summary(summary)
    with table.open(encoding="utf-8", newline="") as lines:
        output = chain(["\n"], lines, ["\n"])
        while some := list(islice(output, LINES_AT_ONCE)):
            job.tell_user("".join(some).removesuffix("\n"))
    totals, uploaded = run.totals, run.destination is not None
    left = _of_earlier_runs(read_lines(summary)) if uploaded else ""
    if run.failed:
        failed = set(run.failed)
        others = f" The others are done{' and marked' * uploaded}." if len(failed) < totals.media else ""
        states, some_boxes = set(), False
        for line in read_lines(summary):
            if line.media_id in failed:
                states.add(line.state)
                some_boxes |= line.uploaded_boxes > 0
        raise PipelineError(
            f"{len(failed)} of {totals.media} media have {run.missing_results(some_boxes=some_boxes)} from this run: "
            f"{faults(read_lines(summary), failed)}.{others}{remedy(states, uploaded=uploaded)}{left}"
        )
    in_tator = f", {totals.boxes_in_tator} in Tator" if uploaded else ""
    in_tator += f", and {totals.tracks_in_tator} tracks" if totals.tracks_in_tator is not None else ""
    sentence = f"{totals.media} media, {totals.frames} frames, {totals.boxes} boxes found{in_tator}.{left}"
    job.tell_user(sentence)
    with replacing(outcome) as stream:
        stream.write(sentence + "\n")


def _of_earlier_runs(media: Iterable[MediaSummary]) -> str:
    """Return a sentence about boxes and tracks in Tator that are not of this run; empty if there are none."""
    boxes = tracks = count = 0
    for one in media:
        boxes, tracks = boxes + (one.earlier_boxes or 0), tracks + (one.earlier_tracks or 0)
        count += bool(one.earlier_boxes or one.earlier_tracks)
    parts = [f"{number} {what}" for number, what in ((boxes, "boxes"), (tracks, "tracks")) if number]
    return f" {' and '.join(parts)} of an earlier run are still in Tator, in {count} of the media." if parts else ""


def faults(media: Iterable[MediaSummary], failed: Collection[int]) -> str:
    """Return which media have no complete result and why, grouped by reason.

    Args:
        media: the media of the run.
        failed: the numbers of these media.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for one in media:
        if one.media_id in failed:
            name = f"{one.media_id} ({short(one.name)})" if one.name else str(one.media_id)
            group = one.state, printable(one.reason or "")
            counts[group] += 1
            if counts[group] <= NAMED:
                groups.setdefault(group, []).append(name)
    sentences = []
    for (state, reason), names in groups.items():
        count = counts[state, reason]
        more = f" and {count - NAMED} more" if count > NAMED else ""
        if count == 1:
            sentences.append(f"media {names[0]} is {state}: {reason}")
        else:
            sentences.append(f"{count} media are {state}: {reason} (media {', '.join(names)}{more})")
    return "; ".join(sentences)


def remedy(states: Collection[MediaState], *, uploaded: bool) -> str:
    """Return a sentence about media that fail again in every run until the user does something; empty without such.

    Args:
        states: the states of the media without a complete result.
        uploaded: whether their boxes are uploaded.
    """
    lasting = [state for state in ("damaged", "unreadable", "unsupported") if state in states]
    if not lasting:
        return ""
    leave_out = "leave out" if uploaded else "leave out (media.exclude)"
    accept = "; media.on_damaged: accept accepts damaged media" if "damaged" in states else ""
    return f" Repair, replace or {leave_out} what is {' or '.join(lasting)}{accept}."


if __name__ == "__main__":
    job.run(conclude, snakemake)  # type: ignore[name-defined]
