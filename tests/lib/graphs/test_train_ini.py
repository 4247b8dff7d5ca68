"""Class names from train.ini files as people write them."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.lib.boxes import Size
from scripts.lib.errors import GraphError
from scripts.lib.graphs.train_ini import names, size, species

SYNTHETIC = Path(__file__).parents[2] / "data/synthetic/train.ini"


def test_reads_the_sample():
    assert species(SYNTHETIC) == ["cod", "flatfish", "crab"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[Data]\nSpecies=cod", ["cod"]),
        ("[Data]\nSpecies = cod , flat fish ,\tcrab\n", ["cod", "flat fish", "crab"]),
        ("[Data]\r\nSpecies: cod,crab\r\n", ["cod", "crab"]),
        ("[Data]\nSpecies=\"cod\", 'flat fish' ,crab", ["cod", "flat fish", "crab"]),
        ('[Data]\nSpecies="cod, flat fish,crab"', ["cod", "flat fish", "crab"]),
        ("[Data]\nSpecies=Steller's sea cow,'ahi,'opakapaka", ["Steller's sea cow", "'ahi", "'opakapaka"]),
        ("# first\n; second\n[Data]\n# third\nSpecies=cod,crab\n  # fourth\n; fifth", ["cod", "crab"]),
        ("[Data]\nSpecies=cod,crab ; as of 2019, see notes", ["cod", "crab"]),
        ("[Data]\nSpecies=cod,crab # as of 2019", ["cod", "crab"]),
        ("[Data]\nSpecies=Sebastes #1,Sebastes #2,a#b;c", ["Sebastes #1", "Sebastes #2", "a#b;c"]),
        ("[Data]\nSpecies=cod,\n  flat fish, # two\n  crab\nOther=1", ["cod", "flat fish", "crab"]),
        ("[Data]\nspecies=cod", ["cod"]),
        ("[ data ]\nSPECIES=cod", ["cod"]),
        ("[Data]\nSpecies=100% cod,%(x)s,${y}", ["100% cod", "%(x)s", "${y}"]),
        ("[Data]\nSpecies=Müllers Fisch,魚,cá", ["Müllers Fisch", "魚", "cá"]),
        ("[Data]\nSpecies=(juv.) cod,crab (adult)", ["(juv.) cod", "crab (adult)"]),
        ("[Data]\nSpecies=a=b,c:d,[x]", ["a=b", "c:d", "[x]"]),
        ("[Data]\nTrain=1\nTrain=2\nflag\nSpecies=cod", ["cod"]),
        (
            "no section\n[Paths]\nx=%(nothing)s\nx=2\n  odd\n===\n[Paths]\nSpecies=wrong\n[Data]\nSpecies=cod\n[T]\n=",
            ["cod"],
        ),
    ],
)
def test_names_as_people_write_them(text, expected):
    assert names(text.encode(), "train.ini") == expected


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_reads_byte_order_marks(encoding):
    assert names("[Data]\nSpecies=cod,Köhler".encode(encoding), "train.ini") == ["cod", "Köhler"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["no section [Data]", "no section;"]),
        ("[Paths]\nSpecies=cod\n[Train]\n", ["no section [Data]", "[Paths], [Train]"]),
        ("[Data]\nTrain=1\n", ["no Species", "train"]),
        ("[Data]\n", ["no Species", "nothing"]),
        ("[Data]\nSpecies=\n", ["empty"]),
        ("[Data]\nSpecies\n", ["empty"]),
        ("[Data]\nSpecies= # none\n", ["empty"]),
        ('[Data]\nSpecies=""\n', ["empty"]),
        ("[Data]\nSpecies=cod,,crab\n", ["name 2 of 3", "'cod,,crab'"]),
        ("[Data]\nSpecies=cod,crab,\n", ["name 3 of 3"]),
        ('[Data]\nSpecies=cod,""\n', ["name 2 of 2"]),
        ("[Data]\nSpecies=cod,crab, cod\n", ["'cod' is name 1 and name 3"]),
        ("[Data]\nSpecies=cod\nspecies=crab\n", ["2 times"]),
        ('[Data]\nSpecies="flat, fish", crab\n', ["quote at one end"]),
        ("[Data]\nSpecies=cod\n  crab\n", ["comma after each name"]),
        ("[Data]\n  x\n= 3\nSpecies=cod\n", ["cannot be read"]),
        ("[Data]\nSpecies=a\0b", ["NUL"]),
    ],
)
def test_messages_about_invalid_files(text, parts):
    with pytest.raises(GraphError) as caught:
        names(text.encode(), "net/train.ini")
    for part in ["net/train.ini", *parts]:
        assert part in str(caught.value)


def test_names_the_byte_that_is_not_utf_8():
    with pytest.raises(GraphError, match=r"byte 16 \(0xf6\).*UTF-8"):
        names("[Data]\nSpecies=Köhler".encode("latin-1"), "train.ini")


def test_names_a_file_that_is_missing(tmp_path):
    with pytest.raises(GraphError, match=r"train\.ini: cannot be read \(No such file"):
        species(tmp_path / "train.ini")


@given(st.binary(max_size=200))
def test_any_bytes_result_in_names_or_a_clear_error(content):
    try:
        found = names(b"[Data]\nSpecies=" + content, "train.ini")
    except GraphError:
        return
    assert found
    assert all(name == name.strip() and name for name in found)
    assert len(set(found)) == len(found)


@given(st.lists(st.text(st.characters(categories=["L", "Nd"]), min_size=1), min_size=1, unique=True))
def test_written_names_are_read_again(written):
    assert names(f"[Data]\nSpecies={' , '.join(written)}\n".encode(), "train.ini") == written


@pytest.mark.parametrize(
    "value",
    [
        "[cod, crab]",
        "('cod', 'crab')",
        "[cod]",
        "{cod, crab}",
        "<cod, crab>",
        "[cod], [crab]",
        "[cod, crab",
        "cod, crab]",
        "\"['cod', 'crab']\"",
        "[cod, king (crab)] ; as of 2019",
    ],
)
def test_brackets_around_the_names_are_refused(value: str) -> None:
    with pytest.raises(GraphError, match="are in brackets") as found:
        names(f"[Data]\nSpecies={value}\n".encode(), "train.ini")
    assert "delete the brackets" in str(found.value)


def test_a_section_name_of_blanks_takes_little_time() -> None:
    started = time.monotonic()
    with pytest.raises(GraphError):
        names(b"[" + b" " * 1_000_000 + b"x\n", "train.ini")
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("x" + " " * 1_000_000 + "y", None),
        ("x" + " " * 1_000_000 + "=y", None),
        ("x = " + " " * 1_000_000 + "y", None),
        (("x" + " " * 50) * 20_000, None),
        ("Other=" + "\n".join(f" {number}" for number in range(100_000)), "at most 20000"),
        ("=\n" * 300_000, "at most 20000"),
        ("=\n" * 10_000, "cannot be read"),
        ("[" * 1_000_000, None),
        ("Species=" + ",".join(map(str, range(150_000))), "holds 150000 names; expected at most 10000"),
        ("Species=" + "a" * 999_999 + "," + "a" * 999_999, "is name 1 and name 2"),
        ("Species=,\n" + "a" * 1_000_000, "is empty"),
        ("Species=cod," + "a" * 1_000_000, "has 1000000 characters; expected at most 10000"),
        ("Species=" + "," * 1_000_000, "expected at most 10000"),
    ],
)
def test_a_megabyte_of_anything_takes_little_time_and_has_a_short_message(text: str, parts: str | None) -> None:
    before = "" if text.startswith("Species") else "Species=cod\n"
    content = f"[Data]\n{before}{text}\n".encode()
    started = time.monotonic()
    if parts is None:
        assert names(content, "train.ini") == ["cod"]
    else:
        with pytest.raises(GraphError, match=parts) as caught:
            names(content, "train.ini")
        assert len(str(caught.value)) < 1000
    assert time.monotonic() - started < 2


# The sections of OpenEM's file without most comments; its other networks have other sizes.
OPENEM = """[Data]
Species=cod,crab
[FindRuler]
Width=640
Height=360
[Detect]
# Width of the input image.
Width=1280
# Height of the input image.
Height=720
BatchSize=4
Backbone=resnet152
[Classify]
Width=300
Height=300
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (OPENEM, Size(1280, 720)),
        ("[detect]\r\nheight : 480 ; of the input\r\nwidth : 640\r\n", Size(640, 480)),
        ("[Data]\nSpecies=cod\n", None),
        ("[Detect]\nWidth=640\n", None),
        ("[Detect]\nWidth=wide\nHeight=0\n", None),
        ("[Classify]\nWidth=300\n[Detect]\nHeight=300\n", None),
        ("\0", None),
    ],
)
def test_size_of_the_training(text: str, expected: Size | None, tmp_path: Path) -> None:
    path = tmp_path / "train.ini"
    path.write_text(text)
    assert size(path) == expected


def test_a_missing_file_has_no_size(tmp_path: Path) -> None:
    assert size(tmp_path / "train.ini") is None
