//! Addresses of other forward-auth servers, under which this one answers too, so that their users
//! change one address.

/// The servers whose addresses are answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Aliases {
    /// oauth2-proxy's, below `/oauth2`.
    pub oauth2_proxy: bool,
    /// `webauthn_proxy`'s, below `/webauthn`.
    pub webauthn_proxy: bool,
}

/// The purpose of such an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alias {
    /// Whether a request may go on; 202 if it may.
    Oauth2Check,
    /// The same; a yes is 200.
    WebauthnCheck,
    SignIn,
    SignOut,
    /// The signed-in user, as JSON.
    UserInfo,
}

/// Every address, and its purpose.
const OAUTH2_PROXY: [(&str, Alias); 5] = [
    ("/oauth2/auth", Alias::Oauth2Check),
    ("/oauth2/sign_in", Alias::SignIn),
    ("/oauth2/start", Alias::SignIn),
    ("/oauth2/sign_out", Alias::SignOut),
    ("/oauth2/userinfo", Alias::UserInfo),
];
const WEBAUTHN_PROXY: [(&str, Alias); 3] = [
    ("/webauthn/auth", Alias::WebauthnCheck),
    ("/webauthn/login", Alias::SignIn),
    ("/webauthn/logout", Alias::SignOut),
];

impl Aliases {
    /// The purpose of `path`, if it is such an address.
    pub fn find(self, path: &[u8]) -> Option<Alias> {
        self.all().find(|(known, _)| known.as_bytes() == path).map(|(_, alias)| alias)
    }

    /// Every address that is answered.
    pub fn all(self) -> impl Iterator<Item = (&'static str, Alias)> {
        let oauth2 = OAUTH2_PROXY.into_iter().filter(move |_| self.oauth2_proxy);
        oauth2.chain(WEBAUTHN_PROXY.into_iter().filter(move |_| self.webauthn_proxy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_match_only_when_enabled() {
        let none = Aliases::default();
        let oauth2 = Aliases { oauth2_proxy: true, ..none };
        assert_eq!(none.find(b"/oauth2/auth"), None);
        assert_eq!(oauth2.find(b"/oauth2/auth"), Some(Alias::Oauth2Check));
        assert_eq!(oauth2.find(b"/oauth2/auth/"), None);
        assert_eq!(oauth2.find(b"/oauth2"), None);
        assert_eq!(oauth2.find(b"/webauthn/auth"), None);
        assert_eq!(Aliases { webauthn_proxy: true, ..none }.find(b"/webauthn/logout"), Some(Alias::SignOut));
    }
}
