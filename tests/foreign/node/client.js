'use strict';

// node client.js <version of the npm package> <socket file>
//
// The npm package's own Client, unchanged: prints its events and the messages that it receives, and sends what it
// is told to send.

const {Client, socketFile, report, listen, takeCommands} = require('./peer');

// Short delays, to keep the tests short. The library reconnects by itself.
const client = new Client({socketFile, retryDelay: 20, reconnectDelay: 20});

['connectError', 'connect', 'reconnect', 'disconnect', 'close', 'closed', 'error'].forEach((event) => {
    client.on(event, report(event));
});
listen(client);
takeCommands({
    send: (topic, message) => client.send(topic, message),
    close: () => client.close(),
});
client.connect();
