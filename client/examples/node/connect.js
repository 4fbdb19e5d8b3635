// What the examples share: options, stubs, and errors in words.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { parseArgs } = require('node:util');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const protos = process.env.PEERMESH_PROTOS || path.join(__dirname, '../../../protos');

// Field names as in the .proto files; 64-bit numbers and enums as text; unset fields present.
const definition = loader.loadSync(['peermesh/v1/messaging.proto', 'peermesh/v1/peers.proto'], {
  includeDirs: [protos], keepCase: true, longs: String, enums: String, defaults: true,
});
const api = grpc.loadPackageDefinition(definition).peermesh.v1;

// Options every example takes, and its own.
function options(own = {}) {
  return parseArgs({
    allowPositionals: true,
    options: {
      socket: { type: 'string', default: process.env.PEERMESH_SOCKET || '/run/peermesh/app.sock' },
      address: { type: 'string', default: process.env.PEERMESH_ADDRESS },
      identity: { type: 'string', default: process.env.PEERMESH_IDENTITY },
      ...own,
    },
  });
}

// A stub: over the socket, or over mutual TLS with a directory made by "peermesh client add".
function connect(Service, values) {
  if (!values.address) return new Service(`unix:${values.socket}`, grpc.credentials.createInsecure());
  if (!values.identity) throw new Error('--address needs --identity');
  const [ca, key, certificate] =
    ['ca.pem', 'key.pem', 'cert.pem'].map((name) => fs.readFileSync(path.join(values.identity, name)));
  return new Service(values.address, grpc.credentials.createSsl(ca, key, certificate));
}

function fail(error) {
  console.error(error.details || error.message);
  process.exit(1);
}

module.exports = { api, connect, fail, options };
