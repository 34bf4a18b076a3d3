// SPDX-License-Identifier: Apache-2.0
'use strict';
// The consumer: see README.md. Runs until SIGTERM.
const fs = require('node:fs');
const path = require('node:path');
const { parseArgs } = require('node:util');
const mqtt = require('mqtt');
const { Batches } = require('./batch');
const { load } = require('./messages');
const { Receipts } = require('./receipts');
const { Registry } = require('./registry');
const { Store } = require('./store');

const FILTER = 'muster/v1/up/+/batch';
const BATCHES = 1024, WAIT_MS = 50; // of one transaction; how long the first of them waits
const RECEIVE_MAXIMUM = 2 * BATCHES;

const OPTIONS = ['broker', 'ca', 'cert', 'key', 'receipt-key', 'registry', 'database', 'proto'];

function options() {
  const { values } = parseArgs({
    options: Object.fromEntries(OPTIONS.map((name) => [name, { type: 'string' }])),
  });
  const missing = OPTIONS.filter((name) => values[name] === undefined);
  if (missing.length === 0) return values;
  console.error(`consumer.js: needs ${missing.map((name) => `--${name} VALUE`).join(' ')}`);
  return process.exit(2);
}

class Consumer {
  constructor(given) {
    this.messages = load(given.proto);
    this.batches = new Batches(this.messages, path.join(given.proto, 'dictionary'));
    this.registry = new Registry(given.registry);
    this.store = new Store(given.database, this.messages, this.registry);
    this.waiting = [];
    this.timer = null;
    this.refused = 0;
    this.client = mqtt.connect(given.broker, {
      clientId: 'musterd', protocolVersion: 5, properties: { receiveMaximum: RECEIVE_MAXIMUM },
      ca: fs.readFileSync(given.ca), cert: fs.readFileSync(given.cert),
      key: fs.readFileSync(given.key),
    });
    this.receipts = new Receipts(this.messages, this.client,
      fs.readFileSync(given['receipt-key']));
    this.client.on('connect', () => this.client.subscribe(FILTER, { qos: 1 }, (error) => {
      console.log(error ? `not subscribed: ${error.message}` : 'ready');
    }));
    this.client.on('error', (error) => console.error(`consumer.js: broker: ${error.message}`));
    this.client.on('message', (topic, payload) => this.message(topic, payload));
  }

  message(topic, payload) {
    this.waiting.push({ topic, payload });
    if (this.waiting.length >= BATCHES) this.commit();
    else if (this.timer === null) this.timer = setTimeout(() => this.commit(), WAIT_MS);
  }

  // A batch is decoded when it is stored, so that its rows are garbage before they grow old.
  decode({ topic, payload }) {
    try {
      const id = topic.split('/')[3], device = this.registry.find(id);
      if (!device) throw new Error('it is not enrolled');
      const { body } = this.messages.Envelope.decode(payload);
      return { id, device, lanes: this.batches.decode(body) };
    } catch (error) {
      this.refused++;
      console.error(`consumer.js: refused ${topic}: ${error.message}`);
      return undefined;
    }
  }

  commit() {
    clearTimeout(this.timer);
    this.timer = null;
    const messages = this.waiting, taken = [], now = Date.now();
    this.waiting = [];
    if (messages.length === 0) return;
    this.store.commit(() => {
      for (const message of messages) {
        const batch = this.decode(message);
        if (!batch) continue;
        this.store.take(batch.device, batch.lanes, now);
        for (const lane of batch.lanes) lane.rows = null;
        taken.push(batch);
      }
    });
    for (const { id, lanes } of taken) this.receipts.owe(id, lanes);
  }

  async end() {
    this.commit();
    this.receipts.send();
    await this.client.endAsync();
    this.store.close();
    console.log(JSON.stringify({ ...this.store.counts, refused: this.refused }));
  }
}

const consumer = new Consumer(options());
process.once('SIGTERM', () => consumer.end());
