#!/usr/bin/env node
// Forge expects a native `solc`. This wrapper offers the part of its command line that Forge uses, around the
// compiler that npm locks (`solc`, WebAssembly): `--version` and `--standard-json` from standard input or a file.
'use strict';

const fs = require('node:fs');
const path = require('node:path');

const args = process.argv.slice(2);
// Options of the native compiler that take a value which this wrapper has to skip.
const IGNORED_WITH_VALUE = ['--allow-paths'];

function main() {
  const solc = require(path.join(__dirname, '..', 'node_modules', 'solc'));

  if (args.includes('--version') || args.includes('-V')) {
    // Forge parses this text and knows only the suffixes of native builds.
    const version = solc.version().replace(/Emscripten\.clang$/, 'Linux.g++');
    process.stdout.write(`solc, the solidity compiler commandline interface\nVersion: ${version}\n`);
    return;
  }
  if (!args.includes('--standard-json')) {
    throw new Error('only --version and --standard-json are supported');
  }

  const { roots, file } = parse(args);
  const input = fs.readFileSync(file ?? 0, 'utf8');
  process.stdout.write(solc.compile(input, { import: (name) => read(roots, name) }));
}

function parse(list) {
  let base = process.cwd();
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

try {
  main();
} catch (error) {
  process.stderr.write(`tools/solc.js: ${error.message}\n`);
  process.exitCode = 1;
}
