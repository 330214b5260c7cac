//! Answers to a certificate authority that wants to see that a name is ours.
//!
//! HTTP-01 (RFC 8555, section 8.3) is answered on plain listeners before any other check of a
//! request; TLS-ALPN-01 (RFC 8737) in a handshake for `acme-tls/1` alone, after which the
//! connection is closed. What always holds: only challenges that are being shown are answered; a
//! client learns nothing that is not public.

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderValue, Method, Response, StatusCode, header};
use pingora::http::RequestHeader;
use pingora::protocols::{ALPN, Ssl};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;

use super::request;

/// The ALPN protocol of a validating handshake (RFC 8737, section 6.2).
pub(super) const VALIDATION_PROTOCOL: &[u8] = b"acme-tls/1";
/// The path that the authority asks over plain HTTP.
const HTTP_PREFIX: &[u8] = b"/.well-known/acme-challenge/";
/// How soon a browser may ask again for a host whose certificate is not there yet, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("10");

/// The challenges that are being shown.
#[derive(Debug, Default)]
pub struct Challenges {
    texts: papaya::HashMap<String, String>,
    certificates: papaya::HashMap<String, Arc<CertifiedKey>>,
}

impl Challenges {
    /// Shows `text` to every client that asks for `token`.
    pub fn publish_text(&self, token: &str, text: &str) {
        self.texts.pin().insert(token.to_owned(), text.to_owned());
    }

    /// Shows it no more.
    pub fn withdraw_text(&self, token: &str) {
        self.texts.pin().remove(token);
    }

    /// Shows a certificate, in DER with its key in PKCS#8, in validating handshakes for
    /// `server_name`.
    pub fn publish_certificate(&self, server_name: &str, certificate: &[u8], key: &[u8]) {
        let chain = vec![CertificateDer::from(certificate.to_vec())];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.to_vec()));
        // It has a critical extension that webpki does not know, so no check is made that it fits
        // its key.
        match ring::default_provider().key_provider.load_private_key(key) {
            Ok(key) => {
                let shown = Arc::new(CertifiedKey::new(chain, key));
                self.certificates.pin().insert(server_name.to_owned(), shown);
            }
            Err(error) => tracing::error!(%error, server_name, "a challenge cannot be shown"),
        }
    }

    /// Shows it no more.
    pub fn withdraw_certificate(&self, server_name: &str) {
        self.certificates.pin().remove(server_name);
    }

    /// The answer to a request of an authority.
    pub(super) fn answer(&self, request: &RequestHeader) -> Option<Response<Body>> {
        let token = request::path_of(request).strip_prefix(HTTP_PREFIX)?;
        let token = std::str::from_utf8(token).ok()?;
        let text = self.texts.pin().get(token).cloned()?;
        match request.method {
            Method::GET => Some(plain(StatusCode::OK, text)),
            Method::HEAD => Some(plain(StatusCode::OK, text).map(|_| Body::empty())),
            _ => None,
        }
    }

    /// The certificate for a handshake that only validates; `None` for every other.
    pub(super) fn certificate(&self, hello: &ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.certificates.pin().get(hello.server_name()?).cloned()
    }
}

/// Whether a client wants to validate only.
pub(super) fn is_validation(hello: &ClientHello<'_>) -> bool {
    let mut protocols = hello.alpn().into_iter().flatten();
    protocols.next() == Some(VALIDATION_PROTOCOL) && protocols.next().is_none()
}

/// Whether a handshake was for validation only.
pub(super) fn has_validated(stream: &impl Ssl) -> bool {
    matches!(stream.selected_alpn_proto(), Some(ALPN::Custom(custom)) if custom.protocol() == VALIDATION_PROTOCOL)
}

/// The answer for a browser that comes before the first certificate.
pub(super) fn certificate_pending(host: &str) -> Response<Body> {
    let text = format!(
        "There is no certificate for {host} yet.\n\n\
         This gateway has asked a certificate authority for one, which takes about a minute. The authority must \
         be able to reach this host from the internet by its name. If it takes longer, the gateway's log says \
         what the authority answered.\n"
    );
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, text);
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

fn plain(status: StatusCode, text: String) -> Response<Body> {
    let length = text.len();
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_LENGTH, length.into());
    response
}

#[cfg(test)]
mod tests {
    use pingora::protocols::tls::CustomALPN;

    use super::*;

    fn asked(challenges: &Challenges, method: &str, target: &str) -> Option<StatusCode> {
        let request = RequestHeader::build(method, target.as_bytes(), None).unwrap();
        challenges.answer(&request).map(|answer| answer.status())
    }

    #[test]
    fn answers_only_published_challenges() {
        let challenges = Challenges::default();
        let target = "/.well-known/acme-challenge/abc";
        assert_eq!(asked(&challenges, "GET", target), None);
        challenges.publish_text("abc", "abc.thumb");
        assert_eq!(asked(&challenges, "GET", target), Some(StatusCode::OK));
        assert_eq!(asked(&challenges, "HEAD", target), Some(StatusCode::OK));
        for (method, other) in [
            ("POST", target),
            ("GET", "/.well-known/acme-challenge/"),
            ("GET", "/.well-known/acme-challenge/ab"),
            ("GET", "/.well-known/acme-challenge/abc/"),
            ("GET", "/x/.well-known/acme-challenge/abc"),
        ] {
            assert_eq!(asked(&challenges, method, other), None, "{method} {other}");
        }
        challenges.withdraw_text("abc");
        assert_eq!(asked(&challenges, "GET", target), None);
    }

    #[test]
    fn a_certificate_is_shown_until_it_is_withdrawn() {
        let challenges = Challenges::default();
        let made = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
        challenges.publish_certificate("a.example", made.cert.der(), &made.signing_key.serialize_der());
        assert!(challenges.certificates.pin().contains_key("a.example"));
        challenges.withdraw_certificate("b.example");
        assert!(challenges.certificates.pin().contains_key("a.example"));
        challenges.withdraw_certificate("a.example");
        assert!(challenges.certificates.pin().is_empty());
    }

    /// A connection whose handshake chose this protocol.
    struct Chosen(Option<ALPN>);

    impl Ssl for Chosen {
        fn selected_alpn_proto(&self) -> Option<ALPN> {
            self.0.clone()
        }
    }

    #[test]
    fn only_a_handshake_for_validation_is_all_that_there_was_to_see() {
        let custom = |name: &[u8]| Some(ALPN::Custom(CustomALPN::new(name.to_vec())));
        for (chosen, is_all) in [
            (custom(VALIDATION_PROTOCOL), true),
            (custom(b"acme-tls/2"), false),
            (Some(ALPN::H2), false),
            (Some(ALPN::H1), false),
            (None, false),
        ] {
            assert_eq!(has_validated(&Chosen(chosen.clone())), is_all, "{chosen:?}");
        }
    }
}
