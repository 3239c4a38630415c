//! Which logs a block holds, proven by its receipts root.

use alloy::{
    consensus::proofs::ordered_trie_root_encoded,
    primitives::{Address, B256, Bloom, BloomInput, Log as PrimitiveLog, U64, logs_bloom},
    rlp::{Encodable, Header as RlpHeader},
};
use serde::Deserialize;

/// The receipt type of deposits on OP-stack chains, which has two fields more.
const DEPOSIT: u64 = 0x7e;

/// The newest receipt type of Ethereum itself (EIP-7702).
const NEWEST_KNOWN: u64 = 4;

/// A receipt as endpoints send it, of any chain: alloy's own type knows Ethereum's transaction types alone.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Receipt {
    #[serde(rename = "type", default)]
    kind: U64,
    #[serde(default)]
    status: Option<U64>,
    #[serde(default)]
    root: Option<B256>,
    cumulative_gas_used: U64,
    logs: Vec<PrimitiveLog>,
    #[serde(default)]
    deposit_nonce: Option<U64>,
    #[serde(default)]
    deposit_receipt_version: Option<U64>,
}

impl Receipt {
    /// As consensus encodes it, with its bloom recomputed from its logs.
    fn encoded(&self) -> Vec<u8> {
        let mut fields = Vec::new();
        match (self.status, self.root) {
            // Before Byzantium a receipt named the state instead.
            (None, Some(root)) => root.encode(&mut fields),
            (status, _) => status.unwrap_or_default().to::<u64>().encode(&mut fields),
        }
        self.cumulative_gas_used.to::<u64>().encode(&mut fields);
        logs_bloom(&self.logs).encode(&mut fields);
        self.logs.encode(&mut fields);
        let kind = self.kind.to::<u64>();
        if kind == DEPOSIT {
            for field in [self.deposit_nonce, self.deposit_receipt_version].into_iter().flatten() {
                field.to::<u64>().encode(&mut fields);
            }
        }
        let mut out = u8::try_from(kind).ok().filter(|kind| *kind != 0).into_iter().collect::<Vec<_>>();
        RlpHeader { list: true, payload_length: fields.len() }.encode(&mut out);
        out.extend_from_slice(&fields);
        out
    }
}

/// What receipts say about a block.
#[derive(Debug)]
pub(super) enum Verdict {
    /// They are the block's: these are all its logs, with their places in it.
    Proven(Vec<(u64, PrimitiveLog)>),
    /// They are not, although all are of Ethereum's own types.
    False { found: B256 },
    /// They are of types whose encoding is not known, so that nothing follows.
    Unknown,
}

/// Compares receipts with the receipts root of their block.
pub(super) fn judge(receipts: &[Receipt], root: B256) -> Verdict {
    let encoded: Vec<_> = receipts.iter().map(Receipt::encoded).collect();
    let found = ordered_trie_root_encoded(&encoded);
    if found == root {
        let logs = receipts.iter().flat_map(|receipt| &receipt.logs);
        return Verdict::Proven((0..).zip(logs.cloned()).collect());
    }
    if receipts.iter().all(|receipt| receipt.kind.to::<u64>() <= NEWEST_KNOWN) {
        return Verdict::False { found };
    }
    Verdict::Unknown
}

/// Whether a block with this bloom can hold a log of one of the contracts; false is certain.
pub(super) fn may_hold(bloom: &Bloom, contracts: &[Address]) -> bool {
    contracts.iter().any(|contract| bloom.contains_input(BloomInput::Raw(contract.as_slice())))
}

#[cfg(test)]
mod tests {
    use alloy::{
        consensus::{Receipt as Typed, ReceiptEnvelope, TxType, proofs::calculate_receipt_root},
        primitives::{Bytes, LogData},
    };
    use serde_json::json;

    use super::*;

    /// Ours is alloy's encoding for Ethereum's own types.
    #[test]
    fn the_root_of_known_receipts_is_that_of_alloy() {
        let log = |n: u8| {
            let data =
                LogData::new_unchecked(vec![B256::repeat_byte(n)], Bytes::from(vec![n; usize::from(n)]));
            PrimitiveLog { address: Address::repeat_byte(n), data }
        };
        let kinds = [TxType::Legacy, TxType::Eip2930, TxType::Eip1559, TxType::Eip4844, TxType::Eip7702];
        let typed: Vec<_> = (0_u8..200)
            .map(|n| {
                let logs = (0..n % 4).map(|more| log(n / 2 + more)).collect();
                let plain = Typed {
                    status: (n % 3 != 0).into(),
                    cumulative_gas_used: u64::from(n) << (n % 40),
                    logs,
                };
                ReceiptEnvelope::from_typed(kinds[usize::from(n) % 5], plain.with_bloom())
            })
            .collect();
        let sent: Vec<Receipt> = typed
            .iter()
            .map(|receipt| {
                let logs: Vec<_> = receipt
                    .logs()
                    .iter()
                    .map(|log| json!({"address": log.address, "topics": log.topics(), "data": log.data.data}))
                    .collect();
                serde_json::from_value(json!({
                    "type": format!("{:#x}", u8::from(receipt.tx_type())),
                    "status": format!("{:#x}", u8::from(receipt.status())),
                    "cumulativeGasUsed": format!("{:#x}", receipt.cumulative_gas_used()),
                    "logs": logs,
                }))
                .unwrap()
            })
            .collect();
        let root = calculate_receipt_root(&typed);
        assert!(matches!(judge(&sent, root), Verdict::Proven(logs) if logs.len() == 300));
        assert!(matches!(judge(&sent[1..], root), Verdict::False { .. }));
    }

    #[test]
    fn receipts_of_unknown_types_prove_nothing_and_refute_nothing() {
        let deposit = json!({
            "type": "0x7e", "status": "0x1", "cumulativeGasUsed": "0xb729", "logs": [],
            "depositNonce": "0x1", "depositReceiptVersion": "0x1",
        });
        let receipts: Vec<Receipt> = vec![serde_json::from_value(deposit).unwrap()];
        assert!(matches!(judge(&receipts, B256::ZERO), Verdict::Unknown));
        let root = ordered_trie_root_encoded(&[receipts[0].encoded()]);
        assert!(matches!(judge(&receipts, root), Verdict::Proven(_)));
    }
}
