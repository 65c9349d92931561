//! How a secret travels in a session: agreed upon with `dh-ietf1024-sha256-aes128-cbc-pkcs7`, or as it is. Pure but for
//! the system's randomness; every primitive is RustCrypto's.

use std::io;

use aes::{
    Aes128,
    cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit, block_padding::Pkcs7},
};
use crypto_bigint::{
    Encoding, U256, U1024,
    modular::runtime_mod::{DynResidue, DynResidueParams},
};
use hkdf::Hkdf;
use secrecy::{ExposeSecret, ExposeSecretMut, SecretBox, SecretSlice};
use sha2::Sha256;

/// The name of the agreement.
pub const DH: &str = "dh-ietf1024-sha256-aes128-cbc-pkcs7";
/// The name of no encryption at all.
pub const PLAIN: &str = "plain";

/// The prime of the second Oakley group (RFC 2409), whose generator is 2.
const PRIME: U1024 = U1024::from_be_hex(concat!(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74",
    "020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437",
    "4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED",
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF",
));
const LENGTH: usize = 128;
const GROUP: DynResidueParams<{ U1024::LIMBS }> = DynResidueParams::new(&PRIME);
/// Of a private key, in bytes: more than twice the strength of the group (some 80 bits), whose prime is a safe one (RFC 7919,
/// section 5.2). A key as long as the prime takes four times as long, and is no stronger.
const PRIVATE: usize = 32;

type Encryptor = cbc::Encryptor<Aes128>;
type Decryptor = cbc::Decryptor<Aes128>;

/// How the secrets of one session are wrapped.
pub enum Cipher {
    /// As they are.
    Plain,
    /// With AES-128 in CBC mode.
    Aes(SecretBox<[u8; 16]>),
}

/// A secret on its way: parameters, and what they belong to.
pub struct Wrapped {
    /// The initialisation vector; empty where nothing is encrypted.
    pub parameters: Vec<u8>,
    /// The secret, encrypted or not.
    pub value: Vec<u8>,
}

/// What one side offers, until the other has answered.
pub struct Offer {
    private: SecretBox<[u8; PRIVATE]>,
}

impl Offer {
    /// A new private key.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn new() -> io::Result<Self> {
        let mut private = SecretBox::new(Box::new([0; PRIVATE]));
        getrandom::fill(private.expose_secret_mut())?;
        Ok(Self { private })
    }

    /// What the other side is told.
    pub fn public_key(&self) -> Vec<u8> {
        self.raised(&U1024::from_u8(2)).to_vec()
    }

    /// The cipher, once the other side has told its public key.
    ///
    /// # Errors
    /// `theirs` is no public key of the group.
    pub fn accepted(self, theirs: &[u8]) -> Result<Cipher, NoPublicKey> {
        let theirs = public_key(theirs).ok_or(NoPublicKey)?;
        let shared = SecretBox::new(Box::new(self.raised(&theirs)));
        let mut key = SecretBox::new(Box::new([0; 16]));
        // 16 bytes are never too many.
        let _ = Hkdf::<Sha256>::new(None, shared.expose_secret()).expand(&[], key.expose_secret_mut());
        Ok(Cipher::Aes(key))
    }

    fn raised(&self, base: &U1024) -> [u8; LENGTH] {
        let exponent = U256::from_be_bytes(*self.private.expose_secret());
        DynResidue::new(base, GROUP).pow(&exponent).retrieve().to_be_bytes()
    }
}

/// The other side's public key is none of the group's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPublicKey;

impl Cipher {
    /// Agrees with a client whose public key is `theirs`: the cipher, and the public key that it needs.
    ///
    /// # Errors
    /// `theirs` is no public key of the group, or (the outer error) the system has no randomness.
    pub fn agree(theirs: &[u8]) -> io::Result<Result<(Self, Vec<u8>), NoPublicKey>> {
        let offer = Offer::new()?;
        let ours = offer.public_key();
        Ok(offer.accepted(theirs).map(|cipher| (cipher, ours)))
    }

    /// Wraps `value`.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn wrap(&self, value: &[u8]) -> io::Result<Wrapped> {
        match self {
            Self::Plain => Ok(Wrapped { parameters: Vec::new(), value: value.to_vec() }),
            Self::Aes(key) => {
                let mut vector = [0; 16];
                getrandom::fill(&mut vector)?;
                let encryptor = Encryptor::new(key.expose_secret().into(), &vector.into());
                Ok(Wrapped { parameters: vector.to_vec(), value: encryptor.encrypt_padded_vec_mut::<Pkcs7>(value) })
            }
        }
    }

    /// What a client wrapped; nothing where it did not do it with this session's key.
    pub fn unwrap(&self, parameters: &[u8], value: &[u8]) -> Option<SecretSlice<u8>> {
        match self {
            Self::Plain => parameters.is_empty().then(|| value.to_vec().into()),
            Self::Aes(key) => {
                let vector: [u8; 16] = parameters.try_into().ok()?;
                let decryptor = Decryptor::new(key.expose_secret().into(), &vector.into());
                decryptor.decrypt_padded_vec_mut::<Pkcs7>(value).ok().map(Into::into)
            }
        }
    }
}

/// Between 2 and the prime less 2: others make the shared secret known to everybody.
fn public_key(bytes: &[u8]) -> Option<U1024> {
    let start = bytes.iter().position(|byte| *byte != 0)?;
    let digits = &bytes[start..];
    let mut padded = [0; LENGTH];
    padded.get_mut(LENGTH.checked_sub(digits.len())?..)?.copy_from_slice(digits);
    let key = U1024::from_be_bytes(padded);
    let last = PRIME.wrapping_sub(&U1024::ONE);
    (key > U1024::ONE && key < last).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client with the private key 3.
    fn client(ours: &[u8]) -> Cipher {
        let group = DynResidueParams::new(&PRIME);
        let ours = U1024::from_be_slice(ours);
        let shared = DynResidue::new(&ours, group).pow(&U1024::from_u8(3)).retrieve().to_be_bytes();
        let mut key = [0; 16];
        Hkdf::<Sha256>::new(None, &shared).expand(&[], &mut key).unwrap();
        Cipher::Aes(SecretBox::new(Box::new(key)))
    }

    #[test]
    fn both_sides_agree_on_a_key() {
        let (cipher, ours) = Cipher::agree(&[8]).unwrap().unwrap();
        let client = client(&ours);
        for secret in [&b""[..], b"sixteen bytes...", b"secret"] {
            let wrapped = client.wrap(secret).unwrap();
            let unwrapped = cipher.unwrap(&wrapped.parameters, &wrapped.value).unwrap();
            assert_eq!(unwrapped.expose_secret(), secret);
            let back = cipher.wrap(secret).unwrap();
            assert!(!back.value.is_empty() && back.value != secret);
            assert_eq!(client.unwrap(&back.parameters, &back.value).unwrap().expose_secret(), secret);
        }
    }

    #[test]
    fn what_is_no_public_key_is_refused() {
        let last = PRIME.wrapping_sub(&U1024::ONE).to_be_bytes();
        for none in [&[][..], &[0], &[0, 1], &last, &PRIME.to_be_bytes(), &[1; LENGTH + 1]] {
            assert!(Cipher::agree(none).unwrap().is_err());
        }
        assert!(Cipher::agree(&[0, 2]).unwrap().is_ok(), "leading zeros do not count");
    }

    #[test]
    fn what_another_key_wrapped_is_not_a_secret() {
        let (cipher, _) = Cipher::agree(&[8]).unwrap().unwrap();
        for (parameters, value) in [(&[0; 16][..], &b"short"[..]), (&[0; 15], &[0; 16]), (&[], &[]), (&[0; 16], &[])] {
            assert!(cipher.unwrap(parameters, value).is_none());
        }
        assert!(Cipher::Plain.unwrap(&[1], b"x").is_none());
    }
}
