// SPDX-License-Identifier: Apache-2.0
'use strict';
// The same sums that the fleet keeps (storage/sql/fleet): gathered in memory while a transaction is
// open, written before it is committed.

const UNIT_MS = { minute: 60000, hour: 3600000 };
const COMMON = ['type', 'outcome', 'code', 'currency', 'in_service'];
const AMOUNT_MAX = 999999999999, CODE_BYTES = 4, ISSUER_BYTES = 24, GENERATION_BYTES = 8;
const KNOWN_MAX = 65536;

// What rollups tell of a row besides COMMON, in this order; bytes as text, for a Map finds those.
const OWN = ['acquirer', 'scheme', 'entry', 'standing', 'carried', 'software', 'issuer',
  'generation'];

// A text that the contract allows, or '?'. They are few, so each is measured once.
class Texts {
  constructor(bytes) {
    this.bytes = bytes;
    this.known = new Map();
  }

  word(text) {
    let word = this.known.get(text);
    if (word !== undefined) return word;
    word = Buffer.byteLength(text) <= this.bytes ? text : '?';
    if (this.known.size < KNOWN_MAX) this.known.set(text, word);
    return word;
  }
}

// What a Map in Maps holds under a path, made if it is not there.
function under(map, key, make) {
  let found = map.get(key);
  if (found === undefined) map.set(key, (found = make()));
  return found;
}

const newMap = () => new Map();

function compare(a, b) {
  for (let i = 0; i < a.key.length; i++) {
    if (a.key[i] !== b.key[i]) return a.key[i] < b.key[i] ? -1 : 1;
  }
  return 0;
}

class Rollup {
  constructor(db, { table, columns }) {
    this.unit = UNIT_MS[table.slice(table.lastIndexOf('_') + 1)];
    const own = columns.filter((name) => name !== 'bucket' && !COMMON.includes(name));
    this.own = own.map((name) => OWN.indexOf(name));
    this.bytes = own.indexOf('generation');
    const all = ['bucket', ...own, ...COMMON];
    if (!this.unit || this.own.includes(-1) || all.length !== columns.length) {
      throw new Error(`${table} (${columns}) is none that this consumer can keep`);
    }
    const key = all.join(', ');
    db.exec(`CREATE TABLE IF NOT EXISTS ${table} (
      ${all.map((name) => `${name} ${this.type(name)} NOT NULL`).join(', ')},
      results INTEGER NOT NULL, amount_minor INTEGER NOT NULL,
      PRIMARY KEY (${key})) STRICT, WITHOUT ROWID`);
    this.insert = db.prepare(`INSERT INTO ${table} (${key}, results, amount_minor)
      VALUES (${'?, '.repeat(all.length + 1)}?) ON CONFLICT (${key}) DO UPDATE SET
      results = results + excluded.results, amount_minor = amount_minor + excluded.amount_minor`);
    this.clear();
  }

  type(name) {
    if (name === 'generation') return 'BLOB';
    return name === 'code' || name === 'issuer' ? 'TEXT' : 'INTEGER';
  }

  clear() {
    this.sums = new Map();
    this.list = [];
    this.last = [];
    this.found = undefined;
  }

  // The sums of one bucket and one of each of its own columns: often those of the row before.
  group(bucket, told) {
    const { own, last } = this;
    let same = last.length > 0 && last[0] === bucket;
    for (let i = 0; same && i < own.length; i++) same = last[i + 1] === told[own[i]];
    if (same) return this.found;
    let map = under(this.sums, bucket, newMap);
    last[0] = bucket;
    for (let i = 0; i < own.length; i++) {
      map = under(map, told[own[i]], newMap);
      last[i + 1] = told[own[i]];
    }
    this.found = map;
    return map;
  }

  add(atMs, told, common, amount) {
    const group = this.group((atMs / this.unit) | 0, told);
    let sum = group.get(common);
    if (sum === undefined) {
      sum = { key: [...this.last, ...common], results: 0, amount: 0 };
      group.set(common, sum);
      this.list.push(sum);
    }
    sum.results++;
    sum.amount += amount;
  }

  // In the order of the table, so that its pages are gone through once.
  write() {
    for (const sum of this.list.sort(compare)) {
      const { key } = sum;
      if (this.bytes >= 0) key[1 + this.bytes] = Buffer.from(key[1 + this.bytes], 'latin1');
      key.push(sum.results, sum.amount);
      this.insert.run(key);
    }
    this.clear();
  }
}

class Rollups {
  constructor(db, tables, at) {
    this.at = at;
    this.all = tables.map((table) => new Rollup(db, table));
    this.commons = new Map(); // few: each is made once, and found by itself in the sums
    this.codes = new Texts(CODE_BYTES);
    this.issuers = new Texts(ISSUER_BYTES);
    this.told = new Array(OWN.length);
    this.generation = undefined;
    this.generationText = '';
  }

  common(row, inService) {
    const { at } = this, code = this.codes.word(row[at.code]);
    let map = under(this.commons, row[at.type], newMap);
    map = under(map, row[at.outcome], newMap);
    map = under(map, code, newMap);
    map = under(map, row[at.currency], newMap);
    return under(map, inService,
      () => [row[at.type], row[at.outcome], code, row[at.currency], inService]);
  }

  // The rows of a batch share their bytes.
  generationOf(bytes) {
    if (bytes !== this.generation) {
      this.generation = bytes;
      this.generationText = bytes.length <= GENERATION_BYTES ? bytes.latin1Slice() : '';
    }
    return this.generationText;
  }

  add(row, inService) {
    const { at, told } = this, minor = row[at.amount_minor];
    told[0] = row[at.acquirer];
    told[1] = row[at.scheme];
    told[2] = row[at.entry_mode];
    told[3] = row[at.standing];
    told[4] = row[at.carried];
    told[5] = row[at.software];
    told[6] = this.issuers.word(row[at.issuer_bucket]);
    told[7] = this.generationOf(row[at.generation]);
    const common = this.common(row, inService), amount = minor <= AMOUNT_MAX ? minor : 0;
    for (const rollup of this.all) rollup.add(row[at.at_ms], told, common, amount);
  }

  write() {
    for (const rollup of this.all) rollup.write();
  }
}

module.exports = { Rollups };
