#!/usr/bin/env node
// Writes the ABI and the creation bytecode of every contract that the Rust code deploys or binds, as slim JSON
// `{abi, bytecode}`, so that `cargo build` needs no Solidity compiler:
//
//   abi/<Contract>.json           contracts of src/ (not src/libraries: their functions are internal)
//   abi/harness/<Contract>.json   contracts of test/harness/, which expose the internal libraries to Rust's tests
//
//   node tools/abi.mjs            build and write
//   node tools/abi.mjs --check    build and compare with what is committed; exit code 1 if it differs
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const SOURCES = [
  { folder: 'src', target: 'abi' },
  { folder: 'test/harness', target: 'abi/harness' },
];

/** Solidity files of a folder, sorted, without those of libraries. */
function solidityFiles(folder) {
  const absolute = path.join(root, folder);
  if (!fs.existsSync(absolute)) return [];
  return fs
    .readdirSync(absolute, { recursive: true })
    .map((name) => name.split(path.sep).join('/'))
    .filter((name) => name.endsWith('.sol') && !name.startsWith('libraries/'))
    .sort();
}

/** The order of ABI entries follows the compiler's internals: sort it by kind, name and inputs. */
function sortedAbi(abi) {
  const kinds = ['constructor', 'receive', 'fallback', 'function', 'event', 'error'];
  return [...abi].sort(
    (a, b) =>
      kinds.indexOf(a.type) - kinds.indexOf(b.type) ||
      (signatureOf(a) < signatureOf(b) ? -1 : signatureOf(a) > signatureOf(b) ? 1 : 0),
  );
}

const signatureOf = (item) => `${item.name ?? ''}(${(item.inputs ?? []).map((input) => input.type).join(',')})`;

/** The ABI with the interface's names of arguments, where the contract leaves them out because it only passes them on. */
function named(abi, name) {
  const file = path.join(root, 'out', `I${name}.sol`, `I${name}.json`);
  if (!fs.existsSync(file)) return abi;
  const functions = JSON.parse(fs.readFileSync(file, 'utf8')).abi.filter((item) => item.type === 'function');
  const declared = new Map(functions.map((item) => [signatureOf(item), item.inputs]));
  return abi.map((item) => {
    const inputs = item.type === 'function' ? declared.get(signatureOf(item)) : undefined;
    if (inputs === undefined) return item;
    return { ...item, inputs: item.inputs.map((input, i) => ({ ...input, name: input.name || inputs[i].name })) };
  });
}

/** One line per ABI entry: a change of the interface shows as a diff that can be read. */
function render({ abi, bytecode }) {
  const lines = sortedAbi(abi).map((item) => `    ${JSON.stringify(item)}`);
  const list = lines.length === 0 ? '[]' : `[\n${lines.join(',\n')}\n  ]`;
  return `{\n  "abi": ${list},\n  "bytecode": ${JSON.stringify(bytecode)}\n}\n`;
}

/** All files that should exist below abi/, by their path relative to contracts/. */
function expectedFiles() {
  const files = new Map();
  for (const { folder, target } of SOURCES) {
    for (const source of solidityFiles(folder)) {
      const artifacts = path.join(root, 'out', path.basename(source));
      if (!fs.existsSync(artifacts)) continue; // A file of free functions and types alone has no artifact.
      for (const file of fs.readdirSync(artifacts).sort()) {
        const name = path.basename(file, '.json');
        if (name.includes('.')) continue; // Compiled for the tests, by another pipeline.
        const artifact = JSON.parse(fs.readFileSync(path.join(artifacts, file), 'utf8'));
        const compiled = Object.keys(artifact.metadata?.settings?.compilationTarget ?? {})[0];
        if (compiled !== undefined && compiled !== `${folder}/${source}`) continue;
        const bytecode = artifact.bytecode?.object ?? '0x';
        if (bytecode === '0x') continue; // An interface: the contract that implements it has the same ABI.
        if (bytecode.includes('__$')) throw new Error(`${name}: bytecode needs a linked library`);
        const key = `${target}/${name}.json`;
        if (files.has(key)) throw new Error(`${key}: two contracts share this name`);
        files.set(key, render({ abi: named(artifact.abi, name), bytecode }));
      }
    }
  }
  return files;
}

function committedFiles() {
  const folder = path.join(root, 'abi');
  if (!fs.existsSync(folder)) return [];
  return fs
    .readdirSync(folder, { recursive: true })
    .map((name) => `abi/${name.split(path.sep).join('/')}`)
    .filter((name) => name.endsWith('.json'))
    .sort();
}

const check = process.argv.includes('--check');
try {
  execFileSync(path.join(root, 'tools', 'forge'), ['build', '--quiet', 'src', 'test/harness'], { stdio: 'inherit' });
} catch (error) {
  process.exit(error.status ?? 1); // Forge has said what is wrong.
}
const expected = expectedFiles();
const differing = [];
for (const [file, content] of expected) {
  const absolute = path.join(root, file);
  const committed = fs.existsSync(absolute) ? fs.readFileSync(absolute, 'utf8') : null;
  if (committed === content) continue;
  differing.push(`${file}: ${committed === null ? 'missing' : 'differs from the source'}`);
  if (check) continue;
  fs.mkdirSync(path.dirname(absolute), { recursive: true });
  fs.writeFileSync(absolute, content);
}
for (const file of committedFiles().filter((name) => !expected.has(name))) {
  differing.push(`${file}: has no source`);
  if (!check) fs.rmSync(path.join(root, file));
}

if (check && differing.length > 0) {
  console.error(`The committed ABI or bytecode is stale; run 'make abi' and commit:\n  ${differing.join('\n  ')}`);
  process.exitCode = 1;
} else {
  console.log(`abi: ${expected.size} files, ${differing.length} ${check ? 'differ' : 'written or removed'}`);
}
