//! Changing a vault's passphrase, and its key with it, in steps none of which loses anything (contract, section 3):
//! identity.age with both keys, items.age for the new one, identity.age with the new one only.

use dbus_interfaces::ProfileName;
use secrecy::SecretString;

use super::{Place, Store};
use crate::{Error, OpenVault, Rekeyed, WorkFactor, Written, draft::Draft, keys::Key};

impl Store {
    /// Gives a vault another passphrase and another key, so that no old copy opens what is written from now on.
    /// Where the vault is open, [`OpenVault::rekey`] follows.
    ///
    /// Everything is written and synced before the first file is replaced: a full disk changes nothing.
    ///
    /// # Errors
    /// As of [`Store::unlock`] with the old passphrase; `ChangedOnDisk` and `Storage`: nothing was changed.
    /// `PassphraseUncertain`: either passphrase may be the one, nothing is lost, and the next unlock finishes it.
    pub fn change_passphrase(
        &self,
        profile: &ProfileName,
        old: &SecretString,
        new: &SecretString,
        factor: WorkFactor,
    ) -> Result<Rekeyed, Error> {
        let vault = self.unlock(profile, old)?;
        let (place, key) = (self.place(profile)?, Key::generate());
        let identity = self.seal_identity(&place, &[&key, &vault.key], new, factor)?;
        let both = Draft::write(&*self.files, &place.identity, "both", &identity)?;
        let drafts = self.draft_rekey(&place, &vault, key, new, factor)?;
        self.must_be(&place.items, vault.stamp)?;
        let uncertain = |cause| Error::PassphraseUncertain { profile: profile.clone(), cause: Box::new(cause) };
        both.install().map_err(|error| if error.is_uncertain() { uncertain(error) } else { error })?;
        drafts.install(vault).map(Rekeyed).map_err(uncertain)
    }

    /// Finishes a change that was interrupted after its first step. `vault` has the new key, whichever items.age has.
    pub(super) fn finish_rekey(
        &self,
        place: &Place,
        vault: Box<OpenVault>,
        passphrase: &SecretString,
        factor: WorkFactor,
    ) -> Result<Box<OpenVault>, Error> {
        let drafts = self.draft_rekey(place, &vault, vault.key.clone(), passphrase, factor)?;
        self.must_be(&place.items, vault.stamp)?;
        drafts.install(vault)
    }

    /// Writes the files of the second and third step.
    fn draft_rekey(
        &self,
        place: &Place,
        vault: &OpenVault,
        key: Key,
        passphrase: &SecretString,
        factor: WorkFactor,
    ) -> Result<Drafts<'_>, Error> {
        let items = self.seal_items(place, &key, vault, None)?;
        let identity = self.seal_identity(place, &[&key], passphrase, factor)?;
        Ok(Drafts {
            items: Draft::write(&*self.files, &place.items, "new", &items)?,
            identity: Draft::write(&*self.files, &place.identity, "new", &identity)?,
            key,
        })
    }
}

/// The files of the second and third step, and the key that they are for.
struct Drafts<'a> {
    items: Draft<'a>,
    identity: Draft<'a>,
    key: Key,
}

impl Drafts<'_> {
    fn install(self, mut vault: Box<OpenVault>) -> Result<Box<OpenVault>, Error> {
        let stamp = self.items.install()?;
        self.identity.install()?;
        vault.key = self.key;
        vault.followed(Written { stamp });
        Ok(vault)
    }
}
