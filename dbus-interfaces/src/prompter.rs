//! `org.opensesame.Prompter`: asks a person for a passphrase on behalf of daemon-secrets, and hands it over the private
//! socket. No passphrase passes here.

/// The well-known name, and its interface.
pub const NAME: &str = "org.opensesame.Prompter";
/// The interface.
pub const INTERFACE: &str = NAME;
/// Its only object.
pub const PATH: &str = "/org/opensesame/Prompter";

/// To unlock a vault.
pub const UNLOCK: &str = "unlock";
/// For a new vault.
pub const CREATE: &str = "create";
/// To delete a vault.
pub const DELETE: &str = "delete";
