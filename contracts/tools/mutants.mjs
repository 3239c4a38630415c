#!/usr/bin/env node
// Mutation testing of the vault and the libraries: changes one small thing of the source at a time, in a copied tree, and
// runs the tests until one fails. A mutant that no test kills shows what is not tested; mutants.md explains each.
//
//   node tools/mutants.mjs              all mutants, for hours
//   N=100 SEED=1 node tools/mutants.mjs a sample; a larger N with the same seed goes on where the smaller one ended
//   FILES=Slashing,Vault N=100 node …   only of these files, one after the other; N is of each
//   JOB=2 FILES=… node …                beside another run, in a tree of its own
//   REPORT=1 node tools/mutants.mjs     only what is known already
//
// Results are kept in cache/mutants/results.jsonl as they come, so that an interrupted run goes on. Each of them holds the
// digest of the source that was changed. Exit code 1 if less than 90 % of the mutants of a file with at least ten were killed,
// or if mutants.md does not explain exactly those that survived.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { apply, compile, mutants } from './mutations.mjs';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const at = (...parts) => path.join(root, ...parts);
const tree = (...parts) => at('cache', 'mutants', `contracts${process.env.JOB ?? ''}`, ...parts);
const RESULTS = at('cache', 'mutants', 'results.jsonl');
const LEAST_RATE = 0.9;
// Of fewer mutants one survivor is too much, and says too little.
const LEAST_COUNT = 10;
const TIMEOUT_MS = 900_000;

const libraries = fs.readdirSync(at('src', 'libraries')).sort().map((name) => `src/libraries/${name}`);
const FILES = ['src/Vault.sol', ...libraries];
const CHOSEN = process.env.FILES?.split(',').map((name) => FILES.find((file) => path.basename(file, '.sol') === name));
if (CHOSEN?.includes(undefined)) throw new Error(`FILES are some of ${FILES.map((file) => path.basename(file, '.sol')).join(',')}`);

// The stages of a mutant, the fastest first. The first two have builds of their own, without the arena: it takes longest.
const build = (name) => ({ FOUNDRY_OUT: `cache/${name}/out`, FOUNDRY_CACHE_PATH: `cache/${name}` });
const HARNESS = {
  options: ['--match-path', 'test/Libraries.sol'],
  env: { FOUNDRY_SRC: 'test/harness', ...build('harness') },
};
const VAULT = {
  options: ['--match-path', 'test/{Vault*,Checkpoints*,attacks/Vault[!R]*}', '--skip', 'src/Arena.sol', '--skip', 'src/Settlement.sol'],
  env: build('vault'),
};
// Limits of gas are those of optimised code, which is not what is built here.
const GAS = 'gas/*,attacks/ArenaLarge*';
const REST = { options: ['--no-match-path', `test/{Libraries*,Vault*,Checkpoints*,Invariants*,attacks/Vault[!R]*,${GAS}}`] };
const HISTORY = { options: ['--match-path', 'test/Invariants.t.sol'] };
const WITHOUT_HARNESS = ['src/Vault.sol', 'src/libraries/Pools.sol', 'src/libraries/Checkpoints.sol'];
const stagesOf = (file) => [...(WITHOUT_HARNESS.includes(file) ? [] : [HARNESS]), VAULT, REST, HISTORY];

// What is deployed, to find the mutants that are no change at all.
const DEPLOYED = ['src/Vault.sol', 'src/Emission.sol', 'src/Settlement.sol', 'src/Arena.sol', 'test/harness/LibraryHarness.sol'];
const DEPLOYMENT = { viaIR: true, optimizer: { enabled: true, runs: 100 }, metadata: { bytecodeHash: 'none', appendCBOR: false } };

const digest = (...parts) => createHash('sha256').update(parts.join('\0')).digest('hex');
const read = (file) => fs.readFileSync(at(file), 'utf8');

function copyTree() {
  for (const folder of ['src', 'test', 'tools']) {
    fs.rmSync(tree(folder), { recursive: true, force: true });
    fs.cpSync(at(folder), tree(folder), { recursive: true });
  }
  fs.copyFileSync(at('foundry.toml'), tree('foundry.toml'));
  link(at('node_modules'), tree('node_modules'));
  link(at('..', 'vectors'), at('cache', 'mutants', 'vectors'));
}

function link(target, file) {
  if (!fs.existsSync(file)) fs.symlinkSync(target, file);
}

/** Runs one stage: `{failed}` names the first test that failed, or is undefined; `{invalid}` if nothing was built. */
function test(stage) {
  // Forge plays failures that it remembers first: those of another mutant say nothing.
  for (const name of ['fuzz', 'invariant', 'test-failures', 'harness/test-failures', 'vault/test-failures']) {
    fs.rmSync(tree('cache', name), { recursive: true, force: true });
  }
  const run = spawnSync(tree('tools', 'forge'), ['test', '--fail-fast', '--color', 'never', ...stage.options], {
    encoding: 'utf8',
    env: { ...process.env, FOUNDRY_PROFILE: 'mutants', ...stage.env },
    maxBuffer: 1 << 28,
    timeout: TIMEOUT_MS,
  });
  const output = run.stdout + run.stderr;
  if (run.error?.code === 'ETIMEDOUT') return { failed: 'timeout' };
  if (/Compiler run failed/.test(output)) return { invalid: true };
  const failed = output.match(/^\[FAIL.*\] (\w+)\(/m)?.[1] ?? output.match(/^\[FAIL/m)?.[0];
  if (run.status !== 0 && failed === undefined) throw new Error(output);
  return { failed };
}

/** The creation bytecode of all that is deployed and made of `file`; nothing if that does not compile. */
function bytecode(file) {
  const contents = Object.fromEntries(DEPLOYED.filter((name) => reaches(name, file)).map((name) => [name, fs.readFileSync(tree(name), 'utf8')]));
  const output = compile(contents, { ...DEPLOYMENT, outputSelection: { '*': { '*': ['evm.bytecode.object'] } } }, tree());
  if (output.errors?.some((error) => error.severity === 'error')) return undefined;
  return digest(...Object.keys(contents).flatMap((name) => Object.values(output.contracts[name]).map((made) => made.evm.bytecode.object)));
}

/** Whether a file of the contracts is or imports another one. */
function reaches(from, to) {
  if (from === to) return true;
  const imports = [...read(from).matchAll(/from "(\.[^"]+)"/g)].map(([, target]) => path.posix.join(path.posix.dirname(from), target));
  return imports.some((target) => reaches(target, to));
}

const unchanged = new Map();
function isUnchanged(file, source) {
  const mutated = bytecode(file);
  if (!unchanged.has(file)) {
    const kept = fs.readFileSync(tree(file), 'utf8');
    fs.writeFileSync(tree(file), source);
    unchanged.set(file, bytecode(file));
    fs.writeFileSync(tree(file), kept);
  }
  return mutated === unchanged.get(file);
}

/** `killed`, `survived`, `invalid` (it does not compile) or `same` (its bytecode is that of the source). */
function judge(mutant, source) {
  try {
    for (const stage of stagesOf(mutant.file)) {
      fs.writeFileSync(tree(mutant.file), source);
      demandPasses(stage);
      fs.writeFileSync(tree(mutant.file), apply(source, mutant));
      const { failed, invalid } = test(stage);
      if (invalid) return { verdict: 'invalid' };
      if (failed !== undefined) return { verdict: 'killed', by: failed };
    }
    return { verdict: isUnchanged(mutant.file, source) ? 'same' : 'survived' };
  } finally {
    fs.writeFileSync(tree(mutant.file), source);
  }
}

/** A stage counts if the source as it is passes it. That is looked at when the first mutant comes to it. */
const passed = new Set();
function demandPasses(stage) {
  if (passed.has(stage)) return;
  const { failed, invalid } = test(stage);
  if (failed !== undefined || invalid) throw new Error(`the source as it is fails: ${failed ?? 'it does not compile'}`);
  passed.add(stage);
}

/** What is known already. A killed mutant stays killed while its file is the same, a survivor while the tests are too. */
function knownResults(sources, tests) {
  const known = new Map();
  if (!fs.existsSync(RESULTS)) return known;
  for (const line of fs.readFileSync(RESULTS, 'utf8').split('\n').filter(Boolean)) {
    const result = JSON.parse(line);
    known.delete(result.key);
    if (result.source !== sources.get(result.file)) continue;
    if (result.verdict === 'survived' && result.tests !== tests) continue;
    known.set(result.key, result);
  }
  return known;
}

/** The explanations: below a heading "### Contract.function" one line "- `line` → `mutated line`: reason" each. */
function explanations() {
  const keys = new Set();
  let heading = '';
  if (!fs.existsSync(at('mutants.md'))) return keys;
  for (const line of read('mutants.md').split('\n')) {
    if (line.startsWith('### ')) heading = line.slice(4);
    const entry = line.match(/^- (`.+?` → `.+?`): \S/);
    if (entry) keys.add(`${heading}: ${entry[1]}`);
  }
  return keys;
}

function filesBelow(folder) {
  return fs.readdirSync(at(folder), { recursive: true }).sort().filter((name) => name.endsWith('.sol')).map((name) => `${folder}/${name}`);
}

const nameOf = (mutant) => `${mutant.place}: \`${mutant.before}\` → \`${mutant.after}\``;
const seed = process.env.SEED ?? '1';
const wanted = process.env.N === undefined ? Infinity : Number(process.env.N);

fs.mkdirSync(tree(), { recursive: true });
copyTree();
const sources = new Map(FILES.map((file) => [file, read(file)]));
const sourceDigests = new Map(FILES.map((file) => [file, digest(read(file))]));
const tests = digest(...filesBelow('test').map(read), read('foundry.toml'));
const all = FILES.flatMap((file) => mutants(file, sources.get(file)));
const seen = new Map();
for (const mutant of all) {
  // The same change may be possible twice in a line.
  const count = (seen.get(nameOf(mutant)) ?? 0) + 1;
  seen.set(nameOf(mutant), count);
  mutant.key = count === 1 ? nameOf(mutant) : `${nameOf(mutant)} #${count}`;
}
const order = new Map(all.map((mutant) => [mutant, digest(seed, mutant.key)]));
const shuffled = [...all].sort((a, b) => (order.get(a) < order.get(b) ? -1 : 1));
const queues = CHOSEN?.map((chosen) => shuffled.filter(({ file }) => file === chosen)) ?? [shuffled];

const known = knownResults(sourceDigests, tests);
const counted = [];
for (const queue of queues) judgeAll(queue);

/** Judges as many of a queue as are wanted; those that do not compile or are no change are not counted. */
function judgeAll(queue) {
  const enough = counted.length + wanted;
  for (const mutant of queue) {
    if (counted.length >= enough) return;
    const result = known.get(mutant.key) ?? (process.env.REPORT ? undefined : judgeNew(mutant));
    if (result?.verdict === 'killed' || result?.verdict === 'survived') counted.push(result);
  }
}

function judgeNew(mutant) {
  const started = Date.now();
  const result = { key: mutant.key, file: mutant.file, line: mutant.line, ...judge(mutant, sources.get(mutant.file)) };
  result.seconds = Math.round((Date.now() - started) / 1000);
  Object.assign(result, { source: sourceDigests.get(mutant.file), tests });
  fs.appendFileSync(RESULTS, `${JSON.stringify(result)}\n`);
  console.log(`${counted.length + 1}: ${result.verdict} in ${result.seconds} s${result.by ? ` by ${result.by}` : ''}: ${mutant.file}:${mutant.line} ${mutant.key}`);
  return result;
}

// ------------------------------------------------------------------ the report

let poor = false;
console.log(`\n${counted.length} of ${all.length} mutants, seed ${seed}`);
for (const file of [...FILES, undefined]) {
  const own = counted.filter((result) => file === undefined || result.file === file);
  if (own.length === 0) continue;
  const killed = own.filter((result) => result.verdict === 'killed').length;
  if ((file === undefined || own.length >= LEAST_COUNT) && killed / own.length < LEAST_RATE) poor = true;
  console.log(`${(file ?? 'all').padEnd(32)} ${String(killed).padStart(4)} of ${String(own.length).padStart(4)} killed, ${((100 * killed) / own.length).toFixed(1)} %`);
}

const withoutNumber = (key) => key.replace(/ #\d+$/, '');
const explained = explanations();
const survivors = new Set(counted.filter((result) => result.verdict === 'survived').map((result) => withoutNumber(result.key)));
const killedOrGone = (key) => !seen.has(key) || counted.some((result) => result.key === key && result.verdict === 'killed');
const open = [...survivors].filter((key) => !explained.has(key));
const stale = [...explained].filter((key) => !survivors.has(key) && killedOrGone(key));
for (const key of open) console.error(`not explained in mutants.md: ${key}`);
for (const key of stale) console.error(`mutants.md explains what no longer survives: ${key}`);
process.exitCode = poor || open.length + stale.length > 0 ? 1 : 0;
