"""Write the counts in two standard formats: Darwin Core occurrences, and MaxN as EventMeasure writes it."""

from collections.abc import Mapping
from pathlib import Path

from scripts.lib.files import replacing
from scripts.lib.pages.tator_place import TatorPlace
from scripts.lib.text import csv_text
from scripts.lib.text.display_text import printable
from scripts.lib.workflow.jobs import job

# Terms that a media may have as attributes; case, spaces and underscores are ignored.
FROM_ATTRIBUTES = (
    *("eventDate", "decimalLatitude", "decimalLongitude", "geodeticDatum", "coordinateUncertaintyInMeters"),
    *("minimumDepthInMeters", "maximumDepthInMeters", "locality", "locationID", "country", "habitat"),
    *("institutionCode", "datasetName", "recordedBy"),
)
OCCURRENCE = (
    *("occurrenceID", "eventID", "basisOfRecord", "occurrenceStatus", "scientificName", "individualCount"),
    *("organismQuantity", "organismQuantityType", "samplingProtocol", "sampleSizeValue", "sampleSizeUnit"),
    *("associatedMedia", "identificationRemarks", "occurrenceRemarks", "fieldNumber"),
    *FROM_ATTRIBUTES,
)
MAX_N = ("OpCode", "Filename", "Frame", "Time (mins)", "Period", "Family", "Genus", "Species", "MaxN")


def export_counts(
    *,
    counts: Path,
    network: str,
    occurrences: Path,
    max_n: Path,
    dataset: str | None = None,
    host: str | None = None,
    project_id: int | None = None,
) -> None:
    """Write the table of count_species in two other formats.

    In Darwin Core each media and species is an occurrence, a machine observation, with MaxN as the count of
    individuals. A species that was not seen is `absent`, but not if a track has it, whose boxes may score too little to
    count. Date, place and depth come from attributes of the media that are named like Darwin Core's terms, and are
    empty without them.

    Args:
        counts: the CSV of count_species.
        network: the network's name.
        occurrences: the CSV file to write.
        max_n: the text file to write, separated by tabs.
        dataset: what the ids begin with; None for Tator's host and project.
        host: Tator's address; None for media of a folder.
        project_id: the project; None for media of a folder.
    """
    place = None if host is None or project_id is None else TatorPlace(host, project_id, version=None)
    with replacing(occurrences) as stream:
        rows = csv_text.dict_writer(stream, OCCURRENCE)
        for row in csv_text.read_rows(counts):
            if row["max_n"] != "0" or row["tracks"] in ("", "0"):
                rows.writerow(_occurrence(row, place, network, dataset))
    with replacing(max_n) as stream:
        stream.write("\t".join(MAX_N) + "\n")
        for row in csv_text.read_rows(counts):
            if row["max_n"] != "0":
                stream.write("\t".join(printable(field) for field in _max_n_fields(row)) + "\n")


def _occurrence(row: Mapping[str, str], place: TatorPlace | None, network: str, dataset: str | None) -> dict[str, str]:
    media_id, seen = int(row["media_id"]), row["max_n"] != "0"
    if dataset is None and place is not None:
        dataset = f"{place.host.partition('://')[2]}:{place.project_id}"
    event = str(media_id) if dataset is None else f"{dataset}:{media_id}"
    attributes: dict[str, str] = {}
    for name, value in row.items():  # the first value, if names differ in case or punctuation only
        attributes[_normalized(name)] = attributes.get(_normalized(name)) or value
    frame = int(row["max_n_frame"]) if seen else None
    return {
        "occurrenceID": f"{event}:{row['species']}",
        "eventID": event,
        "basisOfRecord": "MachineObservation",
        "occurrenceStatus": "present" if seen else "absent",
        "scientificName": row["species"],
        "individualCount": row["max_n"],
        "organismQuantity": row["max_n"],
        "organismQuantityType": "MaxN",
        "samplingProtocol": "MaxN: the most boxes of the species in one frame, found by a network",
        "sampleSizeValue": row["frames_looked_at"],
        "sampleSizeUnit": "frames",
        "associatedMedia": place.address(media_id, frame) if place else row["name"],
        "identificationRemarks": f"network {network}; boxes that score {row['threshold']} or more",
        "occurrenceRemarks": f"MaxN in frame {frame}" if seen else "",
        "fieldNumber": row["name"],
        **{term: attributes.get(_normalized(term), "") for term in FROM_ATTRIBUTES},
    }


def _normalized(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _max_n_fields(row: Mapping[str, str]) -> list[str]:
    words = row["species"].split()
    genus, species = (words[0], " ".join(words[1:])) if len(words) > 1 else ("", row["species"])
    minutes = f"{float(row['max_n_seconds']) / 60:.5f}" if row["max_n_seconds"] else ""
    return [
        row["section"] or row["name"],
        row["name"],
        row["max_n_frame"],
        minutes,
        "",
        "",
        genus,
        species,
        row["max_n"],
    ]


if __name__ == "__main__":
    job.run(export_counts, snakemake)  # type: ignore[name-defined]
