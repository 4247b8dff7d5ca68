"""A server that answers like Tator 1.5, on loopback, for tests and the demo.

It serves the requests of the unmodified `tator` client and of the pipeline, with the pitfalls of the real server.
`test_conformance.py` replays answers recorded from a real server. The operations that register an algorithm
(algorithms.py, uploads) were not recorded: they follow the source of Tator 1.5.

Start one with `launch.running(...)`, or by hand: `python -m tests.tator_server --media FOLDER --port N --state FOLDER`.

openapi.yaml    the interface: read by the client, and used to check requests
interface.py    the interface as Python: operations, query parameters, body checks
operations.py   the function for each operationId, and the permission that it needs
errors.py       refusals, in Tator's shapes
app.py          one request: log, faults, token, checks, permission, transaction, answer
store.py        SQLite in the state folder
seed.py         the users, projects and types of a new state; media from the folder's files
files.py        properties of a media's file, and its place in the object store
queries.py      the filters of lists, counts and bulk changes
searches.py     Tator's searches of media
attribute_types.py attributes of types, and the effects of their changes on objects
attributes.py   how attribute values are converted, refused and written
catalogue.py    operations on users, projects, types and versions
medias.py       operations on media
algorithms.py   operations on algorithms, their manifests, job clusters and attribute types
localizations.py operations on localizations: marks, tombstones, pruning
presigned.py    the object store, on a separate origin, with signed and expiring addresses
faults.py       faults that tests order over HTTP
launch.py       starts the server as a separate process
control.py      routes for tests and people: faults, the request log, direct changes, the page
"""
