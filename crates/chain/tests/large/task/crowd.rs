//! A crowd of dust around one validator, and what everybody else's calls cost then.

use aiarena_chain::bindings::{Arena, Vault};
use alloy::{
    primitives::{Address, B256, Bytes, U256, aliases::U96},
    providers::{Provider, ext::AnvilApi},
    rpc::types::TransactionReceipt,
    sol_types::{SolCall, SolEvent},
};

use super::{Large, Step, TASK};

/// So many members of the crowd are made in a transaction.
const MEMBERS_PER_CALL: usize = 40;
const FACTORY: Address = Address::repeat_byte(0xfa);

impl Large {
    /// So many accounts delegate one base unit each to a validator, and the first of them ask for it back at once.
    ///
    /// Each is a contract that ends with its constructor. Their tokens are made of nothing: what the crowd paid for them makes no
    /// difference to others.
    pub(crate) async fn crowd(&mut self, members: usize, requests: usize) {
        let (token, vault, operator) = (self.deployment.token, self.deployment.vault, self.victim());
        let code = self.provider.get_code_at(token).await.unwrap();
        self.provider.anvil_set_code(token, generous_token().into()).await.unwrap();
        self.provider.anvil_set_code(FACTORY, factory().into()).await.unwrap();
        let amount = U96::from(1);
        let delegate = Vault::delegateCall { task: TASK, operator, amount }.abi_encode();
        let undelegate = Vault::undelegateCall { task: TASK, operator, amount }.abi_encode();
        let asking = self.make(requests, &member(vault, &[&delegate, &undelegate])).await;
        let staying = self.make(members - requests, &member(vault, &[&delegate])).await;
        self.provider.anvil_set_code(token, code).await.unwrap();
        let logs = |topic: B256| {
            let logs = asking.iter().chain(&staying).flat_map(|receipt| receipt.logs());
            logs.filter(|log| log.topic0() == Some(&topic)).count()
        };
        assert_eq!(logs(Vault::Delegated::SIGNATURE_HASH), members);
        assert_eq!(logs(Vault::Undelegated::SIGNATURE_HASH), requests);
        self.pools[1 + self.size].delegated += U256::from(members - requests);
    }

    async fn make(&mut self, members: usize, member: &[u8]) -> Vec<TransactionReceipt> {
        let call = |from: usize| {
            let count = U256::from(MEMBERS_PER_CALL.min(members - from));
            (0, FACTORY, Bytes::from([&count.to_be_bytes::<32>(), member].concat()))
        };
        let calls = (0..members).step_by(MEMBERS_PER_CALL).map(call).collect();
        self.send(calls).await
    }

    /// Plays an epoch and a slash of the victim, while it and a delegator of it use the vault; what each call cost.
    pub(crate) async fn visit(&mut self) -> Vec<Step> {
        let (vault, operator, own) = (self.deployment.vault, self.victim(), 1 + self.size);
        let mut steps = self.epoch().await;
        let amount = U96::from(1_000_000_007);
        let stake = Vault::stakeCall { task: TASK, role: 2, amount }.abi_encode();
        let delegate = Vault::delegateCall { task: TASK, operator, amount }.abi_encode();
        let undelegate = Vault::undelegateCall { task: TASK, operator, amount }.abi_encode();
        let claim = Vault::claimCall { task: TASK, operator }.abi_encode();
        let withdraw = Vault::withdrawCall { task: TASK, operator, limit: U256::MAX }.abi_encode();
        for (name, from, call) in [
            ("claim, operator", own, claim.clone()),
            ("claim, delegator", 0, claim),
            ("stake", own, stake),
            ("delegate", 0, delegate),
        ] {
            drop(self.step(name, vec![(from, vault, call.into())], &mut steps).await);
        }
        self.be_slashed(&mut steps).await;
        drop(self.step("undelegate", vec![(0, vault, undelegate.into())], &mut steps).await);
        self.epoch += 10;
        self.wait(0);
        drop(self.step("withdraw", vec![(0, vault, withdraw.into())], &mut steps).await);
        steps
    }

    /// Of the next epoch's scores, the victim commits to some and reveals none.
    async fn be_slashed(&mut self, steps: &mut Vec<Step>) {
        let (arena, own) = (self.deployment.arena, 1 + self.size);
        self.epoch += 1;
        let mut others = Vec::new();
        self.submit(&mut others).await;
        self.wait(400);
        let draw = Arena::drawSeedCall { task: TASK }.abi_encode();
        let commit = Arena::commitScoresCall { task: TASK, commitment: B256::repeat_byte(1) }.abi_encode();
        let report = Arena::reportUnrevealedCall { task: TASK, validator: self.victim() }.abi_encode();
        drop(self.send(vec![(0, arena, draw.into())]).await);
        self.wait(500);
        drop(self.send(vec![(own, arena, commit.into())]).await);
        self.wait(850);
        drop(self.step("reportUnrevealed", vec![(0, arena, report.into())], steps).await);
    }

    /// The first validator.
    fn victim(&self) -> Address {
        self.validators()[0].operator
    }
}

/// Runs its input after the first word as init code, as many times as that word says.
fn factory() -> Vec<u8> {
    vec![
        0x60, 32, 0x36, 0x03, // length = CALLDATASIZE - 32
        0x80, 0x60, 32, 0x5f, 0x37, // CALLDATACOPY(0, 32, length)
        0x5f, 0x35, // left = CALLDATALOAD(0)
        0x5b, // 11:
        0x81, 0x5f, 0x5f, 0xf0, // CREATE(0, 0, length)
        0x15, 0x60, 29, 0x57, // if it failed, go to 29
        0x60, 1, 0x90, 0x03, // left = left - 1
        0x80, 0x60, 11, 0x57, // if left is not 0, go to 11
        0x00, // STOP
        0x5b, 0x5f, 0x5f, 0xfd, // 29: REVERT(0, 0)
    ]
}

/// Init code that makes calls of less than 256 bytes, and leaves nothing.
fn member(to: Address, calls: &[&[u8]]) -> Vec<u8> {
    const CALL: usize = 39;
    let mut code = Vec::new();
    let end = CALL * calls.len();
    let mut offset = end + 5;
    for call in calls {
        let length = u8::try_from(call.len()).unwrap();
        code.extend([0x60, length, 0x60, u8::try_from(offset).unwrap(), 0x5f, 0x39]); // CODECOPY(0, offset, length)
        code.extend([0x5f, 0x5f, 0x60, length, 0x5f, 0x5f, 0x73]);
        code.extend(to);
        code.extend([0x5a, 0xf1]); // CALL(GAS, to, 0, 0, length, 0, 0)
        code.extend([0x15, 0x60, u8::try_from(end + 1).unwrap(), 0x57]); // if it failed, go to the end
        offset += call.len();
    }
    assert_eq!(code.len(), end);
    code.extend([0x00, 0x5b, 0x5f, 0x5f, 0xfd]); // STOP, or REVERT(0, 0)
    calls.iter().for_each(|call| code.extend(*call));
    code
}

/// `balanceOf` reads the slot of that number; any other call adds its third argument to the caller's balance, and is true.
fn generous_token() -> Vec<u8> {
    vec![
        0x5f, 0x35, 0x60, 224, 0x1c, // the selector
        0x63, 0x70, 0xa0, 0x82, 0x31, 0x14, 0x60, 30, 0x57, // if it is balanceOf's, go to 30
        0x60, 68, 0x35, 0x33, 0x54, 0x01, 0x33,
        0x55, // SSTORE(CALLER, SLOAD(CALLER) + CALLDATALOAD(68))
        0x60, 1, 0x5f, 0x52, 0x60, 32, 0x5f, 0xf3, // RETURN 1
        0x5b, 0x60, 4, 0x35, 0x54, 0x5f, 0x52, 0x60, 32, 0x5f,
        0xf3, // 30: RETURN SLOAD(CALLDATALOAD(4))
    ]
}
