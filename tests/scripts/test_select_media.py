"""Selections of media: reported first, written completely or not at all, and read by a run."""

import json
import subprocess
import sys

import pytest

from scripts.commands import select_media
from scripts.lib.server import api
from scripts.lib.workflow.configuration import media_list
from tests.scripts.tator_steps import MARK
from tests.workflow import ROOT

NASTY = "\x1b]0;owned\x07\n99 # $(touch here) \u202e'\"%.mp4"


@pytest.fixture
def server(tator_server, monkeypatch, tmp_path):
    """Return a server with videos 1 to 4, the last two in section 7 and one of them marked, an image 5, a multi 6."""
    monkeypatch.setenv("TATOR_AUTH_TOKEN", tator_server.token)
    monkeypatch.setenv("TATOR_API_SERVICE", f"{tator_server.host}/rest")
    monkeypatch.setenv("TATOR_PROJECT_ID", str(tator_server.project_id))
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "1")
    monkeypatch.chdir(tmp_path)
    video = {"num_frames": 90_000, "fps": 25.0, "primary_section": 7}
    tator_server.add_media(NASTY, attributes={"Notes": "a, b=c"}, **video)
    tator_server.add_media("done.mp4", attributes={MARK: "2026-01-01T00:00:00+00:00"}, **video)
    tator_server.add_media("still.jpg", dtype="image", attributes={MARK: ""})
    tator_server.add_media("both", dtype="multi")
    return tator_server


@pytest.fixture
def select(server, capsys):
    """Return a function that runs the program, and returns its exit code, the ids and its standard error."""

    def run(*arguments):
        code = select_media.main(arguments)
        out, error = capsys.readouterr()
        return code, [int(line) for line in out.splitlines() if not line.startswith("#")], error

    return run


# Arguments, and the media that they select.
SELECTIONS = [
    ([], [1, 2, 3, 4, 5]),
    (["--kind", "image"], [5]),
    (["--kind", "video", "--unprocessed"], [1, 2, 3]),
    (["--section", "7"], [3, 4]),
    (["--section", "7", "--unprocessed"], [3]),
    (["--name", "MP4", "--section", "7"], [3, 4]),
    (["--attribute", "Notes=a, b=c"], [3]),
    (["--attribute", "Notes=", "--attribute", f"{MARK}=No"], [1, 2]),
    (["--search", '{"attribute": "$num_frames", "operation": "gt", "value": 1000}'], [3, 4]),
    (["--name", "done", "--search", '{"attribute": "$id", "operation": "lt", "value": 5}'], [4]),
]
# Arguments, and a part of the message.
FAILURES = [
    (["--attribute", "Note=x"], "no media type has an attribute 'Note'; they have 'Notes', 'Object Detector Pro"),
    (["--unprocessed", "--mark-attribute", "Seen"], "no media type has an attribute 'Seen'"),
    (["--section", "99"], "--section: the project has no section 99; it has 1 (Folder 1), 7 (Folder 7)"),
    (
        ["--search", '{"attribute": "Nots", "operation": "eq", "value": 1}'],
        "no media type has an attribute 'Nots'; they",
    ),
    (
        [
            "--search",
            '{"method": "or", "operations": [{"method": "not", "operations": [{"attribute": "A", "operation": '
            '"eq", "value": 1}]}, {"attribute": "$id", "operation": "gt", "value": 0}]}',
        ],
        "no media type has an attribute 'A'; they have 'Notes'",
    ),
    (["--name", "none of this name"], "nothing is selected"),
    (["--project", "99"], "answered 404"),
    (["--project", "9223372036854775807"], "answered 404"),
]
ODD = '{"attribute": "$id", "operation": "in", "value": [1, 3]}'
# Arguments, and a part of the message.
WRONG_OPTIONS = [
    (["--search", "fish"], "not JSON"),
    (["--search", "{}"], "expected a JSON object with"),
    (["--search", '{"method": "and"}'], "expected 'operations' with a list of searches"),
    (
        ["--search", '{"method": "nor", "operations": [{"attribute": "A", "operation": "eq", "value": 1}]}'],
        "method is 'nor'; expected and, or, not",
    ),
    (["--search", '{"method": "or", "operations": [{"attribute": "A", "value": 1}]}'], "expected 'attribute', 'operat"),
    (["--search", '{"attribute": "Notes", "operation": "eq"}'], "such as 'eq', 'value'"),
    (["--search", f'{{"method": "or", "operations": {"[" * 30}{"]" * 30}}}'], "is nested more than 20 deep"),
    (["--search", f'{{"method": "not", "operations": [{ODD}, {ODD}]}}'], "expected one search in the 'operations' of"),
    (
        ["--search", f'{{"method": "not", "operations": [{ODD}], "operations": []}}'],
        "'operations' is given twice (line 1); rem",
    ),
    (["--search", f'{{"method": "or", "operations": [{ODD}], "inverse": true}}'], "'inverse'; expected method, operat"),
    (["--search", ODD.replace("}", ', "invert": true}')], "'invert'; expected attribute, operation, value, inverse"),
    (["--search", ODD.replace("}", ', "inverse": "false"}')], "inverse is 'false'; expected true or false"),
    (["--search", f'{{"method": "not", "operations": [{ODD.replace("$id", "$ids")}]}}'], "the field '$ids'; expected"),
    (["--mark-attribute", "Seen"], "--mark-attribute needs --unprocessed"),
    (["--name", "a", "--name", "b"], "--name: it is given twice, with different values; expected one of them"),
    (["--attribute", "Notes"], "is not NAME=VALUE"),
    (["--attribute", "Notes=a", "--attribute", "Notes=b"], "Notes is given as 'a' and as 'b'; expected one of them"),
    (["--name", ""], "'' is empty; expected a text"),
    (["--unprocessed", "--mark-attribute", ""], "--mark-attribute: '' is empty"),
    (["--output", "none/media.txt"], "there is no folder 'none'; make it first"),
    (["--project", "x", "--host", "t.org"], "--project: 'x' is invalid; expected a whole number from 1 to"),
    (
        ["--project", "x", "--host", "t.org"],
        "--host: 't.org' is invalid; expected: Address of the Tator site, `https://",
    ),
    (["--project", "-3"], "--project: '-3' is invalid; expected a whole number from 1 to"),
    (["--host", ""], "--host: '' is invalid; expected: Address of the Tator site, `https://HOST[:PORT]`"),
    (["--section", "12.5"], "--section: '12.5' is invalid; expected a whole number from 1 to"),
]


def test_each_filter_selects_its_media(select):
    assert [(arguments, select(*arguments)[:2]) for arguments, _ in SELECTIONS] == [
        (arguments, (0, found)) for arguments, found in SELECTIONS
    ]


def test_a_folder_is_selected_with_the_folders_inside_it(select, server):
    """Also one that contains only folders; and no folder whose name only begins with the same characters."""
    server.add("section", project=server.project_id, name="First", path="First")  # number 1, with media 1 and 2
    numbers = [
        server.add("section", project=server.project_id, name=path.rpartition(".")[2], path=path)
        for path in ("Cruise", "Cruise.North", "Cruise.North.Deep", "Cruises")
    ]
    media = [server.add_media(f"{number}.mp4", primary_section=number) for number in numbers[1:]]
    assert select("--section", str(numbers[0]))[:2] == (0, media[:2])
    assert "with the 2 folders inside section" in select("--section", str(numbers[0]))[2]
    assert select("--section", str(numbers[1]))[:2] == (0, media[:2])
    assert select("--section", str(numbers[2]))[:2] == (0, media[1:2])
    code, found, error = select("--section", str(numbers[3]))
    assert (code, found, "folders inside" in error) == (0, media[2:], False)


def test_numbers_hours_and_excluded_media_are_reported(select):
    code, _, error = select("--unprocessed")
    assert code == 0
    assert error.splitlines()[0] == "4 media are selected: 3 videos (1.0 hours), 1 images"
    assert "1 are left out: marked as processed (Object Detector Processed)\n" in error
    assert "1 are left out: of the kind multi\n" in error


def test_control_characters_in_names_and_arguments_do_no_harm(select, tmp_path):
    code, _, error = select("--section", "7", "--attribute", "Notes=a, b=c", "--output", "media.txt")
    assert code == 0
    assert "\x1b" not in error
    assert [line for line in error.splitlines() if line.startswith("99")] == []
    condition = "Notes=\n99\x1b\udcff"
    assert select("--attribute", condition)[0] == 1
    assert media_list.read(tmp_path / "media.txt") == [3]


def test_all_pages_of_a_list_are_read(select, monkeypatch, server):
    monkeypatch.setattr(api, "MEDIA_PER_PAGE", 2)
    assert select()[1] == [1, 2, 3, 4, 5]
    pages = server.requests("GetMediaList")
    assert len(pages) == 4
    assert all("fields=" in page["query"] for page in pages)


def test_the_file_is_complete_or_unchanged(select, server, tmp_path):
    path = tmp_path / "media.txt"
    assert select("--output", str(path))[:2] == (0, [])
    before = path.read_text()
    assert before.startswith(f"# 5 media of project {server.project_id} of {server.host}\n# selected by ")
    assert media_list.read(path) == [1, 2, 3, 4, 5]
    assert select("--kind", "video", "--name", "done", "--output", "other.txt")[0] == 0
    remark = (tmp_path / "other.txt").read_text().splitlines()[1]
    assert json.loads(remark.removeprefix("# selected by ")) == {"kind": "video", "name": "done"}
    server.fault("status", operation="GetMediaList", times=None)
    code, _, error = select("--output", str(path))
    assert (code, "run again later" in error) == (1, True)
    server.clear_faults()
    assert select("--name", "none of this name", "--output", str(path))[0] == 1
    assert path.read_text() == before
    assert [found.name for found in tmp_path.iterdir() if "media.txt" in found.name] == ["media.txt"]


def test_failures_are_one_clear_message(select):
    for arguments, message in FAILURES:
        code, ids, error = select(*arguments)
        assert (code, ids) == (1, []), arguments
        assert message in error
        assert "Traceback" not in error


@pytest.mark.usefixtures("server")
def test_wrong_options_are_refused(capsys):
    for arguments, message in WRONG_OPTIONS:
        with pytest.raises(SystemExit) as ended:
            select_media.main(arguments)
        assert ended.value.code == 2, arguments
        assert message in capsys.readouterr().err


@pytest.mark.usefixtures("server")
def test_the_program_ends_quietly_if_its_output_is_closed(monkeypatch):
    command = [sys.executable, "-m", "scripts.commands.select_media"]
    done = subprocess.run([*command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "5")
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        error = process.stderr.read()
    assert (process.returncode, "Traceback" in error, "Exception" in error) == (1, False, False)
    monkeypatch.delenv("TATOR_AUTH_TOKEN")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, "TATOR_AUTH_TOKEN is not set" in done.stderr) == (1, True)
