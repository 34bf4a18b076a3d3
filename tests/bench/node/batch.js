// SPDX-License-Identifier: Apache-2.0
'use strict';
// Batches to rows, by proto/batch.proto.
const fs = require('node:fs');
const path = require('node:path');
const { Decompressor } = require('zstd-napi');
const { number, EMPTY, NUMBER, TEXT } = require('./messages');
const { Reader, unzigzag } = require('./reader');
const { readSeries } = require('./series');

const MAGIC = Buffer.from('28b52ffd', 'hex'); // left out of frames that have a dictionary
const FRAME_BYTES = 128 * 1024;

function decompressor(content) {
  const made = new Decompressor();
  if (content) made.loadDictionary(content);
  return made;
}

class Dictionary {
  constructor(messages, file) {
    const told = messages.Dictionary.decode(fs.readFileSync(file));
    this.version = told.version;
    this.body = decompressor(told.body);
    this.marks = decompressor(told.marks);
    this.steps = decompressor(told.steps);
    // What whole parts of a row may be, each read once.
    this.known = told.known.map((list) => list.records.map((record) => messages.cells(record)));
  }
}

class Batches {
  constructor(messages, folder) {
    this.messages = messages;
    this.frame = Buffer.alloc(MAGIC.length + FRAME_BYTES);
    MAGIC.copy(this.frame);
    this.plain = decompressor();
    this.dictionaries = new Map();
    this.emptyRow = messages.columns.map((column) => column.empty);
    for (const name of fs.readdirSync(folder).filter((name) => name.endsWith('.pb'))) {
      const dictionary = new Dictionary(messages, path.join(folder, name));
      this.dictionaries.set(dictionary.version, dictionary);
    }
  }

  unfold(by, frame) {
    if (frame.length === 0) return EMPTY;
    frame.copy(this.frame, MAGIC.length);
    return by.decompress(this.frame.subarray(0, MAGIC.length + frame.length));
  }

  // [{lane, incarnation (a Long), first, rows}]
  decode(bytes) {
    const batch = this.messages.Batch.decode(bytes);
    const dictionary = this.dictionaries.get(batch.dictionary);
    if (batch.dictionary !== 0 && !dictionary) {
      throw new RangeError(`dictionary ${batch.dictionary} is not known here`);
    }
    const body = dictionary ? this.unfold(dictionary.body, batch.body)
      : this.plain.decompress(batch.frame);
    const streams = {
      raw: new Reader(batch.raw),
      marks: new Reader(dictionary ? this.unfold(dictionary.marks, batch.marks) : EMPTY),
      steps: new Reader(dictionary ? this.unfold(dictionary.steps, batch.steps) : EMPTY),
    };
    const lanes = this.messages.BatchBody.decode(body).lanes
      .map((lane) => this.lane(lane, dictionary, streams));
    Object.values(streams).forEach((stream) => stream.end());
    return lanes;
  }

  lane(lane, dictionary, streams) {
    if (lane.lane !== this.messages.LANE_TXN || lane.lost !== 0) {
      throw new RangeError('only results are taken here');
    }
    const rows = new Array(lane.count);
    for (let i = 0; i < lane.count; i++) rows[i] = this.emptyRow.slice();
    for (const column of lane.columns) this.column(column, rows);
    for (const part of lane.parts) this.part(part, dictionary, rows, streams.marks);
    readSeries(this.messages, lane, rows, streams);
    for (const plain of lane.plains) this.plainBytes(plain, rows, streams.raw);
    return { lane: lane.lane, incarnation: lane.incarnation, first: number(lane.first_seq), rows };
  }

  // A field of the first form.
  column(column, rows) {
    const at = this.messages.place[column.field];
    if (at === undefined) return;
    const values = this.columnValues(column, this.messages.columns[at]);
    let next = 0;
    rows.forEach((row, i) => {
      const { present } = column;
      if (present.length > 0 && !((present[i >> 3] >> (i & 7)) & 1)) return;
      row[at] = values[values.length > 1 ? next++ : 0];
    });
  }

  columnValues(column, { form, signed }) {
    if (form === NUMBER) {
      const values = column.numbers.map(number);
      for (let i = 1; column.coding === 1 && i < values.length; i++) {
        values[i] = values[i - 1] + unzigzag(values[i]);
      }
      return signed ? values.map(unzigzag) : values;
    }
    const values = column.values.slice();
    for (let from = 0; column.width > 0 && from < column.packed.length; from += column.width) {
      values.push(column.packed.subarray(from, from + column.width));
    }
    return form === TEXT ? values.map((value) => value.utf8Slice()) : values;
  }

  part(part, dictionary, rows, marks) {
    const own = part.records.map((record) => this.messages.cells(record));
    const records = part.known ? dictionary.known[part.known - 1].concat(own) : own;
    const from = part.marked && part.runs.length === 0 ? marks.take(rows.length) : 0;
    let record = 0, left = part.runs[0];
    for (let i = 0; i < rows.length; i++) {
      if (part.runs.length > 0) {
        while (left === 0) left = part.runs[++record];
        left--;
      } else if (part.marked) {
        record = marks.bytes[from + i];
      }
      const cells = records[record], row = rows[i];
      for (let at = 0; at < cells.length; at += 2) row[cells[at]] = cells[at + 1];
    }
  }

  plainBytes(plain, rows, raw) {
    const at = this.messages.place[plain.field];
    for (const row of rows) {
      const from = raw.take(plain.width);
      if (at !== undefined) row[at] = raw.bytes.subarray(from, from + plain.width);
    }
  }
}

module.exports = { Batches };
