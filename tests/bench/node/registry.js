// SPDX-License-Identifier: Apache-2.0
'use strict';
// The devices that are enrolled in a fleet database: where each stood, what it carried, and when it
// was booted. Read at the start, and kept.
const Database = require('better-sqlite3');

const DEVICES = 'SELECT id, name, model FROM device';
const STANDINGS = `SELECT device, id, life = 'in_service' AS in_service, from_ms FROM standing
  ORDER BY from_ms DESC, id DESC`;
const CARRIED = `SELECT device, id, slot, from_ms, to_ms, EXISTS (SELECT 1 FROM device_terminal o
    WHERE o.logical_terminal = c.logical_terminal AND o.from_ms < c.from_ms) AS was_anothers
  FROM device_terminal c WHERE to_ms IS NULL OR to_ms > from_ms ORDER BY from_ms DESC, id DESC`;
const FACTS = `SELECT i.device, CAST(i.incarnation AS TEXT) AS incarnation, f.at_least, f.boot_ms,
    f.fleet_ms FROM clock_incarnation i JOIN clock_fact f ON f.boot = i.boot`;
// Tables, and views where what a sum is of has a number.
const ROLLUPS = `SELECT name FROM sqlite_schema s WHERE type IN ('table', 'view')
  AND name LIKE 'rollup~_%' ESCAPE '~'
  AND EXISTS (SELECT 1 FROM pragma_table_info(s.name) c WHERE c.name = 'bucket')`;
const NOT_OF = ['id', 'results', 'amount_minor'];

class Device {
  constructor(row) {
    this.row = row.id;
    this.model = row.model;
    this.standings = []; // newest first, as is carried
    this.carried = [];
    this.facts = new Map(); // of the boot of an incarnation
    this.streams = new Map(); // by incarnation
  }

  addFact(fact) {
    const facts = this.facts.get(fact.incarnation);
    if (facts) facts.push(fact);
    else this.facts.set(fact.incarnation, [fact]);
  }

  standingAt(atMs) {
    return this.standings.find((one) => one.from_ms <= atMs) ?? this.standings.at(-1);
  }

  // The row of device_terminal, 0: none.
  carriedAt(slot, atMs) {
    let first;
    for (const one of this.carried) {
      if (one.slot !== slot) continue;
      if (one.from_ms <= atMs) return one.to_ms === null || atMs < one.to_ms ? one.id : 0;
      first = one;
    }
    return first && !first.was_anothers ? first.id : 0;
  }
}

class Registry {
  constructor(path) {
    this.db = new Database(path, { readonly: true });
    this.devices = new Map();
    const byRow = new Map(), all = (sql) => this.db.prepare(sql).all();
    for (const row of all(DEVICES)) {
      const device = new Device(row);
      this.devices.set(row.name, device);
      byRow.set(row.id, device);
    }
    for (const row of all(STANDINGS)) byRow.get(row.device).standings.push(row);
    for (const row of all(CARRIED)) byRow.get(row.device).carried.push(row);
    for (const row of all(FACTS)) byRow.get(row.device).addFact(row);
  }

  // undefined: it is not enrolled.
  find(id) {
    return this.devices.get(id);
  }

  // The sums that a fleet keeps: [{table, columns}], less what is summed.
  rollups() {
    return this.db.prepare(ROLLUPS).pluck().all().map((table) => ({
      table,
      columns: this.db.pragma(`table_info(${table})`).map((column) => column.name)
        .filter((name) => !NOT_OF.includes(name)),
    }));
  }
}

module.exports = { Registry };
