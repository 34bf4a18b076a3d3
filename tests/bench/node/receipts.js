// SPDX-License-Identifier: Apache-2.0
'use strict';
// What is committed is told to who sent it: to each device at most once in COALESCE_MS, as musterd
// does by default. A terminal forgets a record only upon a receipt with a good signature.
const crypto = require('node:crypto');

const COALESCE_MS = 200, KEY_ID_BYTES = 8;

// As proto/envelope.proto says.
class Signer {
  constructor(pem) {
    this.key = crypto.createPrivateKey(pem);
    const spki = crypto.createPublicKey(this.key).export({ type: 'spki', format: 'der' });
    this.id = crypto.createHash('sha256').update(spki).digest().subarray(0, KEY_ID_BYTES);
  }

  sign(domain, context, body) {
    const head = Buffer.from(`muster/v1/${domain}\0${context}\0`);
    const signature = crypto.sign(null, Buffer.concat([head, body]), this.key);
    return { body, signatures: [{ key_id: this.id, signature }] };
  }
}

class Receipts {
  constructor(messages, client, pem) {
    this.signer = new Signer(pem);
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
      const envelope = Envelope.encode(this.signer.sign('receipt', device, body)).finish();
      this.client.publish(`muster/v1/down/${device}/receipt`, envelope, { qos: 1 });
    }
    this.owed.clear();
  }
}

module.exports = { Receipts };
