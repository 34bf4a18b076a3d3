// SPDX-License-Identifier: Apache-2.0
'use strict';
// What is committed is told to who sent it: to each device at most once in COALESCE_MS, as musterd
// does by default. Unsigned: the envelope holds the body alone.
const COALESCE_MS = 200;

class Receipts {
  constructor(messages, client) {
    this.messages = messages;
    this.client = client;
    this.owed = new Map(); // device: streams by incarnation
    this.timer = null;
  }

  owe(id, lanes) {
    let streams = this.owed.get(id);
    if (!streams) this.owed.set(id, (streams = new Map()));
    for (const lane of lanes) streams.set(lane.incarnation.toString(), lane);
    if (this.timer === null) this.timer = setTimeout(() => this.send(), COALESCE_MS);
  }

  send() {
    clearTimeout(this.timer);
    this.timer = null;
    const { Envelope, Receipt } = this.messages, now = Date.now();
    for (const [device, lanes] of this.owed) {
      const streams = Array.from(lanes.values(), ({ incarnation, lane, stream }) => (
        { incarnation, lane, ...stream.receipt() }));
      const body = Receipt.encode({ device, issued_ms: now, streams }).finish();
      const envelope = Envelope.encode({ body }).finish();
      this.client.publish(`muster/v1/down/${device}/receipt`, envelope, { qos: 1 });
    }
    this.owed.clear();
  }
}

module.exports = { Receipts };
