#!/usr/bin/env node
// Forge expects a native `solc`. This wrapper offers the part of its command line that Forge uses, around the
// compiler that npm locks (`solc`, WebAssembly): `--version` and `--standard-json` from standard input or a file.
// With SOLC_SOCKET set, the process that listens there compiles: see solc-server.js.
'use strict';

const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');

// Options of the native compiler that take a value which this wrapper has to skip.
const IGNORED_WITH_VALUE = ['--allow-paths'];

/** What the compiler prints if it is started with `args` in the folder `cwd` and reads `stdin`. */
function run(args, cwd, stdin) {
  const solc = require(path.join(__dirname, '..', 'node_modules', 'solc'));

  if (args.includes('--version') || args.includes('-V')) {
    // Forge parses this text and knows only the suffixes of native builds.
    const version = solc.version().replace(/Emscripten\.clang$/, 'Linux.g++');
    return `solc, the solidity compiler commandline interface\nVersion: ${version}\n`;
  }
  if (!args.includes('--standard-json')) {
    throw new Error('only --version and --standard-json are supported');
  }

  const { roots, file } = parse(args, cwd);
  const input = file === null ? stdin : fs.readFileSync(path.resolve(cwd, file), 'utf8');
  return solc.compile(input, { import: (name) => read(roots, name) });
}

function parse(list, cwd) {
  let base = cwd;
  let file = null;
  const include = [];
  for (let i = 0; i < list.length; i++) {
    if (list[i] === '--base-path') base = list[++i];
    else if (list[i] === '--include-path') include.push(list[++i]);
    else if (IGNORED_WITH_VALUE.includes(list[i])) i++;
    else if (!list[i].startsWith('-')) file = list[i];
  }
  return { roots: [base, ...include], file };
}

function read(roots, name) {
  for (const root of roots) {
    const candidate = path.resolve(root, name);
    if (fs.existsSync(candidate)) return { contents: fs.readFileSync(candidate, 'utf8') };
  }
  return { error: `File not found: ${name}` };
}

function fail(error) {
  process.stderr.write(`tools/solc.js: ${error.message}\n`);
  process.exitCode = 1;
}

function main(args) {
  const readsInput = args.includes('--standard-json') && parse(args, process.cwd()).file === null;
  const stdin = readsInput ? fs.readFileSync(0, 'utf8') : '';
  const socket = process.env.SOLC_SOCKET;
  if (socket === undefined) return process.stdout.write(run(args, process.cwd(), stdin));
  const server = net.connect({ path: socket, allowHalfOpen: true });
  server.on('error', fail);
  server.end(JSON.stringify({ args, cwd: process.cwd(), stdin }));
  server.pipe(process.stdout);
}

module.exports = { run };
if (require.main === module) {
  try {
    main(process.argv.slice(2));
  } catch (error) {
    fail(error);
  }
}
