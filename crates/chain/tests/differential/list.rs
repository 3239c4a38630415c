//! The submissions of a task: what stands, what waits to be scored, and whose each content is (M-1, M-9, M-11).

use std::collections::BTreeMap;

use aiarena_mechanism::Score;
use alloy::primitives::B256;

/// A submission that stands.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Its node, by number.
    pub(crate) node: usize,
    /// Its commitment number.
    pub(crate) number: u64,
    pub(crate) duplicate: bool,
    /// The epoch in which it was withdrawn.
    pub(crate) withdrawn_in: Option<u32>,
    /// What it was found to be when it was last scored.
    pub(crate) consensus: Option<Score>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct List {
    pub(crate) entries: Vec<Entry>,
    /// Nodes whose submissions the next draw puts on the epoch's list, in its order; unused with fresh data.
    waiting: Vec<usize>,
    /// By content, who disclosed it under the lowest commitment number.
    origins: BTreeMap<B256, (usize, u64)>,
    pub(crate) commitments: u64,
}

impl List {
    pub(crate) fn open(&mut self, node: usize, number: u64, content: B256) {
        let entry = Entry { node, number, duplicate: false, withdrawn_in: None, consensus: None };
        let place = match self.place(node) {
            Some(place) => {
                self.entries[place] = entry;
                place
            }
            None => {
                self.entries.push(entry);
                self.entries.len() - 1
            }
        };
        match self.origins.get(&content) {
            Some((origin, _)) if *origin == node => {}
            Some((_, lower)) if *lower < number => self.entries[place].duplicate = true,
            known => {
                if let Some(copy) = known.and_then(|(origin, _)| self.place(*origin)) {
                    self.entries[copy].duplicate = true;
                }
                self.origins.insert(content, (node, number));
            }
        }
        self.enqueue(node);
    }

    /// The last entry takes its place, on the list and in the queue.
    pub(crate) fn evict(&mut self, place: usize) {
        let entry = self.entries.swap_remove(place);
        if let Some(place) = self.waiting.iter().position(|node| *node == entry.node) {
            self.waiting.swap_remove(place);
        }
    }

    /// The places of the submissions that are on the epoch's list, in its order.
    pub(crate) fn draw(&mut self, fresh_data: bool) -> Vec<usize> {
        let waiting = std::mem::take(&mut self.waiting);
        if fresh_data {
            return (0..self.entries.len()).collect();
        }
        waiting.into_iter().map(|node| self.place(node).unwrap()).collect()
    }

    /// What came of a submission that was on the epoch's list. Without a quorum it waits for the next one.
    pub(crate) fn score(&mut self, place: usize, consensus: Option<Score>) {
        self.entries[place].consensus = consensus;
        if consensus.is_none() {
            self.enqueue(self.entries[place].node);
        }
    }

    fn enqueue(&mut self, node: usize) {
        if !self.waiting.contains(&node) {
            self.waiting.push(node);
        }
    }

    fn place(&self, node: usize) -> Option<usize> {
        self.entries.iter().position(|entry| entry.node == node)
    }
}
