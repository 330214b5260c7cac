//! Authenticator data and the attestation object around it, read byte by byte
//! (WebAuthn Level 3, sections 6.1 and 6.5.4).
//!
//! What always holds: every byte is accounted for, nesting is bounded before anything recurses,
//! and a backup state without backup eligibility does not parse.
//!
//! What does not live here: signatures, attestation statements and the numbers inside keys, which
//! the library verifies.

use ciborium::Value;
use uuid::Uuid;

use super::CeremonyError;
use crate::domain::credential::Backup;
use crate::domain::event::Refusal;
use crate::domain::id::CredentialId;

/// How deep CBOR may nest. The deepest attestation statement in use has three levels.
const CBOR_DEPTH_MAX: usize = 8;

pub(super) const USER_PRESENT: u8 = 0x01;
pub(super) const USER_VERIFIED: u8 = 0x04;
pub(super) const BACKUP_ELIGIBLE: u8 = 0x08;
pub(super) const BACKUP_STATE: u8 = 0x10;
pub(super) const ATTESTED_CREDENTIAL: u8 = 0x40;
const EXTENSION_DATA: u8 = 0x80;

// Labels and values of COSE keys (RFC 9053, and RFC 8812 for RS256).
const COSE_KEY_TYPE: i64 = 1;
const COSE_ALGORITHM: i64 = 3;
const COSE_CURVE: i64 = -1;
const EC2: i128 = 2;
const RSA: i128 = 3;
const P_256: i128 = 1;
const P_384: i128 = 2;
const ES256: i128 = -7;
const ES384: i128 = -35;
const RS256: i128 = -257;

/// The authenticator data, which an authenticator signs.
#[derive(Debug)]
pub(super) struct AuthenticatorData {
    flags: u8,
    pub(super) counter: u32,
    pub(super) backup: Backup,
    pub(super) attested: Option<AttestedCredential>,
}

/// A newly made credential.
#[derive(Debug)]
pub(super) struct AttestedCredential {
    pub(super) aaguid: Uuid,
    pub(super) id: CredentialId,
    /// The COSE key exactly as it was sent.
    pub(super) public_key: Vec<u8>,
}

impl AuthenticatorData {
    /// Reads all of `bytes`; a byte too many is as wrong as one too few.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, CeremonyError> {
        let short = || CeremonyError::malformed("authenticator data is too short");
        let (_rp_id_hash, rest) = bytes.split_first_chunk::<32>().ok_or_else(short)?;
        let (&[flags], rest) = rest.split_first_chunk::<1>().ok_or_else(short)?;
        let (&counter, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let (attested, rest) = if flags & ATTESTED_CREDENTIAL == 0 {
            (None, rest)
        } else {
            let (attested, rest) = AttestedCredential::parse(rest)?;
            (Some(attested), rest)
        };
        let rest = if flags & EXTENSION_DATA == 0 { rest } else { extensions(rest)? };
        if !rest.is_empty() {
            return Err(CeremonyError::malformed("bytes are left over after authenticator data"));
        }
        Ok(Self { flags, counter: u32::from_be_bytes(counter), backup: backup(flags)?, attested })
    }

    /// Whether the authenticator tested user presence and verified the user.
    pub(super) const fn is_user_verified(&self) -> bool {
        const BOTH: u8 = USER_PRESENT | USER_VERIFIED;
        self.flags & BOTH == BOTH
    }
}

impl AttestedCredential {
    fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), CeremonyError> {
        let short = || CeremonyError::malformed("attested credential data is too short");
        let (&aaguid, rest) = bytes.split_first_chunk::<16>().ok_or_else(short)?;
        let (&length, rest) = rest.split_first_chunk::<2>().ok_or_else(short)?;
        let (id, rest) = rest.split_at_checked(u16::from_be_bytes(length).into()).ok_or_else(short)?;
        let id = CredentialId::new(id.to_vec())
            .map_err(|_| CeremonyError::malformed("a credential id has 1 to 1023 bytes"))?;
        let (key, after) = cbor_item(rest)?;
        check_key(&key)?;
        let public_key = rest.strip_suffix(after).unwrap_or(rest).to_vec();
        Ok((Self { aaguid: Uuid::from_bytes(aaguid), id, public_key }, after))
    }
}

/// Checks that a key's algorithm goes with its type and curve: WebAuthn Level 3, section 5.8.5,
/// ties ES256 to P-256 and ES384 to P-384, and the library does not.
fn check_key(key: &Value) -> Result<(), CeremonyError> {
    let members = key.as_map().ok_or(CeremonyError::malformed("the public key is not a CBOR map"))?;
    let number = |label: i64| {
        let value = sole_member(members, &Value::from(label))?;
        value.as_integer().map(i128::from).ok_or(CeremonyError::malformed("a key parameter is not a number"))
    };
    let (key_type, algorithm) = (number(COSE_KEY_TYPE)?, number(COSE_ALGORITHM)?);
    let fits = match algorithm {
        ES256 => key_type == EC2 && number(COSE_CURVE)? == P_256,
        ES384 => key_type == EC2 && number(COSE_CURVE)? == P_384,
        RS256 => key_type == RSA,
        _ => false,
    };
    if fits { Ok(()) } else { Err(CeremonyError::new(Refusal::BadProof, "a key of a kind we did not offer")) }
}

fn extensions(bytes: &[u8]) -> Result<&[u8], CeremonyError> {
    let (value, rest) = cbor_item(bytes)?;
    if value.is_map() { Ok(rest) } else { Err(CeremonyError::malformed("extensions are not a CBOR map")) }
}

fn backup(flags: u8) -> Result<Backup, CeremonyError> {
    match (flags & BACKUP_ELIGIBLE != 0, flags & BACKUP_STATE != 0) {
        (false, false) => Ok(Backup::DeviceBound),
        (true, false) => Ok(Backup::Eligible),
        (true, true) => Ok(Backup::BackedUp),
        (false, true) => Err(CeremonyError::malformed("backed up, but not eligible for backup")),
    }
}

/// Takes the authenticator data out of an attestation object and reads it.
///
/// The format `none` must come with an empty statement: there is nothing to state, and a filled one
/// would smuggle in data that is never verified.
pub(super) fn parse_attestation_object(bytes: &[u8]) -> Result<AuthenticatorData, CeremonyError> {
    let (object, rest) = cbor_item(bytes)?;
    if !rest.is_empty() {
        return Err(CeremonyError::malformed("bytes are left over after the attestation object"));
    }
    let Value::Map(members) = object else {
        return Err(CeremonyError::malformed("the attestation object is not a CBOR map"));
    };
    let format = sole_member(&members, &Value::from("fmt"))?
        .as_text()
        .ok_or(CeremonyError::malformed("the attestation format is not text"))?;
    let statement = sole_member(&members, &Value::from("attStmt"))?
        .as_map()
        .ok_or(CeremonyError::malformed("the attestation statement is not a map"))?;
    if format == "none" && !statement.is_empty() {
        return Err(CeremonyError::malformed("a statement in an attestation of format none"));
    }
    let data = sole_member(&members, &Value::from("authData"))?
        .as_bytes()
        .ok_or(CeremonyError::malformed("authenticator data is not a byte string"))?;
    AuthenticatorData::parse(data)
}

/// The member called `name`; a repeated name is refused, because two readers could choose
/// differently.
fn sole_member<'a>(members: &'a [(Value, Value)], name: &Value) -> Result<&'a Value, CeremonyError> {
    let mut named = members.iter().filter(|(key, _)| key == name);
    match (named.next(), named.next()) {
        (Some((_, value)), None) => Ok(value),
        _ => Err(CeremonyError::malformed("a CBOR member is missing or repeated")),
    }
}

/// Reads one CBOR item from the front and returns what follows it.
fn cbor_item(bytes: &[u8]) -> Result<(Value, &[u8]), CeremonyError> {
    let mut rest = bytes;
    let value = ciborium::de::from_reader_with_recursion_limit(&mut rest, CBOR_DEPTH_MAX)
        .map_err(|_| CeremonyError::malformed("CBOR cannot be read, or nests too deep"))?;
    Ok((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(members: &[(i64, i128)]) -> Value {
        let number = |value: i128| Value::Integer(value.try_into().unwrap());
        Value::Map(members.iter().map(|(label, value)| (Value::from(*label), number(*value))).collect())
    }

    #[test]
    fn a_key_is_of_the_type_and_the_curve_that_its_algorithm_goes_with() {
        let fits = |key_type, algorithm, curve| {
            let key = key(&[(COSE_KEY_TYPE, key_type), (COSE_ALGORITHM, algorithm), (COSE_CURVE, curve)]);
            check_key(&key).map_err(|error| error.why()) == Ok(())
        };
        assert!(fits(EC2, ES256, P_256) && fits(EC2, ES384, P_384) && fits(RSA, RS256, 0));
        for (key_type, algorithm, curve) in [
            (EC2, ES256, P_384),
            (RSA, ES256, P_256),
            (EC2, ES384, P_256),
            (RSA, ES384, P_384),
            (EC2, RS256, 0),
            (EC2, -8, P_256),
        ] {
            assert!(!fits(key_type, algorithm, curve), "{key_type} {algorithm} {curve}");
        }
    }

    fn data(flags: u8, rest: &[u8]) -> Result<AuthenticatorData, Refusal> {
        let bytes = [&[0; 32][..], &[flags], &7_u32.to_be_bytes(), rest].concat();
        AuthenticatorData::parse(&bytes).map_err(|error| error.why())
    }

    #[test]
    fn extensions_are_one_map_and_nothing_comes_after_them() {
        let flags = USER_PRESENT | USER_VERIFIED | EXTENSION_DATA;
        let (map, number) = (0xa0, 0x01);
        assert_eq!(data(flags, &[map]).unwrap().counter, 7);
        for wrong in [&[][..], &[number], &[map, map], &[map, 0]] {
            assert_eq!(data(flags, wrong).err(), Some(Refusal::Malformed), "{wrong:?}");
        }
    }

    #[test]
    fn a_person_is_verified_who_was_there_and_known() {
        for (flags, verified) in
            [(USER_PRESENT | USER_VERIFIED, true), (USER_PRESENT, false), (USER_VERIFIED, false), (0, false)]
        {
            assert_eq!(data(flags, &[]).unwrap().is_user_verified(), verified, "{flags:#x}");
        }
    }
}
