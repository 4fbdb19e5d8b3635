// Shows who is in the mesh and every change: node watch_peers.js [--once]
'use strict';

const { status } = require('@grpc/grpc-js');
const { api, connect, fail, options } = require('./connect');

const { values } = options({ once: { type: 'boolean', default: false } });
const peers = connect(api.PeersService, values);
const stream = peers.WatchPeers();

stream.on('data', (response) => {
  for (const event of response.events) {
    console.log(`${event.type} ${event.peer.name} ${event.peer.id.slice(0, 8)} ${event.peer.state}`);
  }
  if (response.synced) {
    console.log('-- complete');
    if (values.once) stream.cancel();
  }
});
stream.on('error', (error) => (error.code === status.CANCELLED ? peers.close() : fail(error)));
stream.write({});
