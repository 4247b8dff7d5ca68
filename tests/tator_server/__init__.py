"""A server that answers as Tator 1.5 does, on loopback, for tests and the demo.

It serves what the unmodified `tator` client and the pipeline use, with the real server's pitfalls, because
a kinder stand-in would prove nothing. `test_conformance.py` replays answers recorded from a real server. What
registering an algorithm takes (algorithms.py, uploads) was not recorded: it was read in the source of Tator 1.5.

Start one with `launch.running(...)`, or by hand: `python -m tests.tator_server --media FOLDER --port N --state FOLDER`.

openapi.yaml    the interface: what the client reads is also what requests are checked against
interface.py    the interface as Python: operations, query parameters, body checks
operations.py   which function serves an operationId, and what it asks of the token
errors.py       refusals, in Tator's shapes
app.py          one request: log, faults, token, checks, permission, transaction, answer
store.py        SQLite in the state folder
seed.py         the users, projects and types of a new state; media from the folder's files
files.py        what a media's file is, and its place in the object store
queries.py      the filters of lists, counts and bulk changes
searches.py     Tator's searches of media
attribute_types.py attributes of types, and what a change of them does to the objects
attributes.py   how attribute values are converted, refused and written
catalogue.py    operations on users, projects, types and versions
medias.py       operations on media
algorithms.py   operations on algorithms, their manifests, job clusters and attribute types
localizations.py operations on localizations: marks, tombstones, pruning
presigned.py    the object store, on an origin of its own, with signed and expiring addresses
faults.py       faults that tests order over HTTP
launch.py       starts all this as a process of its own
control.py      what tests and people use: faults, the request log, direct changes, the page
"""
