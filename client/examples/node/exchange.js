// Echo over one stream: subscribes, publishes to itself, half-closes: node exchange.js [--count N]
'use strict';

const { api, connect, fail, options } = require('./connect');

const { values } = options({
  subject: { type: 'string', default: 'echo.node' },
  count: { type: 'string', default: '10' },
});
const count = Number(values.count);
const mesh = connect(api.MessagingService, values);
const stream = mesh.Exchange();
let received = 0;

const publish = (number) => stream.write({
  publish_id: number, messages: [{ subject: values.subject, payload: Buffer.from(String(number)) }],
});

stream.on('data', (frame) => {
  if (frame.welcome) {
    console.log(`connected to ${frame.welcome.peer_name}`);
    stream.write({ subscribe: [{ id: 1, subject: values.subject }] });
  }
  for (const published of frame.published) {
    if (published.error) fail(published.error);
  }
  if (frame.subscribed.length > 0) publish(1);
  for (const message of frame.messages) {
    if (message.payload.toString() !== String(++received)) fail(new Error('out of order'));
    if (received < count) {
      publish(received + 1);
    } else {
      stream.write({ unsubscribe: [1] });
      stream.end();
    }
  }
});
stream.on('error', fail);
stream.on('end', () => {
  console.log(`${received} round trips`);
  mesh.close();
});
stream.write({ hello: { client: 'node/example' } });
