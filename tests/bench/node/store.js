// SPDX-License-Identifier: Apache-2.0
'use strict';
// The consumer's own database: results, the sums over them, what is held of each stream, which results
// failed, for those who follow that, and when each device was heard.
const Database = require('better-sqlite3');
const { NUMBER, TEXT } = require('./messages');
const { guard } = require('./guard');
const { Rollups } = require('./rollups');
const { judge } = require('./truetime');
const { Stream } = require('./stream');

// As storage/fleetdb.c and storage/sqlite.c have them.
const PRAGMAS = ['journal_mode=WAL', 'synchronous=FULL', 'temp_store=MEMORY', 'cache_size=-16384',
  'wal_autocheckpoint=4096', 'journal_size_limit=16777216'];
const TYPES = { [NUMBER]: 'INTEGER', [TEXT]: 'TEXT' };
const ID = 'device, incarnation, seq';
const APPROVED = 1, CANCELLED = 4; // of Outcome: neither is told in the feed
const FEED_RESULT = 5, FEED_ROWS = 100000, TRIM_EVERY = 256; // storage/fleetdb_feed.h
const SAME_ID = 'device = ? AND incarnation = ? AND seq = ?';

function schema(columns) {
  const all = columns.map(({ name, form }) => `${name} ${TYPES[form] ?? 'BLOB'} NOT NULL`);
  return `
    CREATE TABLE IF NOT EXISTS result (id INTEGER PRIMARY KEY, ${all.join(', ')}, UNIQUE (${ID}))
      STRICT;
    CREATE UNIQUE INDEX IF NOT EXISTS result_key ON result (device, idempotency_key)
      WHERE idempotency_key <> x'';
    CREATE INDEX IF NOT EXISTS result_at ON result (at_ms);
    CREATE TABLE IF NOT EXISTS result_duplicate (device INTEGER NOT NULL,
      incarnation INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (${ID})) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS stream (device INTEGER NOT NULL, incarnation INTEGER NOT NULL,
      held TEXT NOT NULL, PRIMARY KEY (device, incarnation)) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS feed (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL,
      kind INTEGER NOT NULL, device INTEGER NOT NULL, source INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS presence (device INTEGER PRIMARY KEY, seen_ms INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS software (id INTEGER PRIMARY KEY, model TEXT NOT NULL,
      firmware TEXT NOT NULL, app TEXT NOT NULL, UNIQUE (model, firmware, app)) STRICT;`;
}

// SQLite's signed integer of the same bits, as a number where that is exact.
function incarnationOf(long) {
  const signed = long.toSigned(), plain = signed.toNumber();
  return Number.isSafeInteger(plain) ? plain : BigInt(signed.toString());
}

function softwareKey(model, firmware, app) {
  return `${model}\0${firmware}\0${app}`;
}

class Store {
  constructor(path, messages, registry) {
    this.db = new Database(path);
    for (const pragma of PRAGMAS) this.db.pragma(pragma);
    this.at = messages.at;
    this.registry = registry;
    const { columns } = messages, names = columns.map((column) => column.name).join(', ');
    this.db.exec(schema(columns));
    const prepare = (sql) => this.db.prepare(sql);
    this.insert = prepare(`INSERT INTO result (${names})
      VALUES (${columns.map(() => '?').join(', ')}) ON CONFLICT DO NOTHING`);
    this.held = prepare(`SELECT ${messages.fields.map((field) => field.name).join(', ')}
      FROM result WHERE ${SAME_ID}`).raw();
    this.firstField = columns.length - messages.fields.length;
    this.duplicate = prepare(`INSERT OR IGNORE INTO result_duplicate (${ID}) VALUES (?, ?, ?)`);
    this.streamRead = prepare('SELECT held FROM stream WHERE device = ? AND incarnation = ?').pluck();
    this.streamWrite = prepare('REPLACE INTO stream (device, incarnation, held) VALUES (?, ?, ?)');
    this.feedAdd = prepare('INSERT INTO feed (at_ms, kind, device, source) VALUES (?, ?, ?, ?)');
    this.feedTrim = prepare('DELETE FROM feed WHERE id <= ?');
    this.seen = prepare('REPLACE INTO presence (device, seen_ms) VALUES (?, ?)');
    this.texts = columns.flatMap((column, i) => (column.form === TEXT ? [i] : []));
    this.softwareAdd = prepare('INSERT INTO software (model, firmware, app) VALUES (?, ?, ?)');
    this.software = new Map(prepare('SELECT model, firmware, app, id FROM software').raw().all()
      .map(([model, firmware, app, id]) => [softwareKey(model, firmware, app), id]));
    this.last = {}; // software: that of one row is mostly that of the next
    this.rollups = new Rollups(this.db, registry.rollups(), this.at);
    this.counts = { results: 0, repeats: 0, duplicates: 0, conflicts: 0 };
    this.transaction = this.db.transaction((work) => {
      work();
      this.rollups.write();
    });
  }

  // What `work` takes in one transaction.
  commit(work) {
    this.transaction.immediate(work);
  }

  take(device, lanes, receivedMs) {
    for (const lane of lanes) {
      const incarnation = incarnationOf(lane.incarnation);
      lane.stream = this.stream(device, incarnation);
      const facts = device.facts.get(String(incarnation));
      lane.rows.forEach((row, i) => {
        row[this.at.device] = device.row;
        row[this.at.incarnation] = incarnation;
        row[this.at.seq] = lane.first + i;
        row[this.at.received_ms] = receivedMs;
        this.result(device, facts, row);
      });
      lane.stream.add(lane.first, lane.first + lane.rows.length - 1);
      this.streamWrite.run(device.row, incarnation, lane.stream.text());
    }
    this.seen.run(device.row, receivedMs);
  }

  stream(device, incarnation) {
    const name = String(incarnation);
    let stream = device.streams.get(name);
    if (!stream) {
      stream = new Stream(this.streamRead.get(device.row, incarnation));
      device.streams.set(name, stream);
    }
    return stream;
  }

  result(device, facts, row) {
    const { at } = this;
    this.guard(row);
    const [atMs, boundMs] = judge(facts, row[at.boot_ms], row[at.wall_ms], row[at.received_ms]);
    const standing = device.standingAt(atMs);
    row[at.at_ms] = atMs;
    row[at.bound_ms] = boundMs;
    row[at.standing] = standing.id;
    row[at.carried] = device.carriedAt(row[at.terminal], atMs);
    row[at.software] = this.softwareOf(device.model, row[at.firmware_version], row[at.app_version]);
    const { changes, lastInsertRowid } = this.insert.run(row);
    if (changes === 0) {
      this.again(row);
      return;
    }
    this.counts.results++;
    const outcome = row[at.outcome];
    if (outcome !== APPROVED && outcome !== CANCELLED) this.tell(row, lastInsertRowid);
    this.rollups.add(row, standing.in_service);
  }

  guard(row) {
    for (const i of this.texts) {
      const guarded = guard(row[i]);
      if (guarded === undefined) continue;
      if (guarded[1] !== guarded[0]) row[this.at.masked] = 1;
      row[i] = guarded[1];
    }
  }

  tell(row, result) {
    const { at } = this;
    const added = this.feedAdd.run(row[at.received_ms], FEED_RESULT, row[at.device], result);
    if (added.lastInsertRowid % TRIM_EVERY === 0) {
      this.feedTrim.run(added.lastInsertRowid - FEED_ROWS);
    }
  }

  softwareOf(model, firmware, app) {
    const { last } = this;
    if (last.model === model && last.firmware === firmware && last.app === app) return last.id;
    const key = softwareKey(model, firmware, app);
    let id = this.software.get(key);
    if (id === undefined) {
      id = this.softwareAdd.run(model, firmware, app).lastInsertRowid;
      this.software.set(key, id);
    }
    this.last = { model, firmware, app, id };
    return id;
  }

  // Held already, or its idempotency key is, under another id.
  again(row) {
    const id = [row[this.at.device], row[this.at.incarnation], row[this.at.seq]];
    const held = this.held.get(id);
    if (!held) {
      this.duplicate.run(id);
      this.counts.duplicates++;
      return;
    }
    const same = held.every((value, i) => {
      const sent = row[this.firstField + i];
      return Buffer.isBuffer(value) ? value.equals(sent) : value === sent;
    });
    this.counts[same ? 'repeats' : 'conflicts']++;
  }

  close() {
    this.db.close();
  }
}

module.exports = { Store };
