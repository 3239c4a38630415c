#!/usr/bin/env node
// Compiles for `solc.js`, again and again: the compiler is loaded once, and its code is warm from the second time on.
//
//   node tools/solc-server.js SOCKET     until its standard input ends, which it does with the process that started it
//
// A request is `{args, cwd, stdin}`, the answer what the compiler prints; both end with the connection's direction.
'use strict';

const fs = require('node:fs');
const net = require('node:net');

const { run } = require('./solc.js');

const server = net.createServer({ allowHalfOpen: true }, (client) => {
  const parts = [];
  client.on('error', () => client.destroy());
  client.on('data', (part) => parts.push(part));
  client.on('end', () => {
    const { args, cwd, stdin } = JSON.parse(Buffer.concat(parts).toString('utf8'));
    // A compiler that crashed is in no state to go on: the error ends the process.
    client.end(run(args, cwd, stdin));
  });
});
server.listen(process.argv[2], () => process.stdout.write('listening\n'));
process.on('exit', () => fs.rmSync(process.argv[2], { force: true }));
process.stdin.on('end', () => process.exit()).resume();
