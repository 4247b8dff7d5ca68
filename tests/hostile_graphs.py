"""Frozen graphs that do harm when TensorFlow runs them, made from the synthetic network in TensorFlow's environment.

.venv-convert/bin/python -m tests.hostile_graphs FOLDER

Writes FOLDER/NAME.pb for each payload, and whether it did harm when TensorFlow ran it into FOLDER/payloads.json, so
that a test knows that a refused graph would have done harm.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOUND = ROOT / "tests" / "data" / "synthetic" / "graph.pb"
SCORES = "classification/concat"


def make(folder: Path) -> dict[str, bool]:
    """Make the graphs, and return by name whether each was observed to do harm."""
    from tests.needs import convert_python  # not at the top: the environment of conversion has no pytest

    command = [convert_python(), "-m", "tests.hostile_graphs", folder]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return json.loads((folder / "payloads.json").read_text())


def stateful_operators(names):
    """Return the operators that TensorFlow calls stateful, and those that it does not know."""
    import tensorflow as tf  # noqa: F401 - registers the operators
    from tensorflow.python.framework import op_def_registry

    found = {name: op_def_registry.get(name) for name in names}
    stateful = sorted(name for name, definition in found.items() if definition is not None and definition.is_stateful)
    return {"stateful": stateful, "unknown": sorted(name for name, definition in found.items() if definition is None)}


def _payloads(tf, mark):  # noqa: C901 - many small ones
    """Return functions by name, each of which adds a payload to the current graph and returns its operator."""
    raw = tf.raw_ops

    def write(*_):
        return raw.WriteFile(filename=str(mark), contents="harm")

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def writing(number):
        with tf.control_dependencies([write()]):
            return number + 1.0

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def sound(number):
        return number + 2.0

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def nested(number):
        return raw.PartitionedCall(args=[number], Tout=[tf.float32], f=writing.get_concrete_function())[0]

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def less(number):
        return number < 1.0

    def function(one):
        return one.get_concrete_function()

    def zero():
        return tf.constant(0.0)

    def checkpoint():
        return raw.SaveV2(prefix=str(mark), tensor_names=["x"], shape_and_slices=[""], tensors=[zero()])

    def branch(kind, body):
        return raw_call(
            kind,
            cond=tf.constant(True),
            input=[zero()],
            Tout=[tf.float32],
            then_branch=function(body),
            else_branch=function(sound),
        )

    def raw_call(kind, **arguments):
        return getattr(raw, kind)(**arguments)[0].op

    def mapped():
        @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
        def each(number):
            with tf.control_dependencies([write()]):
                return number + 1.0

        return raw.MapDefun(
            arguments=[tf.zeros([2])],
            captured_inputs=[],
            output_types=[tf.float32],
            output_shapes=[[]],
            f=function(each),
        )[0].op

    return {
        "write_file": write,
        "save": checkpoint,
        "print_to_file": lambda: raw.PrintV2(input="harm", output_stream=f"file://{mark}"),
        "debug_to_file": lambda: raw.DebugIdentity(input=zero(), tensor_name="x:0", debug_urls=[f"file://{mark}"]).op,
        "python": lambda: tf.compat.v1.py_func(lambda: mark.write_text("harm") and 0, [], tf.int64).op,
        "branch": lambda: branch("If", writing),
        "stateless_branch": lambda: branch("StatelessIf", writing),
        "nested": lambda: branch("If", nested),
        "loop": lambda: raw_call("While", input=[zero()], cond=function(less), body=function(writing)),
        "call": lambda: raw_call("PartitionedCall", args=[zero()], Tout=[tf.float32], f=function(writing)),
        "stateful_call": lambda: raw_call(
            "StatefulPartitionedCall", args=[zero()], Tout=[tf.float32], f=function(writing)
        ),
        "case": lambda: raw_call(
            "Case",
            branch_index=0,
            input=[zero()],
            Tout=[tf.float32],
            branches=[function(sound), function(nested)][::-1],
        ),
        "map": mapped,
        "read_file": lambda: raw.ReadFile(filename="/proc/self/environ").op,
        "list_files": lambda: raw.MatchingFiles(pattern="/*").op,
        "restore": lambda: (
            raw.RestoreV2(prefix=str(mark), tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.float32])[0].op
        ),
        "map_a_file": lambda: raw.ImmutableConst(dtype=tf.uint8, shape=[1], memory_region_name="/etc/passwd").op,
    }


def main(folder: Path) -> None:
    """Write the graphs, running each of them once."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf
    from tensorflow.core.framework import graph_pb2

    done = {}
    for name in _payloads(tf, folder):
        mark = folder / "left" / name / "mark"
        mark.parent.mkdir(parents=True)
        with tf.Graph().as_default() as graph:
            operator = _payloads(tf, mark)[name]()
            made = graph.as_graph_def()
            with tf.compat.v1.Session(graph=graph) as session:
                try:
                    session.run(operator)
                except tf.errors.OpError:
                    # Some need a file that does not exist; only their operators matter.
                    done[name] = False
        done[name] = any(mark.parent.iterdir())
        whole = graph_pb2.GraphDef()
        whole.ParseFromString(SOUND.read_bytes())
        for node in made.node:
            node.name = f"payload/{node.name}"
            for at, tensor in enumerate(node.input):
                node.input[at] = f"^payload/{tensor[1:]}" if tensor.startswith("^") else f"payload/{tensor}"
        scores = next(node for node in whole.node if node.name == SCORES)
        scores.name = f"{SCORES}_sound"
        whole.node.extend(made.node)
        kept = whole.node.add(name=SCORES, op="Identity", input=[scores.name, f"^payload/{operator.name}"])
        kept.attr["T"].type = tf.float32.as_datatype_enum
        whole.library.CopyFrom(made.library)
        (folder / f"{name}.pb").write_bytes(whole.SerializeToString())
    (folder / "payloads.json").write_text(json.dumps(done))
    from scripts.lib.graphs import allowed

    (folder / "operators.json").write_text(json.dumps(stateful_operators(sorted(allowed.TENSORFLOW))))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
