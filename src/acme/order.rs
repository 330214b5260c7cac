//! One certificate: the order, its challenges, and what comes of them (RFC 8555, section 7.4).
//!
//! What always holds: a proof is withdrawn when the order is over, however it ends.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, CertificateIdentifier, ChallengeHandle, ChallengeType,
    Error, Identifier, NewOrder, Order, OrderStatus, Problem, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::schedule::RefusalKind;
use super::{Authority, Challenge, Name, Proof, Responder};

/// How the authority is asked what has become of an order, unless it says when to ask again.
const POLLING: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(500)).backoff(1.5).timeout(Duration::from_mins(4));
const RATE_LIMITED: &str = "urn:ietf:params:acme:error:rateLimited";
const BAD_NONCE: &str = "urn:ietf:params:acme:error:badNonce";

/// The certificate to order.
#[derive(Clone, Copy)]
pub(super) struct OrderRequest<'a> {
    pub(super) authority: &'a Authority,
    pub(super) name: &'a Name,
    /// The certificate that is to be replaced, in DER.
    pub(super) replaces: Option<&'a [u8]>,
}

/// The issued certificate, in PEM.
pub(super) struct Issued {
    pub(super) chain: String,
    pub(super) key: Zeroizing<String>,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    #[error("{0}")]
    Authority(#[from] Error),
    #[error("the authority offers no {challenge} challenge for {name}")]
    NoSuchChallenge { challenge: &'static str, name: String },
    #[error("the authority could not validate {name}: {why}")]
    NotValidated { name: String, why: String },
    #[error("the certificate for the challenge cannot be made: {0}")]
    Proof(#[from] rcgen::Error),
}

impl OrderError {
    pub(super) fn refusal_kind(&self) -> RefusalKind {
        match self {
            Self::Authority(error) => refusal_kind_of(error),
            _ => RefusalKind::Refused,
        }
    }
}

/// The kind of an error of the authority.
pub(super) fn refusal_kind_of(error: &Error) -> RefusalKind {
    match error {
        Error::Api(problem) if problem.r#type.as_deref() == Some(RATE_LIMITED) => {
            RefusalKind::TooManyRequests
        }
        _ => RefusalKind::Refused,
    }
}

/// Whether the authority did not take a nonce that it had given out, several times in a row (RFC
/// 8555, section 6.5).
pub(super) fn is_about_a_nonce(error: &Error) -> bool {
    matches!(error, Error::Api(problem) if problem.r#type.as_deref() == Some(BAD_NONCE))
}

/// Gets one certificate. How long that takes is up to the authority; the caller sets a limit.
pub(super) async fn obtain(
    account: &Account,
    request: OrderRequest<'_>,
    responder: &Arc<dyn Responder>,
) -> Result<Issued, OrderError> {
    let mut order = place(account, request).await?;
    let published = publish_proofs(&mut order, request, responder).await?;
    let state = order.poll_ready(&POLLING).await;
    if !matches!(state, Ok(OrderStatus::Ready)) {
        let why = refused(&mut order).await;
        return match (why, state) {
            (None, Err(error)) => Err(error.into()),
            (why, _) => Err(OrderError::NotValidated {
                name: request.name.to_string(),
                why: why.unwrap_or_else(|| "it does not say why".to_owned()),
            }),
        };
    }
    drop(published);
    let key = Zeroizing::new(order.finalize().await?);
    let chain = order.poll_certificate(&POLLING).await?;
    Ok(Issued { chain, key })
}

/// Places the order, and says which certificate it replaces if the authority wants to know that.
async fn place(account: &Account, request: OrderRequest<'_>) -> Result<Order, Error> {
    let identifiers = [match request.name {
        Name::Dns(host) => Identifier::Dns(host.clone()),
        Name::Ip(address) => Identifier::Ip(*address),
    }];
    let order = || {
        let new = NewOrder::new(&identifiers);
        request.authority.profile.iter().fold(new, |new, profile| new.profile(profile))
    };
    let replaced = request.replaces.map(CertificateDer::from);
    if let Some(replaced) = replaced.as_ref().and_then(|der| CertificateIdentifier::try_from(der).ok()) {
        match account.new_order(&order().replaces(replaced)).await {
            Ok(order) => return Ok(order),
            // A new certificate matters more than the replacement: the old one may be of another
            // authority, or have been replaced before.
            Err(error) => tracing::debug!(%error, "the authority does not take the order as a replacement"),
        }
    }
    account.new_order(&order()).await
}

/// A proof that is being published.
struct PublishedProof<'a> {
    responder: &'a Arc<dyn Responder>,
    proof: Proof,
}

impl Drop for PublishedProof<'_> {
    fn drop(&mut self) {
        self.responder.withdraw(&self.proof);
    }
}

async fn publish_proofs<'a>(
    order: &mut Order,
    request: OrderRequest<'_>,
    responder: &'a Arc<dyn Responder>,
) -> Result<Vec<PublishedProof<'a>>, OrderError> {
    let mut published = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let mut challenge = challenge_of(&mut authorization, request)?;
        let proof = proof(&challenge, request)?;
        responder.publish(&proof);
        published.push(PublishedProof { responder, proof });
        challenge.set_ready().await?;
    }
    Ok(published)
}

fn challenge_of<'a>(
    authorization: &'a mut AuthorizationHandle<'a>,
    request: OrderRequest<'_>,
) -> Result<ChallengeHandle<'a>, OrderError> {
    let (kind, word) = match request.authority.challenge {
        Challenge::Http01 => (ChallengeType::Http01, "http-01"),
        Challenge::TlsAlpn01 => (ChallengeType::TlsAlpn01, "tls-alpn-01"),
    };
    let none = || OrderError::NoSuchChallenge { challenge: word, name: request.name.to_string() };
    authorization.challenge(kind).ok_or_else(none)
}

fn proof(challenge: &ChallengeHandle<'_>, request: OrderRequest<'_>) -> Result<Proof, OrderError> {
    let authorization = challenge.key_authorization();
    match request.authority.challenge {
        Challenge::Http01 => {
            Ok(Proof::Text { token: challenge.token.clone(), text: authorization.as_str().to_owned() })
        }
        Challenge::TlsAlpn01 => Ok(certificate_proof(request.name, authorization.digest().as_ref())?),
    }
}

/// RFC 8737, section 3.
fn certificate_proof(name: &Name, digest: &[u8]) -> Result<Proof, rcgen::Error> {
    let mut params = CertificateParams::new(vec![name.to_string()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(Proof::Certificate {
        server_name: server_name(name),
        certificate: certificate.der().to_vec(),
        key: Zeroizing::new(key.serialize_der()),
    })
}

/// What the authority asks for in its handshake; of an address, the name of its reverse look-up
/// (RFC 8738, section 6).
fn server_name(name: &Name) -> String {
    use std::fmt::Write as _;
    match name {
        Name::Dns(host) => host.clone(),
        Name::Ip(IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        Name::Ip(IpAddr::V6(address)) => {
            let mut text = String::new();
            for byte in address.octets().iter().rev() {
                let _ = write!(text, "{:x}.{:x}.", byte & 0xf, byte >> 4);
            }
            text + "ip6.arpa"
        }
    }
}

/// The authority's words about the challenges that have failed.
async fn refused(order: &mut Order) -> Option<String> {
    let mut said = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let Ok(mut authorization) = authorization else { continue };
        let Ok(state) = authorization.refresh().await else { continue };
        said.extend(state.challenges.iter().filter_map(|challenge| challenge.error.as_ref()).map(in_words));
    }
    (!said.is_empty()).then(|| said.join("; "))
}

fn in_words(problem: &Problem) -> String {
    problem.detail.clone().or_else(|| problem.r#type.clone()).unwrap_or_else(|| "no reason".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_ip_addresses_by_reverse_name() {
        let of = |text: &str| server_name(&Name::of_host(text));
        assert_eq!(of("a.example"), "a.example");
        assert_eq!(of("192.0.2.1"), "1.2.0.192.in-addr.arpa");
        assert_eq!(
            of("2001:db8::1"),
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
        );
    }

    #[test]
    fn distinguishes_rate_limits_from_refusals() {
        let said = |kind: &str| {
            let problem = serde_json::from_str(&format!("{{\"type\":\"{kind}\",\"detail\":\"x\"}}")).unwrap();
            OrderError::Authority(Error::Api(problem)).refusal_kind()
        };
        assert_eq!(said(RATE_LIMITED), RefusalKind::TooManyRequests);
        assert_eq!(said("urn:ietf:params:acme:error:unauthorized"), RefusalKind::Refused);
    }
}
