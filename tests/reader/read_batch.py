# SPDX-License-Identifier: Apache-2.0
"""Reads a batch by what proto/batch.proto says, with protobuf and zstd and nothing of Muster's."""
import zstandard

MAGIC = bytes.fromhex("28b52ffd")
MASK = (1 << 64) - 1


class Stream:
    """Bytes that are taken from the front."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        taken = self.data[self.at:self.at + length]
        if len(taken) != length:
            raise ValueError("the batch ends too soon")
        self.at += length
        return taken

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value


def unzigzag(value):
    return (value >> 1) ^ -(value & 1)


def unfold(frame, dictionary):
    if not frame:
        return b""
    known = zstandard.ZstdCompressionDict(dictionary)
    return zstandard.ZstdDecompressor(dict_data=known).decompress(MAGIC + frame)


def read_column(column, rows, message):
    """A field of the first form."""
    field = message.DESCRIPTOR.fields_by_number.get(column.field)
    present = [i for i in range(len(rows))
               if not column.present or column.present[i // 8] >> i % 8 & 1]
    if column.width:
        values = [column.packed[i * column.width:(i + 1) * column.width]
                  for i in range(len(present))]
    elif column.values:
        values = list(column.values)
    else:
        values = list(column.numbers)
        if column.coding == 1:
            for i in range(1, len(values)):
                values[i] = (values[i - 1] + unzigzag(values[i])) & MASK
    if field is None:
        return
    for i, row in enumerate(present):
        value = values[i if len(values) > 1 else 0]
        if field.type == field.TYPE_STRING:
            value = value.decode()
        elif field.type in (field.TYPE_SINT32, field.TYPE_SINT64):
            value = unzigzag(value)
        elif field.type == field.TYPE_BOOL:
            value = bool(value)
        setattr(rows[row], field.name, value)


def read_part(part, rows, known, marks):
    records = (list(known[part.known - 1].records) if part.known else []) + list(part.records)
    if part.runs:
        numbers = [i for i, length in enumerate(part.runs) for _ in range(length)]
    elif part.marked:
        numbers = list(marks.take(len(rows)))
    else:
        numbers = [0] * len(rows)
    for row, number in zip(rows, numbers, strict=True):
        row.MergeFromString(records[number])


class Steps:
    """A series up to where its remainders are due."""

    def __init__(self, series, count, raw, marks, steps):
        self.series, self.base, self.unit_marks = series, 0, bytes(count)
        if series.delta and series.width:
            self.base = int.from_bytes(raw.take(series.width), "big")
        elif series.delta:
            self.base = unzigzag(raw.varint())
        if series.unit:
            self.unit_marks = marks.take(count)
        shape = type(series).DESCRIPTOR.file.enum_types_by_name["Shape"].values_by_number
        self.shape = shape[series.shape].name
        if self.shape == "SHAPE_EQUAL":
            self.values = [series.step] * count
        elif self.shape == "SHAPE_RUNS":
            runs = [(raw.varint(), raw.varint()) for _ in range(raw.varint())]
            self.values = [step for length, step in runs for _ in range(length)]
        elif self.shape == "SHAPE_MIXED":
            self.values = [0] * count
        else:
            source = steps if self.shape == "SHAPE_STEPS" else marks
            self.values = [source.varint() for _ in range(count)]
        self.mixed = self.shape in ("SHAPE_STEPS", "SHAPE_MARKS", "SHAPE_MIXED")

    def numbers(self):
        before = self.base
        for value, mark in zip(self.values, self.unit_marks, strict=True):
            step = value * (self.series.unit or 1) + mark
            number = unzigzag(step & MASK) if self.series.zigzag else step
            if self.series.delta:
                before = number = number + before
            yield number


def to_field(field, number, series):
    number &= MASK
    if series.digits:
        return "%0*d" % (series.digits, number - 1) if number else ""
    if series.width:
        return number.to_bytes(series.width, "big")
    if field.type == field.TYPE_BOOL:
        return bool(number)
    signed = field.type in (field.TYPE_SINT32, field.TYPE_SINT64)
    return number - (1 << 64) if signed and number >> 63 else number


def read_series(lane, rows, message, raw, marks, steps):
    by_number = message.DESCRIPTOR.fields_by_number
    all_steps = [Steps(series, len(rows), raw, marks, steps) for series in lane.series]
    for i in range(len(rows)):
        number = int.from_bytes(raw.take(lane.mixed_bytes), "little")
        for one in all_steps:
            if one.mixed:
                divisor = one.series.divisor or 1
                one.values[i] = one.values[i] * divisor + number % divisor
                number //= divisor
    for one in all_steps:
        field, of = by_number.get(one.series.field), by_number.get(one.series.of)
        for row, number in zip(rows, one.numbers(), strict=True):
            if of is not None:
                number += getattr(row, of.name)
            if field is not None:
                setattr(row, field.name, to_field(field, number, one.series))


def read_batch(wire, batch_pb2, messages, dictionaries):
    """messages: lane number -> class of its rows; dictionaries: version -> Dictionary.
    Yields (LaneBatch, rows)."""
    batch = batch_pb2.Batch.FromString(wire)
    if batch.dictionary:
        dictionary = dictionaries[batch.dictionary]
        body = unfold(batch.body, dictionary.body)
        marks = Stream(unfold(batch.marks, dictionary.marks))
        steps = Stream(unfold(batch.steps, dictionary.steps))
    else:
        dictionary = batch_pb2.Dictionary()
        body = zstandard.ZstdDecompressor().decompress(batch.frame)
        marks = steps = Stream(b"")
    raw = Stream(batch.raw)
    for lane in batch_pb2.BatchBody.FromString(body).lanes:
        message = messages[lane.lane]
        rows = [message() for _ in range(lane.count)] if not lane.lost else []
        for column in lane.columns:
            read_column(column, rows, message)
        for part in lane.parts:
            read_part(part, rows, dictionary.known, marks)
        read_series(lane, rows, message, raw, marks, steps)
        for plain in lane.plains:
            field = message.DESCRIPTOR.fields_by_number.get(plain.field)
            for row in rows:
                value = raw.take(plain.width)
                if field is not None:
                    setattr(row, field.name, value)
        yield lane, rows
    for stream in (raw, marks, steps):
        if stream.at != len(stream.data):
            raise ValueError("bytes are left over")
