// Publishes one message: node publish.js SUBJECT MESSAGE
'use strict';

const { api, connect, fail, options } = require('./connect');

const { values, positionals: [subject, payload = ''] } = options();
const mesh = connect(api.MessagingService, values);
mesh.Publish({ messages: [{ subject, payload: Buffer.from(payload) }] }, (error, answer) => {
  if (error) fail(error);
  console.log(`interested peers: ${answer.interested_peers}`);
  mesh.close();
});
