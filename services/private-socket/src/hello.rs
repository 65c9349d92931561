//! A courtesy to `busctl --address` and `gdbus --address`, which take every address for a bus and greet it first.
//! Nothing else of a bus is here.

/// Where a bus is greeted.
pub const PATH: &str = "/org/freedesktop/DBus";

/// The one method of a bus that those clients cannot do without.
#[derive(Debug)]
pub struct Hello;

#[zbus::interface(name = "org.freedesktop.DBus")]
impl Hello {
    /// A unique name, which means nothing: each connection has one peer.
    async fn hello(&self) -> &str {
        ":1.1"
    }
}
