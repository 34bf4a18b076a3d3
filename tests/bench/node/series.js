// SPDX-License-Identifier: Apache-2.0
'use strict';
// Fields that are told as steps from row to row: see Series in proto/batch.proto.
const { number, NUMBER } = require('./messages');
const { unzigzag } = require('./reader');

const LIMB = 2 ** 16, HALF = 2 ** 32; // a divisor is at most HALF, so all is exact in a double

function runs(count, raw) {
  const steps = [];
  for (let left = raw.varint(); left > 0; left--) {
    const length = raw.varint(), step = raw.varint();
    if (length > count - steps.length) throw new RangeError('runs that do not fit the rows');
    for (let i = 0; i < length; i++) steps.push(step);
  }
  if (steps.length !== count) throw new RangeError('runs that do not fit the rows');
  return steps;
}

function quotients(shapes, series, count, streams) {
  switch (series.shape) {
    case shapes.SHAPE_EQUAL: return new Array(count).fill(number(series.step));
    case shapes.SHAPE_RUNS: return runs(count, streams.raw);
    case shapes.SHAPE_MIXED: return new Array(count).fill(0);
    case shapes.SHAPE_STEPS:
    case shapes.SHAPE_MARKS: {
      const from = series.shape === shapes.SHAPE_STEPS ? streams.steps : streams.marks;
      const steps = new Array(count);
      for (let i = 0; i < count; i++) steps[i] = from.varint();
      return steps;
    }
    default: throw new RangeError(`shape ${series.shape} is not known here`);
  }
}

// In the order in which the streams hold it.
function open(messages, series, count, streams) {
  const reader = { series, column: messages.columns[messages.place[series.field]], base: 0 };
  if (series.delta && series.width) reader.baseAt = streams.raw.take(series.width);
  else if (series.delta) reader.base = unzigzag(streams.raw.varint());
  if (series.unit) reader.marks = streams.marks.take(count);
  reader.steps = quotients(messages.SHAPE, series, count, streams);
  reader.divisor = series.shape >= messages.SHAPE.SHAPE_STEPS ? number(series.divisor) || 1 : 0;
  return reader;
}

// The remainders join the quotients. The mixed number is divided in limbs, highest first.
function unmix(readers, count, width, raw) {
  const limbs = new Float64Array((width + 1) >> 1);
  const mixed = readers.filter((reader) => reader.divisor > 0);
  for (let row = 0; row < count; row++) {
    const from = raw.take(width);
    for (let i = 0; i < width; i += 2) {
      limbs[i >> 1] = raw.bytes[from + i] + (i + 1 < width ? raw.bytes[from + i + 1] * 256 : 0);
    }
    let top = limbs.length;
    for (const { steps, divisor } of mixed) {
      let remainder = 0;
      for (let i = top - 1; i >= 0; i--) {
        const here = remainder * LIMB + limbs[i];
        const quotient = Math.floor(here / divisor);
        limbs[i] = quotient;
        remainder = here - quotient * divisor;
      }
      while (top > 0 && limbs[top - 1] === 0) top--;
      steps[row] = steps[row] * divisor + remainder;
    }
  }
}

function stepOf({ series, steps, marks }, i, bytes) {
  const step = series.unit ? steps[i] * series.unit + bytes[marks + i] : steps[i];
  return series.zigzag ? unzigzag(step) : step;
}

function fillNumbers(reader, rows, at, of, marks) {
  const { series, column } = reader;
  let before = reader.base;
  for (let i = 0; i < rows.length; i++) {
    let value = stepOf(reader, i, marks);
    if (series.delta) before = value += before;
    if (of !== undefined) value += rows[i][of];
    if (!Number.isSafeInteger(value) || (value < 0 && !column.signed)) {
      throw new RangeError(`${column.name}: ${value} is out of range`);
    }
    if (column.form === NUMBER) rows[i][at] = value;
    else rows[i][at] = value === 0 ? '' : String(value - 1).padStart(series.digits, '0');
  }
}

function halves(bytes, from, width) {
  let high = 0, low = 0;
  for (let i = 0; i < width; i++) {
    const byte = bytes[from + i];
    high = (high * 256 + Math.floor(low / 2 ** 24)) % HALF;
    low = (low * 256 + byte) % HALF;
  }
  return [high, low];
}

// Bytes as a number of up to 64 bits, in two halves: a BigInt takes ten times as long.
function fillBytes(reader, rows, at, streams) {
  const { series } = reader, { width } = series;
  let [high, low] = series.delta ? halves(streams.raw.bytes, reader.baseAt, width) : [0, 0];
  for (let i = 0; i < rows.length; i++) {
    const step = stepOf(reader, i, streams.marks.bytes);
    if (!Number.isSafeInteger(step)) throw new RangeError('a step too long for a number');
    if (!series.delta) high = low = 0;
    low += step;
    const carry = Math.floor(low / HALF);
    low -= carry * HALF;
    high = (high + carry) % HALF;
    if (high < 0) high += HALF;
    const bytes = Buffer.allocUnsafe(width);
    for (let left = width, rest = low; left-- > 0;) {
      if (left === width - 5) rest = high;
      bytes[left] = rest & 255;
      rest = Math.floor(rest / 256);
    }
    rows[i][at] = bytes;
  }
}

function fill(messages, reader, rows, streams) {
  const { series } = reader;
  const at = messages.place[series.field], of = messages.place[series.of];
  if (at === undefined) return; // a newer sender's
  if (series.width) fillBytes(reader, rows, at, streams);
  else fillNumbers(reader, rows, at, of, streams.marks.bytes);
}

function readSeries(messages, lane, rows, streams) {
  const readers = lane.series.map((one) => open(messages, one, rows.length, streams));
  unmix(readers, rows.length, lane.mixed_bytes, streams.raw);
  for (const reader of readers) fill(messages, reader, rows, streams);
}

module.exports = { readSeries };
