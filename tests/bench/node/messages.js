// SPDX-License-Identifier: Apache-2.0
'use strict';
// The messages of proto/*.proto, and how a result lies in a row: an array of SQLite's values, first
// the stamps, then the fields in the order of their numbers; as it is it can be bound to the INSERT.
// protobufjs makes code of the messages when they are first used, which is as fast as what its
// command would write into files.
const path = require('node:path');
const protobuf = require('protobufjs');

const STAMPS = ['device', 'incarnation', 'seq', 'received_ms', 'at_ms', 'bound_ms', 'standing',
  'carried', 'software'];
const NUMBER = 0, TEXT = 1, BYTES = 2;
const EMPTY = Buffer.alloc(0);

// Beyond what a double holds exactly a value is refused: none of the contract's numbers but
// incarnations is that long.
function number(value) {
  const plain = typeof value === 'number' ? value : value.toNumber();
  if (!Number.isSafeInteger(plain)) throw new RangeError(`${value} is too long for a number`);
  return plain;
}

function formOf(type) {
  return type === 'string' ? TEXT : type === 'bytes' ? BYTES : NUMBER;
}

function columnOf(field) {
  const form = formOf(field.type);
  return {
    name: field.name,
    id: field.id,
    form,
    signed: field.type.startsWith('sint'),
    empty: form === TEXT ? '' : form === BYTES ? EMPTY : 0,
  };
}

function valueOf(column, value) {
  if (column.form !== NUMBER) return value;
  return typeof value === 'boolean' ? Number(value) : number(value);
}

function load(folder) {
  const root = new protobuf.Root();
  root.resolvePath = (origin, target) => path.join(folder, path.basename(target));
  root.loadSync(['batch.proto', 'envelope.proto', 'hello.proto'], { keepCase: true });
  root.resolveAll();
  const type = (name) => root.lookupType(`muster.${name}`);
  const result = type('TxnResult');
  const fields = result.fieldsArray.map(columnOf).sort((a, b) => a.id - b.id);
  const columns = [...STAMPS.map((name) => ({ name, form: NUMBER, empty: 0 })), ...fields];
  const place = []; // by field number; a newer sender's has none
  const at = {}; // by name
  columns.forEach((column, i) => {
    if (column.id !== undefined) place[column.id] = i;
    at[column.name] = i;
  });

  // A message that holds some of the fields, as the cells that it sets: [place, value, ...].
  function cells(record) {
    const message = result.decode(record);
    const found = [];
    for (const column of fields) {
      if (Object.hasOwn(message, column.name)) {
        found.push(at[column.name], valueOf(column, message[column.name]));
      }
    }
    return found;
  }

  return {
    Batch: type('Batch'), BatchBody: type('BatchBody'), Dictionary: type('Dictionary'),
    Envelope: type('Envelope'), Receipt: type('Receipt'),
    LANE_TXN: root.lookupEnum('muster.Lane').values.LANE_TXN,
    SHAPE: root.lookupEnum('muster.Shape').values,
    columns, fields, place, at, cells,
  };
}

module.exports = { load, number, NUMBER, TEXT, BYTES, EMPTY };
