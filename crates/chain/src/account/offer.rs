//! What endpoints make of signed bytes.

use std::time::Duration;

use alloy::transports::TransportError;
use tokio::time::Instant;

use crate::client::ClientError;

/// What an endpoint made of signed bytes.
pub(super) enum Offer {
    /// It has them.
    Taken,
    /// The nonce is used: it is mined, or another transaction is.
    Used,
    /// It wants a higher fee.
    TooCheap(ClientError),
    /// It can never take them, so nobody has them and the nonce is free.
    Refused(ClientError),
    /// It did not answer, or not in a way that says whether it has them.
    Unknown(ClientError),
}

/// What an endpoint's error says about the bytes. Endpoints use their own words, so all that is not known to be final is not.
pub(super) fn offer_of(action: &str, source: TransportError) -> Offer {
    let message = source.as_error_resp().map(|payload| payload.message.to_lowercase()).unwrap_or_default();
    let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    if says(&["already known", "already imported", "alreadyknown", "known transaction"]) {
        Offer::Taken
    } else if says(&["nonce too low", "nonce is too low", "oldnonce"]) {
        Offer::Used
    } else if says(&[
        "underpriced",
        "could not replace",
        "less than block base fee",
        "fee too low",
        "feetoolow",
    ]) {
        Offer::TooCheap(ClientError::from_rpc(action, source))
    } else if says(&[
        "insufficient funds",
        "insufficientfunds",
        "insufficient balance",
        "intrinsic gas",
        "invalid signature",
        "invalid sender",
    ]) {
        Offer::Refused(ClientError::from_rpc(action, source))
    } else {
        Offer::Unknown(ClientError::from_rpc(action, source))
    }
}

/// For how long nobody is known to have a transaction's bytes, and why.
#[derive(Debug, Default)]
pub(super) struct Untaken {
    why: Option<(Instant, ClientError)>,
    /// Whether the last answer was a refusal for another reason than the fee.
    refused: bool,
    /// Whether somebody had them once, and so may have them still.
    taken: bool,
}

impl Untaken {
    pub(super) fn add(&mut self, offer: Offer) {
        self.refused = match &offer {
            Offer::Refused(error) | Offer::Unknown(error) => error.is_refusal(),
            _ => false,
        };
        match offer {
            Offer::Taken | Offer::Used => (self.why, self.taken) = (None, true),
            Offer::TooCheap(error) | Offer::Refused(error) | Offer::Unknown(error) => {
                let since = self.why.take().map_or_else(Instant::now, |(since, _)| since);
                self.why = Some((since, error));
            }
        }
    }

    /// Why nobody has taken them for as long as `patience`.
    pub(super) fn after(&mut self, patience: Duration) -> Option<ClientError> {
        self.why.take_if(|(since, _)| since.elapsed() >= patience).map(|(_, error)| error)
    }

    /// Whether they were refused by whoever answered, so that to wait longer is of no use.
    pub(super) fn is_refused(&self) -> bool {
        self.refused && !self.taken
    }
}
