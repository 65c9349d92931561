//! Applications have a person asked: secret-tool and others, the real prompter, and a pinentry that a test speaks for.

use std::{
    fs,
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::PathBuf,
};

use dbus_interfaces::prompter;
use futures_util::StreamExt;
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};
use session_tests::{
    DEADLINE, PASSPHRASE,
    client::Client,
    needs::Need,
    scenarios,
    session::{Daemons, Session},
    suite::Suite,
    within_deadline,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::unix::pipe,
};
use zbus::{MatchRule, MessageStream, OwnedObjectPath, OwnedVariant, Variant, fdo, message::Type};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_dbus_daemon(&[Need::Program("secret-tool")]);
        a_wrong_passphrase_is_asked_for_again_and_the_right_one_opens,
        who_says_no_or_cannot_be_asked_dismisses,
    );
    scenarios!(suite.on_dbus_daemon(&[]);
        two_clients_that_ask_for_one_vault_get_one_question,
        a_dialogue_closes_with_its_prompt_its_client_and_daemon_secrets,
        a_prompter_that_is_killed_dismisses,
        a_vault_that_somebody_else_unlocks_needs_no_answer,
        a_collection_is_made_and_deleted,
        only_daemon_secrets_has_people_asked,
    );
}

const NAME: &str = "org.freedesktop.secrets";
const SERVICE: &str = "/org/freedesktop/secrets";
const SERVICE_INTERFACE: &str = "org.freedesktop.Secret.Service";
const PROMPT_INTERFACE: &str = "org.freedesktop.Secret.Prompt";
const CANCELLED: &str = "ERR 83886179 Operation cancelled <Pinentry>";
const LOOKUP: [&str; 4] = ["secret-tool", "lookup", "server", "example.org"];

/// Tells when it is asked, and answers what it is told.
const PINENTRY: &str = "#!/bin/sh
cd \"${0%/*}\" && echo OK Pleased to meet you
printf '%s\\n' \"$*\" >>told && env >>told
while read -r word rest; do
  echo \"$word $rest\" >>told
  case $word in
    GETPIN)
      echo $$ >asked
      IFS= read -r answer <answers
      case $answer in ERR*) echo \"$answer\" ;; *) echo \"D $answer\" && echo OK ;; esac ;;
    BYE) exit ;;
    *) echo OK ;;
  esac
done
";

/// The person at the pinentry.
struct Person {
    asked: BufReader<pipe::Receiver>,
    answers: pipe::Sender,
    told: PathBuf,
}

impl Person {
    /// A session that has a locked vault with one item, and a person who can be asked.
    async fn at(session: &Session) -> (Self, Daemons) {
        session.install_activation_files();
        let script = session.home.write("pinentry-test", PINENTRY);
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
        configure(session, script.to_str().unwrap());
        let fifo = |name: &str| {
            let path = session.home.path().join(name);
            rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
            path
        };
        // Both ends are open here, so that nobody waits for the other one.
        let asked = pipe::OpenOptions::new().read_write(true).open_receiver(fifo("asked")).unwrap();
        let answers = pipe::OpenOptions::new().read_write(true).open_sender(fifo("answers")).unwrap();
        let client = session.client().await;
        let bus = fdo::DBusProxy::new(&client.connection).await.unwrap();
        bus.update_activation_environment([("DISPLAY", ":none")].into()).await.unwrap();
        let daemons = session.daemons().await;
        client.wait_for_owner(NAME).await;
        session.create(&["personal"]).await;
        let person = Self { asked: BufReader::new(asked), answers, told: session.home.path().join("told") };
        (person, daemons)
    }

    /// Waits until the person is asked; the process that asks.
    async fn is_asked(&mut self) -> OwnedFd {
        let mut line = String::new();
        within_deadline("a question", self.asked.read_line(&mut line)).await.unwrap();
        let pid = Pid::from_raw(line.trim().parse().unwrap()).unwrap();
        pidfd_open(pid, PidfdFlags::empty()).unwrap()
    }

    async fn answers(&mut self, answer: &str) {
        self.answers.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
    }

    fn told(&self) -> String {
        fs::read_to_string(&self.told).unwrap()
    }

    fn questions(&self) -> usize {
        self.told().matches("GETPIN").count()
    }
}

fn configure(session: &Session, askpass: &str) {
    let text = format!("work_factor = 15\nsecret_service = true\naskpass = [\"{askpass}\"]\n");
    session.home.write("config/open-sesame/config.toml", text);
}

async fn closed(asking: OwnedFd) {
    let ended = tokio::task::spawn_blocking(move || {
        let deadline = DEADLINE.try_into().unwrap();
        poll(&mut [PollFd::new(&asking, PollFlags::IN)], Some(&deadline))
    });
    assert_eq!(ended.await.unwrap(), Ok(1), "the dialogue does not close");
}

/// Calls a member of the Secret Service.
pub async fn call<R>(
    client: &Client,
    path: &str,
    interface: &str,
    member: &str,
    body: &(impl serde::Serialize + zbus::DynamicType),
) -> R
where
    R: serde::de::DeserializeOwned + zbus::Type,
{
    let reply = client.connection.call_method(Some(NAME), path, Some(interface), member, body).await.unwrap();
    reply.body().deserialize().unwrap()
}

/// A prompt that has been shown, and its end.
struct Shown {
    client: Client,
    path: OwnedObjectPath,
    ends: MessageStream,
}

impl Shown {
    async fn of(client: Client, path: OwnedObjectPath) -> Self {
        let rule = MatchRule::builder().msg_type(Type::Signal).interface(PROMPT_INTERFACE);
        let rule = rule.member("Completed").build().unwrap();
        let ends = MessageStream::for_match_rule(rule, &client.connection, None).await.unwrap();
        let () = call(&client, path.as_str(), PROMPT_INTERFACE, "Prompt", &"").await;
        Self { client, path, ends }
    }

    async fn to_unlock(session: &Session) -> Self {
        let client = session.client().await;
        let wanted = vec![collection(&client).await];
        let (open, prompt): (Vec<OwnedObjectPath>, OwnedObjectPath) =
            call(&client, SERVICE, SERVICE_INTERFACE, "Unlock", &wanted).await;
        assert!(open.is_empty() && prompt.as_str() != "/");
        Self::of(client, prompt).await
    }

    async fn completed(&mut self) -> (bool, OwnedVariant) {
        let signal = within_deadline("the end of the prompt", self.ends.next()).await.unwrap().unwrap();
        assert_eq!(signal.header().path().unwrap().as_str(), self.path.as_str());
        signal.body().deserialize().unwrap()
    }
}

async fn collection(client: &Client) -> OwnedObjectPath {
    call(client, SERVICE, SERVICE_INTERFACE, "ReadAlias", &"default").await
}

async fn locked(session: &Session, profile: &str) -> bool {
    session.client().await.secrets().await.state().await.unwrap().0[profile].locked
}

async fn stored(session: &Session) {
    session.unlock(&["personal"]).await;
    let store = ["secret-tool", "store", "--label=Mail", "server", "example.org"];
    session.run_fed(&store, b"pass-1").await.stdout_of_success();
    session.client().await.secrets().await.lock("personal").await.unwrap();
}

async fn a_wrong_passphrase_is_asked_for_again_and_the_right_one_opens(session: Session) {
    let (mut person, daemons) = Person::at(&session).await;
    stored(&session).await;
    // Everything that everybody's bus carries.
    let monitor = session.client().await;
    let all = (Vec::<&str>::new(), 0_u32);
    let (bus, interface) = ("org.freedesktop.DBus", "org.freedesktop.DBus.Monitoring");
    let mut carried = MessageStream::from(&monitor.connection);
    monitor
        .connection
        .call_method(Some(bus), "/org/freedesktop/DBus", Some(interface), "BecomeMonitor", &all)
        .await
        .unwrap();
    let heard = tokio::spawn(async move {
        let mut heard = Vec::new();
        while let Some(Ok(message)) = carried.next().await {
            heard.extend_from_slice(message.data());
            heard.extend_from_slice(message.body().data());
        }
        heard
    });
    let talk = async {
        person.is_asked().await;
        let environment = person.told();
        assert!(environment.contains("DISPLAY=:none") && !environment.contains("SETERROR"), "{environment}");
        assert!(
            environment.contains("The program \"secret-tool\" asks for something in the locked vault \"personal\".")
        );
        person.answers("wrong").await;
        person.is_asked().await;
        person.answers(PASSPHRASE).await;
    };
    let (ended, ()) = tokio::join!(session.run(&LOOKUP), talk);
    assert_eq!(ended.stdout_of_success(), "pass-1");
    assert!(!locked(&session, "personal").await);
    let told = person.told();
    let reason = told.lines().find(|line| line.starts_with("SETERROR")).unwrap();
    assert_eq!(reason, "SETERROR That is not the passphrase of this vault.");
    assert!(!told.contains(PASSPHRASE), "neither in arguments nor in the environment: {told}");
    drop(daemons);
    session.end().await;
    let heard = within_deadline("the end of the monitor", heard).await.unwrap();
    assert!(memchr::memmem::find(&heard, b"secret-tool").is_some(), "the monitor heard the question");
    for secret in [PASSPHRASE, "pass-1"] {
        assert!(memchr::memmem::find(&heard, secret.as_bytes()).is_none(), "{secret} was on the bus");
    }
}

async fn who_says_no_or_cannot_be_asked_dismisses(session: Session) {
    let (mut person, daemons) = Person::at(&session).await;
    stored(&session).await;
    let no = async {
        person.is_asked().await;
        person.answers(CANCELLED).await;
    };
    let (ended, ()) = tokio::join!(session.run(&LOOKUP), no);
    assert_ne!(ended.code, 0, "{ended:?}");
    assert_eq!((ended.stdout.as_str(), person.questions()), ("", 1));
    configure(&session, "/nonexistent/pinentry");
    assert_ne!(within_deadline("no pinentry to dismiss", session.run(&LOOKUP)).await.code, 0);
    // A pinentry without a display, in a prompter that is started anew.
    let client = session.client().await;
    let bus = fdo::DBusProxy::new(&client.connection).await.unwrap();
    let pid = bus.get_connection_unix_process_id(prompter::NAME.try_into().unwrap()).await.unwrap();
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::TERM).unwrap();
    client.wait_until_gone(prompter::NAME).await;
    configure(&session, session.home.path().join("pinentry-test").to_str().unwrap());
    bus.update_activation_environment([("DISPLAY", "")].into()).await.unwrap();
    assert_ne!(within_deadline("no display to dismiss", session.run(&LOOKUP)).await.code, 0);
    assert_eq!(person.questions(), 1);
    assert!(locked(&session, "personal").await);
    drop(daemons);
    session.end().await;
}

async fn two_clients_that_ask_for_one_vault_get_one_question(session: Session) {
    let (mut person, daemons) = Person::at(&session).await;
    let (mut first, mut second) = (Shown::to_unlock(&session).await, Shown::to_unlock(&session).await);
    let asking = person.is_asked().await;
    // The first goes; the question is now the second's.
    let () = call(&first.client, first.path.as_str(), PROMPT_INTERFACE, "Dismiss", &()).await;
    assert!(first.completed().await.0);
    let mut third = Shown::to_unlock(&session).await;
    person.answers(PASSPHRASE).await;
    for shown in [&mut second, &mut third] {
        let (dismissed, result) = shown.completed().await;
        let opened = Vec::<OwnedObjectPath>::try_from(result).unwrap();
        assert_eq!((dismissed, opened), (false, vec![collection(&shown.client).await]));
    }
    closed(asking).await;
    assert_eq!(person.questions(), 1);
    drop(daemons);
    session.end().await;
}

async fn a_dialogue_closes_with_its_prompt_its_client_and_daemon_secrets(session: Session) {
    let (mut person, mut daemons) = Person::at(&session).await;
    let mut shown = Shown::to_unlock(&session).await;
    let asking = person.is_asked().await;
    let () = call(&shown.client, shown.path.as_str(), PROMPT_INTERFACE, "Dismiss", &()).await;
    assert!(shown.completed().await.0);
    closed(asking).await;

    let shown = Shown::to_unlock(&session).await;
    let asking = person.is_asked().await;
    shown.client.connection.close().await.unwrap();
    closed(asking).await;

    let _shown = Shown::to_unlock(&session).await;
    let asking = person.is_asked().await;
    daemons.secrets.kill9().await;
    closed(asking).await;
    session.client().await.wait_until_gone(prompter::NAME).await;
    assert_eq!(person.questions(), 3);
    drop(daemons);
    session.end().await;
}

async fn a_prompter_that_is_killed_dismisses(session: Session) {
    let (mut person, daemons) = Person::at(&session).await;
    let mut shown = Shown::to_unlock(&session).await;
    let asking = person.is_asked().await;
    let bus = fdo::DBusProxy::new(&shown.client.connection).await.unwrap();
    let pid = bus.get_connection_unix_process_id(prompter::NAME.try_into().unwrap()).await.unwrap();
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).unwrap();
    let (dismissed, result) = shown.completed().await;
    assert!(dismissed && Vec::<OwnedObjectPath>::try_from(result).unwrap().is_empty());
    // What it would say now goes nowhere; the next question is asked by a new one.
    person.answers("nobody hears this").await;
    closed(asking).await;
    let mut shown = Shown::to_unlock(&session).await;
    person.is_asked().await;
    person.answers(PASSPHRASE).await;
    assert!(!shown.completed().await.0);
    drop(daemons);
    session.end().await;
}

async fn a_vault_that_somebody_else_unlocks_needs_no_answer(session: Session) {
    let (mut person, daemons) = Person::at(&session).await;
    let mut shown = Shown::to_unlock(&session).await;
    let asking = person.is_asked().await;
    session.unlock(&["personal"]).await;
    assert!(!shown.completed().await.0);
    closed(asking).await;
    drop(daemons);
    session.end().await;
}

async fn a_collection_is_made_and_deleted(session: Session) {
    let (mut person, daemons) = Person::at(&session).await;
    let client = session.client().await;
    let label = [("org.freedesktop.Secret.Collection.Label", Variant::from("Work of mine"))];
    let wanted = (std::collections::HashMap::from(label), "");
    let (made, prompt): (OwnedObjectPath, OwnedObjectPath) =
        call(&client, SERVICE, SERVICE_INTERFACE, "CreateCollection", &wanted).await;
    assert_eq!(made.as_str(), "/");
    let mut shown = Shown::of(client.clone(), prompt).await;
    for answer in ["new one", "other one", "new one", "new one"] {
        person.is_asked().await;
        person.answers(answer).await;
    }
    let (dismissed, result) = shown.completed().await;
    let made = OwnedObjectPath::try_from(result).unwrap();
    assert!(!dismissed && !locked(&session, "Work-of-mine").await);
    let told = person.told();
    assert!(told.contains("asks for a new vault, \"Work-of-mine\"") && told.contains("SETERROR The two"), "{told}");

    let prompt = call(&client, made.as_str(), "org.freedesktop.Secret.Collection", "Delete", &()).await;
    let mut shown = Shown::of(client.clone(), prompt).await;
    person.is_asked().await;
    person.answers("new one").await;
    assert!(!shown.completed().await.0);
    assert!(!session.home.vaults().join("Work-of-mine").exists());
    assert!(person.told().contains("asks to delete the vault \"Work-of-mine\""));
    drop(daemons);
    session.end().await;
}

async fn only_daemon_secrets_has_people_asked(session: Session) {
    let (person, daemons) = Person::at(&session).await;
    let client = session.client().await;
    let body = (1_u64, prompter::UNLOCK, "personal", "evil", "");
    let asked =
        client.connection.call_method(Some(prompter::NAME), prompter::PATH, Some(prompter::INTERFACE), "Ask", &body);
    let refused = within_deadline("a refusal", asked).await.unwrap_err();
    assert!(refused.to_string().contains("AccessDenied"), "{refused}");
    assert!(!person.told.exists());
    drop(daemons);
    session.end().await;
}
