"""Show the table, and end the run with an honest exit code."""

from pathlib import Path

from scripts.lib import job
from scripts.lib.errors import PipelineError
from scripts.lib.files import read_json, replacing


def conclude(*, summary: Path, table: Path, outcome: Path) -> None:
    """Print the table of all media and fail if any of them has no result.

    Raises:
        PipelineError: a sentence that says which media failed and why.
    """
    content = read_json(summary)
    job.tell_user("\n" + table.read_text(encoding="utf-8"))
    totals = content["totals"]
    if content["failed"]:
        reasons = {line["media_id"]: f"{line['state']}, {line['reason']}" for line in content["media"]}
        faults = "; ".join(f"media {media_id} is {reasons[media_id]}" for media_id in content["failed"])
        raise PipelineError(
            f"{len(content['failed'])} of {totals['media']} media have no boxes in Tator from this run: {faults}. "
            "The others are done and marked."
        )
    sentence = (
        f"{totals['media']} media, {totals['frames']} frames, {totals['boxes']} boxes found, "
        f"{totals['boxes_in_tator']} in Tator."
    )
    job.tell_user(sentence)
    with replacing(outcome) as stream:
        stream.write(sentence + "\n")


if __name__ == "__main__":
    job.run(conclude, snakemake)  # type: ignore[name-defined]
