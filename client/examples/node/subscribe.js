// Prints the payload of every message that matches: node subscribe.js SUBJECT... [--count N]
'use strict';

const { api, connect, fail, options } = require('./connect');

const { values, positionals: subjects } = options({ count: { type: 'string', default: '0' } });
const mesh = connect(api.MessagingService, values);
const stream = mesh.Subscribe({ subjects });
let left = Number(values.count) || Infinity;

stream.on('data', (frame) => {
  if (frame.subscribed) console.error('subscribed');
  for (const gap of frame.gaps) console.error(`lost: ${gap.from} to ${gap.to} (${gap.reason})`);
  for (const message of frame.messages) {
    if (left-- > 0) console.log(message.payload.toString());
  }
  if (left <= 0) {
    left = -1;
    stream.cancel();
  }
});
stream.on('error', (error) => (left < 0 ? mesh.close() : fail(error)));
