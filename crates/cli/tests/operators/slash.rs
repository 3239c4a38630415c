//! What a validator loses that commits to scores and does not reveal them, and how that is burned.

use aiarena_chain::ledger::{Flight, Phase, Task};
use serde_json::Value;

use crate::{
    clockwork::{Clockwork, Daemon},
    journey::arena,
    world::{Anvil, Operator},
};

/// Where burned tokens go.
const GRAVE: &str = "0x000000000000000000000000000000000000dEaD";

#[test]
fn what_was_slashed_is_burned() {
    let anvil = Anvil::start();
    let (owner, _) = arena(&anvil);
    let book = owner.read("contracts.json");
    let store = format!("stores = [\"file:{}\"]", owner.path("store").display());
    let configure = |operator: &Operator| {
        let config = operator.read("aiarena.toml").replace("[operator]", &format!("[operator]\n{store}"));
        let config = config.replace("hidden = [64]", "hidden = []").replace("rows = 8000", "rows = 500");
        operator.write("aiarena.toml", &config.replace("poll_ms = 2000", "poll_ms = 200"));
    };
    configure(&owner);
    owner.ok(&["token", "mint", "10000", "--yes"]);
    owner.ok(&["task", "create", "--write-params", "task.toml"]);
    owner.ok(&["task", "create", "--params", "task.toml", "--yes"]);
    let member = |role: &str, stake: &str| {
        let (operator, address) = Operator::new(&anvil.url);
        anvil.fund(&address);
        configure(&operator);
        operator.write("contracts.json", &book);
        owner.ok(&["token", "mint", stake, "--to", &address, "--yes"]);
        operator.ok(&["stake", "1", stake, "--role", role, "--yes"]);
        operator
    };
    let (node, careful) = (member("node", "100"), member("validator", "500"));
    let careless = member("validator", "600");
    let daemon = |operator: &Operator, role: &str| {
        Daemon::start(operator.command(&["-v", "node", role]), role, &operator.path("log"))
    };
    let others = [daemon(&node, "train"), daemon(&careful, "validate")];
    let gone = daemon(&careless, "validate");

    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut clockwork = Clockwork::new(&anvil.url, &book, &others).await;
        clockwork.jump(Phase::Submit).await;
        clockwork.until_all("a submission is committed to", |task| !task.pledges.is_empty()).await;
        clockwork.jump(Phase::Disclose).await;
        clockwork.until_all("it is disclosed", |task| !task.disclosures.is_empty()).await;
        clockwork.jump(Phase::Seed).await;
        clockwork.until_all("the seed is drawn", |task| task.flight.is_some()).await;
        clockwork.jump(Phase::Commit).await;
        let flight = |done: fn(&Flight) -> bool| move |task: &Task| task.flight.as_ref().is_some_and(done);
        clockwork.until_all("both commit", flight(|flight| flight.commitments.len() == 2)).await;
        gone.stop();
        clockwork.jump(Phase::Reveal).await;
        clockwork.until_all("one reveals", flight(|flight| flight.reveals.len() == 1)).await;
        clockwork.jump(Phase::Settle).await;
        clockwork.until("the other is reported", |ledger| !ledger.slashed.is_zero()).await;
        clockwork.until_all("the epoch is settled", |task| !task.settled.is_empty()).await;
    });
    for daemon in others {
        daemon.stop();
    }

    // A hundredth of its stake.
    assert_eq!(careless.json(&["status", "--json"])["holdings"][0]["stake"], "594");
    let slashed = || owner.json(&["emission", "show", "--json"])["slashed_to_burn"].clone();
    assert_eq!(slashed(), "6 ARENA");
    let burned: Value = owner.json(&["emission", "burn", "--yes", "--json"]);
    assert_eq!(burned["transactions"][0]["what"], "burn 6 ARENA, which was slashed");
    assert_eq!(slashed(), "0 ARENA");
    assert_eq!(owner.json(&["status", "--of", GRAVE, "--json"])["tokens"], "6");
    owner.refuses(&["emission", "burn", "--yes"], 1, "nothing was slashed that is not burned yet");
}
