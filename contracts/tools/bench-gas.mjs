#!/usr/bin/env node
// Compares the gas of our calls with that of published contracts and with limits, and prints one table; exit code 1 if a
// limit is passed. The measurements are those of bench/Bench.t.sol: every call is a transaction of its own, 21 000 and
// the calldata included, refunds deducted.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const at = (...parts) => path.join(root, ...parts);
const readJson = (...parts) => JSON.parse(fs.readFileSync(at(...parts), 'utf8'));

// Beside an action of ours stand the same one of StakingRewards, to which it is compared, and of MasterChef, for
// information. `target` is what we want, `limit` what must hold; docs/gas.md says why the one is not always the other.
const COMPARED = [
  { action: "first stake, not the epoch's first", ours: ['stake, first'], anchor: 'stake, first', target: 0.75, chef: 'deposit, first' },
  { action: "first stake, the epoch's first", ours: ['stake, first, first of its epoch'], anchor: 'stake, first', target: 0.75, chef: 'deposit, first' },
  { action: 'further stake, reward pending', ours: ['stake, further'], anchor: 'stake, further', target: 0.9, chef: 'deposit, further' },
  { action: "first delegation, not the epoch's first", ours: ['delegate, first'], anchor: 'stake, first', target: 0.75, limit: 0.87, chef: 'deposit, first' },
  { action: "first delegation, the epoch's first", ours: ['delegate, first, first of its epoch'], anchor: 'stake, first', target: 0.75, limit: 0.89, chef: 'deposit, first' },
  { action: 'further delegation, reward pending', ours: ['delegate, further'], anchor: 'stake, further', target: 0.9, limit: 0.98, chef: 'deposit, further' },
  { action: 'undelegation, reward pending', ours: ['undelegate, part'], anchor: 'stake, further', target: 0.9, chef: 'withdraw, part' },
  { action: 'unbond and withdraw, both calls', ours: ['unstake, part', 'withdraw'], anchor: 'withdraw, part', target: 1, limit: 1.28, chef: 'withdraw, part' },
  { action: 'claim of an operator, 1 epoch missed', ours: ['claim, operator, 1 epoch'], anchor: 'getReward', target: 0.8, chef: 'harvest' },
  { action: 'claim of an operator, 50 epochs missed', ours: ['claim, operator, 50 epochs'], anchor: 'getReward', target: 0.8, chef: 'harvest' },
  { action: 'claim of a delegator, 1 epoch missed', ours: ['claim, delegator, 1 epoch'], anchor: 'getReward', target: 0.8, limit: 0.87, chef: 'harvest' },
  { action: 'claim of a delegator, 50 epochs missed', ours: ['claim, delegator, 50 epochs'], anchor: 'getReward', target: 0.8, limit: 0.87, chef: 'harvest' },
];

// An epoch has no counterpart: a number of gas limits it.
const ABSOLUTE = [
  { action: 'commit scores', ours: ['commit'], target: 30_000, limit: 30_500 },
  { action: 'reveal, per score', ours: ['reveal, per score'], target: 9000 },
  { action: 'tally and rank, per submission', ours: ['tally and rank, per submission of 15 scores'], target: 60_000, limit: 84_000 },
  { action: 'validator weight, per score', ours: ['weigh, per score'], target: 4000 },
  { action: 'settle, per pool of a node', ours: ['settle, per pool'], target: 12_000, limit: 34_000 },
  { action: 'settle, per pool of a validator', ours: ["settle, per validator's pool"], target: 12_000, limit: 28_000 },
  { action: 'settle, per delegator of a pool', ours: ['settle, per delegator'], target: 0 },
];

function measure() {
  fs.rmSync(at('cache', 'bench', 'gas'), { recursive: true, force: true });
  const run = spawnSync(at('tools', 'forge'), ['test'], {
    env: { ...process.env, FOUNDRY_PROFILE: 'bench' },
    encoding: 'utf8',
  });
  if (run.status !== 0) {
    process.stderr.write(run.stdout + run.stderr);
    process.exit(run.status ?? 1);
  }
  const group = (name) => readJson('cache', 'bench', 'gas', `${name}.json`);
  return { ours: group('Ours'), anchor: group('StakingRewards'), chef: group('MasterChef') };
}

function gas(group, action) {
  const value = group[action];
  if (value === undefined) throw new Error(`no measurement of "${action}"`);
  return Number(value);
}

const total = (group, actions) => actions.reduce((sum, action) => sum + gas(group, action), 0);
const number = (value) => String(value).replace(/\B(?=(\d{3})+$)/g, ' ');

/** A result against what must hold and what is wanted. */
function verdict(value, { target, limit = target }) {
  if (value > limit) return 'OVER';
  return value > target ? 'above target' : 'ok';
}

function rows({ ours, anchor, chef }) {
  const compared = COMPARED.map((row) => {
    const [mine, theirs] = [total(ours, row.ours), gas(anchor, row.anchor)];
    const { target, limit = target } = row;
    const bounds = [target.toFixed(2), limit.toFixed(2), verdict(mine / theirs, row)];
    return [row.action, number(mine), number(theirs), (mine / theirs).toFixed(2), ...bounds, number(gas(chef, row.chef))];
  });
  const absolute = ABSOLUTE.map((row) => {
    const mine = total(ours, row.ours);
    const { target, limit = target } = row;
    return [row.action, number(mine), '', '', number(target), number(limit), verdict(mine, row), ''];
  });
  return [...compared, ...absolute];
}

// ---------------------------------------------------------------------------------------------------------- printing

/** Settings of a compilation, from the metadata that the compiler wrote about it. */
function describe(name, metadata) {
  const { compiler, settings } = metadata;
  const { enabled, runs } = settings.optimizer;
  const optimizer = enabled ? `optimizer ${runs} runs` : 'no optimizer';
  return `${name}: solc ${compiler.version.split('+')[0]}, ${settings.evmVersion}, ${optimizer}${settings.viaIR ? ', via IR' : ''}`;
}

function heading() {
  const modules = ['node_modules'];
  // The artifact of MasterChef names no settings. The record of a deployment in the same package does, and holds the same
  // bytecode up to the hash of its metadata.
  return [
    describe('ours', readJson('cache', 'bench', 'out', 'Vault.sol', 'Vault.json').metadata),
    describe('StakingRewards', JSON.parse(readJson(...modules, '@uniswap/liquidity-staker/build/StakingRewards.json').metadata)),
    describe('MasterChef', JSON.parse(readJson(...modules, '@sushiswap/core/deployments/kovan/MasterChef.json').metadata)),
  ].join('\n');
}

function print(table) {
  const head = ['gas per transaction', 'ours', 'StakingRewards', 'ratio', 'target', 'limit', '', 'MasterChef'];
  const cells = [head, ...table];
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  const line = (row) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join('  ').trimEnd();
  console.log(`${heading()}\n\n${cells.map(line).join('\n')}`);
}

const table = rows(measure());
print(table);
process.exitCode = table.some((row) => row[6] === 'OVER') ? 1 : 0;
