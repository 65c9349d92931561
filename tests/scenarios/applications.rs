//! Programs that keep their secrets over the Secret Service API: what they print where daemon-secrets serves them, and
//! that they print the same where gnome-keyring does. docs/secret-service.md gives the reason for what may differ.

use std::sync::Arc;

use session_tests::{home::Home, needs::Need, scenarios, session::Session, suite::Suite, within_deadline};

use crate::{keyrings::gnome_keyring, secret_service::offered};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_each_bus(&[Need::Program("secret-tool"), Need::Program("gnome-keyring-daemon")]);
        secret_tool_finds_no_difference,
    );
    scenarios!(suite.on_dbus_daemon(&[Need::Program("gjs"), Need::File(LIBSECRET), Need::Program("gnome-keyring-daemon")]);
        a_program_with_libsecret_finds_no_difference,
    );
    scenarios!(suite.on_dbus_daemon(&[Need::File(PYTHON_KEYRING), Need::Program("gnome-keyring-daemon")]);
        python_keyring_finds_no_difference,
    );
    let git = [Need::Program("git"), Need::File(GIT_HELPER), Need::File(LIBSECRET_HEADER), Need::Program("cc")];
    scenarios!(suite.on_dbus_daemon(&git);
        gits_own_helper_keeps_its_credentials,
    );
}

/// Debian: gir1.2-secret-1.
const LIBSECRET: &str = "/usr/share/doc/gir1.2-secret-1";
/// Debian: git, as source.
const GIT_HELPER: &str = "/usr/share/doc/git/contrib/credential/libsecret/git-credential-libsecret.c";
/// Debian: libsecret-1-dev.
const LIBSECRET_HEADER: &str = "/usr/include/libsecret-1/libsecret/secret.h";
/// Debian: python3-keyring, which brings python3-secretstorage.
const PYTHON_KEYRING: &str = "/usr/lib/python3/dist-packages/keyring/backends/SecretService.py";

const SECRET_TOOL: &str = r#"
store() { label=$1 value=$2 && shift 2 && printf %s "$value" | secret-tool store --label="$label" "$@"; echo "stored $?"; }
lookup() { secret-tool lookup "$@"; echo " looked up $?"; }
search() { secret-tool search --all "$@" 2>&1 | sed '/^\[/d; /^created/d; /^modified/d; /^schema = org.freedesktop.Secret.Generic$/d' | sort; }
lookup server example.org
store 'Mail of me' pass-1 server example.org user me
store 'Mail of you' 'p ä ss' server example.org user you
lookup server example.org user me
lookup server example.org user you
search server example.org
store 'Mail of me again' pass-2 server example.org user me
lookup user me
search user me
secret-tool clear user me; echo "cleared $?"
lookup user me
search server example.org
secret-tool clear user me; echo "cleared $?"
"#;

const LIBSECRET_PROGRAM: &str = r"
imports.gi.versions.Secret = '1';
const Secret = imports.gi.Secret;
const type = Secret.SchemaAttributeType;
const schema = new Secret.Schema('org.example.Mail', Secret.SchemaFlags.NONE, {server: type.STRING, port: type.INTEGER});
const attributes = {server: 'example.org', port: '993'};
const lookup = () => print('lookup', Secret.password_lookup_sync(schema, attributes, null));
lookup();
print('store', Secret.password_store_sync(schema, attributes, Secret.COLLECTION_DEFAULT, 'Mail ü', 'pass-ö', null));
lookup();
const flags = Secret.ServiceFlags.OPEN_SESSION | Secret.ServiceFlags.LOAD_COLLECTIONS;
const service = Secret.Service.get_sync(flags, null);
print('session', service.get_session_algorithms());
const search = Secret.SearchFlags.ALL | Secret.SearchFlags.LOAD_SECRETS | Secret.SearchFlags.UNLOCK;
const items = service.search_sync(schema, {server: 'example.org'}, search, null);
for (const item of items) {
  const found = Object.entries(item.get_attributes()).sort().map(pair => pair.join('='));
  print('found', item.get_label(), item.get_secret().get_text(), item.get_locked(), found);
  item.set_label_sync('Other', null);
  item.set_secret_sync(new Secret.Value('pass-2', -1, 'text/plain'), null);
  item.load_secret_sync(null);
  print('changed', item.get_label(), item.get_secret().get_text(), item.get_secret().get_content_type());
}
lookup();
const standard = Secret.Collection.for_alias_sync(service, 'default', Secret.CollectionFlags.LOAD_ITEMS, null);
print('default', standard.get_locked(), standard.get_items().length);
print('passing', Secret.password_store_sync(schema, {server: 'b'}, Secret.COLLECTION_SESSION, 'passing', 'x', null));
print('passing', Secret.password_lookup_sync(schema, {server: 'b'}, null));
print('clear', Secret.password_clear_sync(schema, attributes, null));
print('clear', Secret.password_clear_sync(schema, attributes, null));
lookup();
";

const PYTHON_PROGRAM: &str = r"
import keyring.errors, secretstorage
from keyring.backends.SecretService import Keyring
ring = Keyring()
print(ring.get_password('mail', 'me'))
ring.set_password('mail', 'me', 'pass 1')
print(ring.get_password('mail', 'me'))
ring.set_password('mail', 'me', 'päss 2')
print(ring.get_password('mail', 'me'), ring.get_credential('mail', None).username)
ring.delete_password('mail', 'me')
print(ring.get_password('mail', 'me'))
try:
    ring.delete_password('mail', 'me')
except keyring.errors.PasswordDeleteError as error:
    print(error)
connection = secretstorage.dbus_init()
collection = secretstorage.get_default_collection(connection)
item = collection.create_item('Bytes', {'a': '1'}, bytes(range(256)), content_type='application/octet-stream')
print(item.get_label(), item.get_secret() == bytes(range(256)), item.is_locked())
print(item.get_attributes().get('a'), len(list(collection.search_items({'a': '1'}))))
item.set_attributes({'a': '2'})
print(len(list(collection.search_items({'a': '1'}))), len(list(collection.search_items({'a': '2'}))))
item.delete()
print(len(list(collection.search_items({'a': '2'}))))
";

async fn secret_tool_finds_no_difference(session: Session) {
    let said = says_the_same(session, &["sh", "-c", SECRET_TOOL]).await;
    assert!(said.starts_with(" looked up 1\nstored 0\nstored 0\npass-1 looked up 0\np ä ss looked up 0\n"), "{said}");
}

async fn a_program_with_libsecret_finds_no_difference(session: Session) {
    let said = says_the_same(session, &["gjs", "-c", LIBSECRET_PROGRAM]).await;
    assert!(said.contains("session dh-ietf1024-sha256-aes128-cbc-pkcs7\n"), "{said}");
    assert!(said.contains("changed Other pass-2 text/plain\n"), "{said}");
}

async fn python_keyring_finds_no_difference(session: Session) {
    let said = says_the_same(session, &["/usr/bin/python3", "-c", PYTHON_PROGRAM]).await;
    assert!(said.starts_with("None\npass 1\npäss 2 me\nNone\n"), "{said}");
}

/// What `words` print with daemon-secrets, which is what they print with gnome-keyring on another bus.
async fn says_the_same(session: Session, words: &[&str]) -> String {
    let _daemons = offered(&session).await;
    let other = Session::start(session.kind, Arc::new(Home::new())).await;
    let _keyring = gnome_keyring(&other).await;
    let ours = within_deadline("the program to end", session.run(words)).await;
    let theirs = within_deadline("the program to end", other.run(words)).await;
    let said = [&ours, &theirs].map(|ended| (ended.code, ended.stdout.as_str(), ended.stderr.as_str()));
    assert_eq!(said[0], said[1], "daemon-secrets first, gnome-keyring second");
    assert_eq!(said[0].0, 0, "{said:?}");
    ours.stdout
}

async fn gits_own_helper_keeps_its_credentials(session: Session) {
    let _daemons = offered(&session).await;
    let helper = session.home.path().join("git-credential-libsecret");
    let build = format!("cc -o {} {GIT_HELPER} $(pkg-config --cflags --libs libsecret-1)", helper.display());
    session.run(&["sh", "-c", &build]).await.stdout_of_success();
    let credential = async |act: &str, said: &str| {
        let configured = format!("credential.helper={}", helper.display());
        session.run_fed(&["git", "-c", &configured, "credential", act], said.as_bytes()).await
    };
    const HOST: &str = "protocol=https\nhost=example.org\n";
    let known = format!("{HOST}username=me\npassword=p ä ss\n");
    credential("approve", &format!("{known}\n")).await.stdout_of_success();
    assert_eq!(credential("fill", &format!("{HOST}\n")).await.stdout_of_success(), known);
    let listed = session.sesame(&["secret", "list", "--all"]).await.stdout_of_success();
    assert!(listed.contains("Git: https://example.org/"), "{listed}");
    credential("reject", &format!("{known}\n")).await.stdout_of_success();
    let asked = credential("fill", &format!("{HOST}\n")).await;
    assert_ne!(asked.code, 0, "git would ask, and cannot here: {asked:?}");
}
