//! What only shows with much: 10,000 secrets, several sessions, the default work factor.

use std::{sync::Arc, time::Instant};

use session_tests::{PASSPHRASE, bus::Kind, home::Home, session::Session, stock_age};
use zbus::OwnedObjectPath;

use crate::{
    Amount, growth, idle,
    least::Before,
    micros,
    table::{Row, Spread},
    warm::Writes,
};

/// With 10,000 items: writing, searching, memory.
pub async fn vault(amount: Amount, rows: &mut Vec<Row>) {
    let session = Session::start(Kind::DbusDaemon, Arc::new(Home::new())).await;
    session.home.write("config/open-sesame/config.toml", "work_factor = 15\nsecret_service = true\n");
    let daemons = session.daemons().await;
    let client = session.client().await;
    client.wait_for_owner("org.freedesktop.secrets").await;
    session.create(&["personal", "small"]).await;
    session.unlock(&["small"]).await;
    let key = stock_age::key(&session, "personal", PASSPHRASE).await;
    for at in 0..10 {
        session.vault().await.set_secret("small", &format!("s{at}"), b"0123456789").await.unwrap();
    }
    growth::filled(&session, &key, 10_000).await;
    let writes = Writes::of(&session, ("s0", Before::Sealed), amount.few).await;
    let (figure, target) = ("`SetSecret` in 10,000 over fsync and rename, µs".into(), Some(3.0));
    rows.push(Row { figure, ours: writes.ours, theirs: Some(writes.file), target });
    let figure = "age alone, and the least that answers `SetSecret` in 10,000, over fsync and rename, µs".into();
    rows.push(Row { figure, ours: writes.least, theirs: Some(writes.file), target });
    let search = async |profile: &str, name: &str| {
        let wanted = std::collections::HashMap::from([("name", name)]);
        let path = format!("/org/freedesktop/secrets/collection/{profile}");
        let interface = Some("org.freedesktop.Secret.Collection");
        let started = Instant::now();
        let answer =
            client.connection.call_method(Some("org.freedesktop.secrets"), path, interface, "SearchItems", &wanted);
        let found: Vec<OwnedObjectPath> = answer.await.unwrap().body().deserialize().unwrap();
        assert_eq!(found.len(), 1, "{profile} {name}");
        micros(started)
    };
    let (mut many, mut few) = (Vec::new(), Vec::new());
    for _ in 0..amount.pairs {
        many.push(search("personal", "s9999").await);
        few.push(search("small", "s9").await);
    }
    rows.push(Row {
        figure: "search in 10,000 items over search in 10, µs".into(),
        ours: Spread::of(many),
        theirs: Some(Spread::of(few)),
        target: Some(2.0),
    });
    let (bus, open, locked) = (session.kind.name(), [1.9, f64::NAN], [1.9, 2.6]);
    idle::memory(bus, "10,000 items open", idle::weighed(&daemons, open), amount, rows).await;
    client.secrets().await.lock_all().await.unwrap();
    idle::memory(bus, "locked after 10,000 items", idle::weighed(&daemons, locked), amount, rows).await;
}

/// An unlock with the work factor that is the default, beside scrypt alone.
pub async fn unlock(amount: Amount, rows: &mut Vec<Row>) {
    const WORK_FACTOR: u8 = 17;
    let session = Session::start(Kind::DbusDaemon, Arc::new(Home::new())).await;
    session.home.write("config/open-sesame/config.toml", format!("work_factor = {WORK_FACTOR}\n"));
    let _daemons = session.daemons().await;
    session.create(&["personal"]).await;
    let (vault, secrets) = (session.vault().await, session.client().await.secrets().await);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..amount.few {
        let started = Instant::now();
        vault.unlock("personal", PASSPHRASE.as_bytes()).await.unwrap();
        ours.push(micros(started) / 1000.0);
        secrets.lock("personal").await.unwrap();
        let started = Instant::now();
        let parameters = scrypt::Params::new(WORK_FACTOR, 8, 1, 32).unwrap();
        scrypt::scrypt(PASSPHRASE.as_bytes(), b"age-encryption.org/v1/scrypt0123", &parameters, &mut [0; 32]).unwrap();
        theirs.push(micros(started) / 1000.0);
    }
    rows.push(Row {
        figure: "unlock over scrypt of the same work factor, ms".into(),
        ours: Spread::of(ours),
        theirs: Some(Spread::of(theirs)),
        target: Some(1.05),
    });
}

/// What one more user on the host costs: the memory that his two daemons share with nobody.
pub async fn sessions(amount: Amount, rows: &mut Vec<Row>) {
    let mut sessions = Vec::new();
    for _ in 0..5 {
        let session = Session::start(Kind::DbusDaemon, Arc::new(Home::new())).await;
        let daemons = session.daemons().await;
        session.create(&["personal"]).await;
        sessions.push((session, daemons));
    }
    tokio::time::sleep(amount.settled).await;
    let private: Vec<f64> = sessions.iter().map(|(_, daemons)| idle::private(daemons)).collect();
    rows.push(Row {
        figure: "memory of both daemons that is private to a session, MiB".into(),
        ours: Spread::of(private),
        theirs: None,
        target: Some(2.5),
    });
}
