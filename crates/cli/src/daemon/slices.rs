//! Where a creator's daemon finds the slices of its tasks.

use aiarena_chain::{deploy::Deployment, ledger::Task};
use aiarena_node::{
    daemon::SliceSource,
    operator::Shelves,
    sealed::{EvaluationTree, slice_secret},
};
use alloy::{primitives::Address, signers::local::PrivateKeySigner};
use anyhow::{Result, bail};
use tracing::info;

use super::assemble::describe;
use crate::{
    config::Config,
    operator::evaluation::{self, Kept},
};

/// What `aiarena task create` kept, or else folders that the configuration names.
pub(crate) struct OwnSlices {
    pub(super) config: Config,
    pub(super) deployment: Deployment,
    pub(super) me: Address,
    /// To make the secret of slices again whose copy is gone; `None` if no folder is named.
    pub(super) signer: Option<PrivateKeySigner>,
    pub(super) shelves: Shelves,
}

impl SliceSource for OwnSlices {
    async fn find(&self, task: Task) -> Result<Option<EvaluationTree>, String> {
        let (config, me, root) = (self.config.clone(), self.me, task.params.evaluation_root);
        let kept = {
            let task = task.clone();
            blocking(move || Kept::read(&config, me, root)?.map(|kept| kept.tree(&task)).transpose()).await
        };
        match kept {
            Ok(Some(tree)) => return Ok(Some(tree)),
            Err(error) if self.config.seal.evaluation.is_empty() => return Err(format!("{error:#}")),
            // Of a public task nothing is kept, so its description is asked for only here.
            Ok(None) | Err(_) => {}
        }
        let description = describe(&task, &self.shelves).await.map_err(|error| format!("{error:#}"))?;
        if description.evaluation.is_public() {
            return Ok(None);
        }
        let (config, deployment, signer) = (self.config.clone(), self.deployment, self.signer.clone());
        let again = blocking(move || make_again(&config, &deployment, me, signer.as_ref(), &task)).await;
        again.map(Some).map_err(|error| format!("{error:#}"))
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await?
}

/// Makes the slices again from the rows in one of the named folders, and keeps them.
fn make_again(
    config: &Config,
    deployment: &Deployment,
    me: Address,
    signer: Option<&PrivateKeySigner>,
    task: &Task,
) -> Result<EvaluationTree> {
    let (root, epochs) = (task.params.evaluation_root, task.params.epochs);
    let mut tried = String::new();
    for folder in &config.seal.evaluation {
        let again = || -> Result<EvaluationTree> {
            let Some(signer) = signer else { bail!("the key is needed") };
            let rows = evaluation::load(folder)?;
            let secret = slice_secret(signer, deployment.chain_id, deployment.arena, &rows, epochs);
            let kept = Kept { secret, rows };
            let tree = kept.tree(task)?;
            let path = kept.write(config, me, root)?;
            info!(task = task.number, "made its slices again, and kept them in {}", path.display());
            Ok(tree)
        };
        match again() {
            Ok(tree) => return Ok(tree),
            Err(error) => tried += &format!("; {}: {error:#}", folder.display()),
        }
    }
    bail!(
        "its evaluation data, whose root is {root}, are neither in {} nor in a folder that evaluation in [seal] of the \
         configuration names{tried}",
        evaluation::path_of(config, me, root).display()
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use aiarena_chain::ledger::TaskParams;
    use aiarena_mechanism::{ranking::RankingRule, settle::Task as Rules};
    use aiarena_ml::Dataset;
    use alloy::primitives::{B256, U256};

    use super::*;

    const EPOCHS: u32 = 3;

    fn task(root: B256) -> Task {
        let rules = Rules {
            rule: RankingRule::StakeIntegral { phi_wad: U256::ONE },
            gamma_wad: U256::ZERO,
            epsilon_wad: U256::ZERO,
            tolerance: 0,
            redundancy: 1,
        };
        let params = TaskParams {
            metadata: B256::ZERO,
            evaluation_root: root,
            epochs: EPOCHS,
            min_node_stake: U256::ONE,
            min_validator_stake: U256::ONE,
            max_submissions: 8,
            fresh_data: true,
            rules,
        };
        Task::new(1, Address::ZERO, (1, EPOCHS), params)
    }

    #[test]
    fn a_folder_of_the_configuration_makes_slices_again_whose_copy_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("aiarena.toml");
        let network = "[network]\nchain_id = 1\nrpc = [\"http://127.0.0.1:1\"]\n";
        std::fs::write(&file, format!("{network}[seal]\nevaluation = [\"empty\", \"rows\"]\n")).unwrap();
        let config = Config::read(&file).unwrap();
        let rows = Dataset::embedded().evaluation.first(7);
        let data = Dataset { evaluation: rows.clone(), training: rows.clone() };
        data.save(&folder.path().join("rows")).unwrap();

        let signer = PrivateKeySigner::random();
        let (me, arena) = (signer.address(), Address::repeat_byte(1));
        let deployment =
            Deployment { chain_id: 1, arena, vault: arena, emission: arena, token: arena, from_block: 0 };
        let secret = slice_secret(&signer, 1, arena, &rows, EPOCHS);
        let root = EvaluationTree::of_rows(&rows, EPOCHS, secret).unwrap().root();
        let again = |root, signer| make_again(&config, &deployment, me, signer, &task(root));
        assert!(again(root, None).is_err(), "the secret follows from the key");
        let other = again(B256::repeat_byte(1), Some(&signer)).unwrap_err().to_string();
        assert!(other.contains("empty: ") && other.contains("rows: its root is"), "{other}");
        assert!(Kept::read(&config, me, root).unwrap().is_none());
        assert_eq!(again(root, Some(&signer)).unwrap().root(), root);

        // From now on neither folder nor key is needed, and nobody else can read them.
        let kept = Kept::read(&config, me, root).unwrap().unwrap();
        assert_eq!(kept.tree(&task(root)).unwrap().root(), root);
        assert!(kept.tree(&task(B256::ZERO)).is_err());
        let path = evaluation::path_of(&config, me, root);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);

        let refused = || format!("{:#}", Kept::read(&config, me, root).err().unwrap());
        std::fs::write(&path, "cut short").unwrap();
        assert!(refused().contains("it is cut short"), "{}", refused());
        std::fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
        assert!(refused().contains("it is larger than"), "{}", refused());
    }
}
