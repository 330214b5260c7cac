//! The paths of the auth host at which the HTTP dialects answer.
//!
//! What always holds: no address is claimed by two dialects, and everything below a mount that no
//! other dialect claims is answered by the dialect mounted there, unknown addresses included.

use super::dialect::Dialect;
use super::policy::route::covers;

/// A dialect that is switched on, and the path it is mounted at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    pub dialect: Dialect,
    /// Begins with a slash and does not end with one.
    pub path: String,
}

/// Two dialects want the same address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} and {} would both answer {path}", .first.terms().label, .second.terms().label)]
pub struct Overlap {
    pub first: Dialect,
    pub second: Dialect,
    pub path: String,
}

/// All dialects that are switched on, the native one at the prefix among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mounts(Vec<Mount>);

impl Mounts {
    /// Refuses mounts whose documented addresses collide.
    pub fn new(mounts: Vec<Mount>) -> Result<Self, Overlap> {
        for (at, second) in mounts.iter().enumerate() {
            for first in mounts.iter().take(at) {
                if let Some(path) = first.collides_with(second) {
                    return Err(Overlap { first: first.dialect, second: second.dialect, path });
                }
            }
        }
        Ok(Self(mounts))
    }

    /// All mounts.
    pub fn all(&self) -> &[Mount] {
        &self.0
    }

    /// All mounts but the native one.
    pub fn foreign(&self) -> impl Iterator<Item = &Mount> {
        self.0.iter().filter(|mount| mount.dialect != Dialect::Native)
    }

    /// The mount of `dialect`, if it has one.
    pub fn of(&self, dialect: Dialect) -> Option<&Mount> {
        self.0.iter().find(|mount| mount.dialect == dialect)
    }

    /// The dialect that answers `path`: the dialect that claims it, else the dialect mounted
    /// nearest above it.
    pub fn find(&self, path: &[u8]) -> Option<&Mount> {
        let above = || self.0.iter().filter(|mount| covers(&mount.path, path));
        above().find(|mount| mount.claims(path)).or_else(|| above().max_by_key(|mount| mount.path.len()))
    }
}

impl Mount {
    fn claims(&self, path: &[u8]) -> bool {
        let Some(below) = path.strip_prefix(self.path.as_bytes()) else { return false };
        self.dialect.terms().claims.iter().any(|claim| covers(claim, below))
    }

    fn claimed(&self) -> impl Iterator<Item = String> {
        self.dialect.terms().claims.iter().map(|claim| format!("{}{claim}", self.path))
    }

    /// An address that both claim. The same mount for two is a collision as well: unknown addresses
    /// below it would have two answers.
    fn collides_with(&self, other: &Self) -> Option<String> {
        if self.path == other.path {
            return Some(self.path.clone());
        }
        let theirs: Vec<_> = other.claimed().collect();
        self.claimed().find_map(|mine| {
            let both = |it: &&String| covers(&mine, it.as_bytes()) || covers(it, mine.as_bytes());
            let collision = theirs.iter().find(both)?;
            Some(if collision.len() > mine.len() { collision.clone() } else { mine.clone() })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(dialect: Dialect, path: &str) -> Mount {
        Mount { dialect, path: path.to_owned() }
    }

    fn everything() -> Vec<Mount> {
        let native = mount(Dialect::Native, "/auth");
        let others =
            Dialect::ALL.into_iter().filter_map(|it| Some(mount(it, it.terms().mount.as_ref()?.path)));
        std::iter::once(native).chain(others).collect()
    }

    #[track_caller]
    fn check(path: &str, expected: Option<Dialect>) {
        let mounts = Mounts::new(everything()).unwrap();
        assert_eq!(mounts.find(path.as_bytes()).map(|it| it.dialect), expected, "{path}");
    }

    #[test]
    fn a_dialect_is_found_where_it_is_mounted() {
        let mounts =
            Mounts::new(vec![mount(Dialect::Native, "/auth"), mount(Dialect::Ocore, "/v2")]).unwrap();
        assert_eq!(mounts.of(Dialect::Ocore), Some(&mount(Dialect::Ocore, "/v2")));
        assert_eq!(mounts.of(Dialect::Zitadel), None);
    }

    #[test]
    fn default_mounts_do_not_overlap() {
        check("/auth/passkeys", Some(Dialect::Native));
        check("/auth/v1/users/me/passwordless", Some(Dialect::Zitadel));
        check("/auth/v1/nothing", Some(Dialect::Zitadel));
        check("/api/auth/passkey/list-user-passkeys", Some(Dialect::BetterAuth));
        check("/api/auth/passkey/login/begin", Some(Dialect::Ocore));
        check("/api/auth/nothing", Some(Dialect::BetterAuth));
        check("/api/user/passkeys/x", Some(Dialect::Ocore));
        check("/api/nothing", Some(Dialect::Ocore));
        check("/v2/me", Some(Dialect::Corbado));
        check("/v2", Some(Dialect::Corbado));
        check("/v22", None);
        check("/", None);
    }

    #[test]
    fn refuses_overlapping_mounts() {
        for (first, second) in [
            (mount(Dialect::BetterAuth, "/v2"), mount(Dialect::Corbado, "/v2")),
            (mount(Dialect::Corbado, "/v2"), mount(Dialect::Ocore, "/v2")),
            (mount(Dialect::Native, "/api/auth"), mount(Dialect::BetterAuth, "/api/auth")),
            // Corbado's `/auth` is an area of its own, and the prefix holds pages.
            (mount(Dialect::Native, "/v2/auth"), mount(Dialect::Corbado, "/v2")),
            (mount(Dialect::Ocore, "/api"), mount(Dialect::BetterAuth, "/api/user/passkeys")),
        ] {
            assert!(Mounts::new(vec![first.clone(), second.clone()]).is_err(), "{first:?} {second:?}");
        }
    }

    #[test]
    fn two_owners_are_told_the_address_that_says_most() {
        let (ocore, better_auth) =
            (mount(Dialect::Ocore, "/api"), mount(Dialect::BetterAuth, "/api/user/passkeys"));
        let both = "/api/user/passkeys/.well-known/webauthn";
        assert_eq!(ocore.collides_with(&better_auth).as_deref(), Some(both));
        assert_eq!(better_auth.collides_with(&ocore).as_deref(), Some(both));
    }
}
