# SPDX-License-Identifier: Apache-2.0
"""read_batch_test.py WRITE-BATCHES PROTO-DIR: what batch_encode writes, read_batch.py reads."""
import pathlib
import subprocess
import sys
import tempfile

from read_batch import Stream, read_batch


def messages_of(proto, out):
    subprocess.run(["protoc", f"--proto_path={proto}", f"--python_out={out}",
                    "refusal.proto", "desired.proto", "record.proto", "batch.proto"], check=True)
    sys.path.insert(0, str(out))
    import batch_pb2
    import record_pb2
    return batch_pb2, record_pb2


def dictionaries_of(proto, batch_pb2):
    found = {}
    for path in (pathlib.Path(proto) / "dictionary").glob("*.pb"):
        dictionary = batch_pb2.Dictionary.FromString(path.read_bytes())
        assert dictionary.version == int(path.stem), f"{path} says version {dictionary.version}"
        found[dictionary.version] = dictionary
    return found


def rows_of(path):
    stream = Stream(path.read_bytes())
    while stream.at < len(stream.data):
        yield stream.take(stream.varint())


def main(write_batches, proto):
    with tempfile.TemporaryDirectory() as name:
        out = pathlib.Path(name)
        batch_pb2, record_pb2 = messages_of(proto, out)
        known = dictionaries_of(proto, batch_pb2)
        messages = {1: record_pb2.TxnResult, 2: record_pb2.Event, 3: record_pb2.Health}
        subprocess.run([write_batches, name], check=True)
        batches = rows = 0
        for path in sorted(out.glob("*.batch")):
            wanted = rows_of(path.with_suffix(".rows"))
            for lane, got in read_batch(path.read_bytes(), batch_pb2, messages, known):
                for i, row in enumerate(got):
                    want = messages[lane.lane].FromString(next(wanted))
                    assert row == want, f"{path.stem}, row {i}:\n{row}\nis not\n{want}"
                    rows += 1
            assert next(wanted, None) is None, f"{path.stem}: rows are missing"
            batches += 1
        assert batches > 10 and rows > 1000, f"only {batches} batches, {rows} rows"
        print(f"{batches} batches, {rows} rows")


main(*sys.argv[1:])
