//! `org.freedesktop.Secret.Session`: a client closes what it opened.

use std::sync::Arc;

use zbus::{interface, message::Header};

use super::{
    caller,
    desk::Desk,
    error::{Error, no_session},
};

/// One session.
pub struct Session {
    /// The shared part.
    pub desk: Arc<Desk>,
    /// Which one.
    pub number: u64,
}

#[interface(name = "org.freedesktop.Secret.Session", introspection_docs = false)]
impl Session {
    async fn close(&self, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        let closed = self.desk.open().sessions.close(self.number, &caller::connection(&header));
        self.desk.count_sessions();
        if closed { Ok(()) } else { Err(no_session()) }
    }
}
